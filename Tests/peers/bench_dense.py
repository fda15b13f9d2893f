"""Times making a 4-bit GPTQ checkpoint dense, and loading it as MLX, beside the peers' own ways.

    PYTHON Tests/peers/bench_dense.py NIBBLE [--size 500MB] [--threads 1] [--runs 1] [--work DIR]

PYTHON has gptqmodel, mlx and mlx-lm. `nibble bench checkpoint` writes a checkpoint of random numbers in the shapes
of a 7B model; then, in turn: `nibble convert --to dense` and GPTQModel's `dequantize_model` (both from file to file,
bf16; nibble proves its output, which is part of its time); then of the same as AWQ, since mlx-lm takes no GPTQ with
`g_idx`: mlx-lm's `load_model` with all arrays evaluated (memory only: it writes nothing), and `nibble convert --to mlx`.
Medians, and how many weights of the dense outputs differ.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def arguments():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("nibble")
    parser.add_argument("--size", default="500MB")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--work", type=Path)
    return parser.parse_args()


options = arguments()
os.environ |= {"OMP_NUM_THREADS": str(options.threads), "CUDA_VISIBLE_DEVICES": "",
               "GPTQMODEL_CPU_WORKERS": "2", "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}

import mlx.core as mx
import torch
from gptqmodel.utils.model_dequant import dequantize_model
from mlx_lm.utils import load_model
from safetensors import safe_open


def nibble(*words):
    done = subprocess.run([options.nibble, *map(str, words)], capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)


def complete_config(folder):
    """What mlx-lm asks of a config; vocabulary and norms are not there and stay as they are made."""
    path = folder / "config.json"
    config = json.loads(path.read_text())
    blocks = 1 + max(int(name.split(".")[2]) for name in names(folder))
    path.write_text(json.dumps(config | {
        "num_hidden_layers": blocks, "hidden_size": 4096, "intermediate_size": 11008,
        "num_attention_heads": 32, "num_key_value_heads": 32, "rms_norm_eps": 1e-6, "vocab_size": 32,
        "tie_word_embeddings": True}))


def tensors(folder):
    for file in sorted(folder.glob("*.safetensors")):
        with safe_open(file, "pt") as opened:
            for name in opened.keys():
                yield name, opened.get_tensor(name)


def names(folder):
    for file in sorted(folder.glob("*.safetensors")):
        with safe_open(file, "pt") as opened:
            yield from opened.keys()


def load_mlx(folder):
    model, _ = load_model(folder, strict=False)
    mx.eval(model.parameters())


def differing(ours, theirs):
    kept = dict(tensors(theirs))
    return sum(int((tensor != kept[name]).sum()) for name, tensor in tensors(ours))


def main():
    work = Path(tempfile.mkdtemp(dir=options.work))
    source = work / "source"
    nibble("bench", "checkpoint", "-o", source, "--size", options.size)
    complete_config(source)
    awq = work / "awq"
    nibble("convert", source, "--to", "awq", "-o", awq, "--no-sync")
    size = sum(file.stat().st_size for file in source.glob("*.safetensors"))
    weights = 8 * sum(tensor.numel() for name, tensor in tensors(source) if name.endswith("qweight"))
    threads = ["--threads", options.threads, "--no-sync"]
    sides = {
        "nibble, dense": lambda to: nibble("convert", source, "--to", "dense", "-o", to, *threads),
        "GPTQModel dequantize_model": lambda to: dequantize_model(source, to),
        "nibble, AWQ to mlx": lambda to: nibble("convert", awq, "--to", "mlx", "-o", to, *threads),
        "mlx-lm load_model of AWQ": lambda to: load_mlx(awq),
    }
    torch.set_num_threads(options.threads)
    times = {name: [] for name in sides}
    for run in range(options.runs):
        for name, body in sides.items():
            folder = work / name.replace(" ", "-")
            shutil.rmtree(folder, ignore_errors=True)
            began = time.monotonic()
            body(folder)
            times[name].append(time.monotonic() - began)
    print(f"{size / 1e6:.0f} MB, {weights / 1e6:.0f} M weights, {options.threads} threads")
    for name, seconds in times.items():
        middle = statistics.median(seconds)
        print(f"{name:28} {middle:8.2f} s  {size / middle / 1e6:8.0f} MB/s of source")
    other = differing(work / "nibble,-dense", work / "GPTQModel-dequantize_model")
    print(f"dense weights that differ: {other} of {weights}")
    shutil.rmtree(work)


if __name__ == "__main__":
    main()
