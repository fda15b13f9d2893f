"""Loads what `nibble quantize` writes with transformers and bitsandbytes on the CPU, and compares the logits
with those of the peer's own quantization of the same model.

    python Tests/peers/bitsandbytes_logits.py NIBBLE MODEL [MODEL...]

MODEL is a folder of dense weights. Exit code 1 where any logit differs in any bit.
"""

import subprocess
import sys
import tempfile

import torch
from transformers import AutoConfig, AutoModelForCausalLM, BitsAndBytesConfig

METHODS = [
    ("bnb-nf4", [], dict(load_in_4bit=True, bnb_4bit_quant_type="nf4")),
    (
        "bnb-nf4",
        ["--double-quant"],
        dict(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True),
    ),
    ("bnb-fp4", [], dict(load_in_4bit=True, bnb_4bit_quant_type="fp4")),
    ("bnb-int8", [], dict(load_in_8bit=True)),
]


def logits(path, ids, **settings):
    model = AutoModelForCausalLM.from_pretrained(path, device_map={"": "cpu"}, **settings).eval()
    with torch.no_grad():
        return model(ids).logits.float()


def compare(nibble, path, method, options, settings):
    config = AutoConfig.from_pretrained(path)
    ids = torch.arange(1, 25).reshape(1, -1) % config.vocab_size
    if "load_in_4bit" in settings:
        settings = settings | {"bnb_4bit_compute_dtype": config.dtype}
    theirs = logits(path, ids, quantization_config=BitsAndBytesConfig(**settings))
    with tempfile.TemporaryDirectory() as folder:
        command = [nibble, "quantize", path, "--method", method, "--bnb-rules", "cpu", *options]
        subprocess.run([*command, "-o", f"{folder}/out"], check=True, capture_output=True)
        mine = logits(f"{folder}/out", ids)
    differing = int((mine != theirs).sum())
    print(f"{path} {method} {' '.join(options)}: {differing} of {mine.numel()} logits differ")
    return differing == 0 and bool(torch.isfinite(mine).all())


if __name__ == "__main__":
    nibble, *paths = sys.argv[1:]
    results = [compare(nibble, path, *case) for path in paths for case in METHODS]
    sys.exit(0 if results and all(results) else 1)
