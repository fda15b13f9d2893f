"""Lets transformers and bitsandbytes judge what nibble writes of their checkpoints, on a CPU.

    PYTHON Tests/peers/bitsandbytes_peers.py --nibble PATH --goldens DIR [name…]

PYTHON has torch, transformers and bitsandbytes. For each golden `bnb-…`: its layout written again
and dense weights in its own type are loaded by transformers, which must find every key. The logits
of the golden's prompt must equal the original's, number by number, where the layout is the same;
dense weights must equal those of the peer's `dequantize`, and so must their logits. Prints a table;
exits with 1 where anything differs or nothing was compared.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile

import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM


def load(folder):
    model, info = AutoModelForCausalLM.from_pretrained(
        folder, device_map="cpu", dtype="auto", output_loading_info=True)
    strays = {kind: sorted(keys) for kind, keys in info.items() if keys}
    if strays:
        raise ValueError(f"keys that do not fit: {strays}")
    return model.eval()


@torch.no_grad()
def logits(model, prompt):
    return model(input_ids=prompt.view(1, -1), use_cache=False).logits[0].float()


def differences(a, b):
    """Numbers of two lists of tensors that differ, and how many there are."""
    if [t.shape for t in a] != [t.shape for t in b]:
        return -1, 0
    return sum(int((x != y).sum()) for x, y in zip(a, b)), sum(x.numel() for x in a)


def linears(model):
    names = [n for n, m in model.named_modules() if isinstance(m, torch.nn.Linear)]
    return {n: model.get_submodule(n).weight.detach() for n in sorted(names)}


def check(nibble, golden, work):
    with open(os.path.join(golden, "config.json")) as file:
        config = json.load(file)
    is_8 = config["quantization_config"]["load_in_8bit"]
    dtype = {"float16": "f16", "bfloat16": "bf16", "float32": "f32"}[config["dtype"]]
    prompt = load_file(os.path.join(golden, "expected.safetensors"))["input_ids"]
    same, dense = os.path.join(work, "same"), os.path.join(work, "dense")
    layout = "bnb-int8" if is_8 else "bnb-4bit"
    for arguments in [["--to", layout, "-o", same], ["--to", "dense", "--dtype", dtype, "-o", dense]]:
        subprocess.run([nibble, "convert", golden] + arguments, check=True, capture_output=True)

    expected = logits(load(golden), prompt)
    yield "written again: logits", *differences([expected], [logits(load(same), prompt)])
    # A fresh one: running casts biases for good.
    peer = load(golden).dequantize(dtype=getattr(torch, config["dtype"]))
    ours = load(dense)
    a, b = linears(peer), linears(ours)
    if sorted(a) != sorted(b):
        raise ValueError("other linear layers")
    yield "dense: weights", *differences(list(a.values()), list(b.values()))
    yield "dense: logits", *differences([logits(peer, prompt)], [logits(ours, prompt)])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--nibble", required=True)
    parser.add_argument("--goldens", required=True)
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    names = options.names or sorted(
        name for name in os.listdir(options.goldens) if name.startswith("bnb-"))
    failed, compared = 0, 0
    for name in names:
        with tempfile.TemporaryDirectory() as work:
            for what, wrong, count in check(
                options.nibble, os.path.join(options.goldens, name), work):
                compared += count
                failed += wrong != 0
                print(f"{name:24} {what:24} {wrong} of {count} differ", flush=True)
    return 1 if failed or not compared else 0


if __name__ == "__main__":
    sys.exit(main())
