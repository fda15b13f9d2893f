"""A whole run of GPTQ, from a dense folder to a written one, by nibble and by GPTQModel on the CPU: 4 bits, groups
of 128, the same windows of random ids. Seconds that pass, seconds of processor time and peak memory of each.

    PYTHON bench_gptqmodel.py NIBBLE MODEL [--samples 32 --length 512 --threads 2 --batch 4 --only nibble|gptqmodel]

MODEL is a dense model such as `nibble bench model --dense` writes. On a busy machine only processor time counts.
"""

import argparse
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import time


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("nibble")
    parser.add_argument("model")
    parser.add_argument("--samples", type=int, default=32)
    parser.add_argument("--length", type=int, default=512)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--mse", type=float, default=0, help="of both; 0 takes whole ranges")
    parser.add_argument("--dtype", default="float16", help="what GPTQModel computes in")
    parser.add_argument("--only", choices=["nibble", "gptqmodel"])
    parser.add_argument("--child", nargs=2, metavar=("IDS", "OUTPUT"))
    return parser.parse_args()


def with_tokenizer(model, folder):
    """GPTQModel loads no model without a tokenizer: one of words that are their own ids stands in for it."""
    if os.path.exists(os.path.join(model, "tokenizer.json")):
        return model
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast
    words = json.load(open(os.path.join(model, "config.json")))["vocab_size"]
    tokenizer = Tokenizer(models.WordLevel({f"<{word}>": word for word in range(words)}, "<0>"))
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="<0>", pad_token="<0>", bos_token="<1>",
        eos_token="<2>").save_pretrained(folder)
    for file in pathlib.Path(model).resolve().iterdir():
        os.symlink(file, os.path.join(folder, file.name))
    return folder


def peer(options):
    """In a process of its own."""
    import torch
    from gptqmodel import BACKEND, GPTQModel, QuantizeConfig
    ids, output = options.child
    data = [{"input_ids": torch.tensor([window]),
             "attention_mask": torch.ones(1, len(window), dtype=torch.long)}
            for window in json.load(open(ids))]
    config = QuantizeConfig(bits=4, group_size=128, sym=True, desc_act=False, mse=options.mse)
    with tempfile.TemporaryDirectory() as folder:
        model = GPTQModel.load(
            with_tokenizer(options.model, folder), config, device="cpu",
            dtype=getattr(torch, options.dtype))
        model.quantize(data, batch_size=options.batch, backend=BACKEND.TORCH)
        model.save(output)


def measure(name, command, environment):
    start = time.time()
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        _, status, usage = os.wait4(process.pid, 0)
        if status:
            log.seek(0)
            sys.stderr.write(log.read().decode(errors="replace")[-2000:])
    row = {"seconds": time.time() - start, "processor_seconds": usage.ru_utime + usage.ru_stime,
           "peak_bytes": usage.ru_maxrss * 1024, "status": os.waitstatus_to_exitcode(status)}
    print(json.dumps({name: row}), flush=True)
    return row


def main():
    options = arguments()
    if options.child:
        return peer(options)
    words = json.load(open(os.path.join(options.model, "config.json")))["vocab_size"]
    threads = str(options.threads)
    environment = dict(os.environ, OMP_NUM_THREADS=threads, OMP_WAIT_POLICY="PASSIVE",
                       CUDA_VISIBLE_DEVICES="", HF_HUB_OFFLINE="1", GPTQMODEL_CPU_WORKERS=threads)
    with tempfile.TemporaryDirectory() as folder:
        ids = os.path.join(folder, "ids.json")
        draw = random.Random(1)
        windows = [[draw.randrange(words) for _ in range(options.length)]
                   for _ in range(options.samples)]
        json.dump(windows, open(ids, "w"))
        rows = {}
        if options.only != "gptqmodel":
            rows["nibble"] = measure("nibble", [
                options.nibble, "quantize", options.model, "--method", "gptq", "--bits", "4",
                "--group-size", "128", "--mse", str(options.mse), "--format", "gptq", "--calibration", ids,
                "--num-samples", str(options.samples), "--seq-len", str(options.length),
                "--threads", threads, "-o", os.path.join(folder, "nibble")], environment)
        if options.only != "nibble":
            rows["gptqmodel"] = measure("gptqmodel", [
                sys.executable, __file__, options.nibble, options.model, "--batch",
                str(options.batch), "--dtype", options.dtype, "--mse", str(options.mse), "--child", ids,
                os.path.join(folder, "peer")], environment)
        if len(rows) == 2:
            for key in ["seconds", "processor_seconds", "peak_bytes"]:
                print(f"{key}: {rows['gptqmodel'][key] / rows['nibble'][key]:.2f} times nibble's")
    sys.exit(any(row["status"] for row in rows.values()))


main()
