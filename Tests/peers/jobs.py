"""What all peers share: a list of folders to load, and what is kept of each.

A peer's script gives `load(folder)`, which returns the model and its packed layers, and calls
`main`. The list is a JSON file of {"folder", "result", "prompt", "steps"}; for each entry the
tensors go to RESULT.safetensors and the words to RESULT.json. A peer that refuses a folder does
not stop the others: its words are kept as "error".
"""

import importlib.metadata
import json
import sys
import traceback

import torch
from safetensors.torch import save_file


def layer(codes, zeros, scales, g_idx, weight):
    """One packed layer: codes [in, out], zeros and scales [groups, out], g_idx [in],
    weight float32 [in, out]."""
    return {
        "codes": codes.to(torch.uint8),
        "zeros": zeros.to(torch.int16),
        "scales": scales.to(torch.float32),
        "g_idx": g_idx.to(torch.int32),
        "weight": weight.to(torch.float32),
    }


def in_order(rows, group_size):
    """The group of each input where groups lie one after another."""
    return torch.arange(rows) // group_size


@torch.no_grad()
def speak(model, prompt, steps):
    """Logits of the prompt, float32 [tokens, vocabulary], and the greedy ids that follow it."""
    ids = torch.tensor([prompt])
    logits = model(input_ids=ids, use_cache=False).logits[0].float()
    last = logits[-1]
    for step in range(steps):
        ids = torch.cat([ids, last.argmax().view(1, 1)], dim=1)
        if step + 1 < steps:
            last = model(input_ids=ids, use_cache=False).logits[0, -1].float()
    return logits, ids[0, len(prompt):]


def run(job, load):
    model, layers = load(job["folder"])
    logits, generated = speak(model, job["prompt"], job["steps"])
    tensors = {"logits": logits, "generated": generated}
    for name, parts in layers.items():
        tensors |= {f"{name}.{part}": tensor for part, tensor in parts.items()}
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()},
              job["result"] + ".safetensors")
    return {"layers": sorted(layers), "kernels": kernels(model)}


def kernels(model):
    """The classes the peer put in for packed layers."""
    return sorted({type(m).__name__ for m in model.modules() if hasattr(m, "qweight")})


def main(packages, load):
    versions = {package: importlib.metadata.version(package) for package in packages}
    with open(sys.argv[1]) as file:
        jobs = json.load(file)
    for job in jobs:
        try:
            words = run(job, load)
        except Exception as error:
            words = {"error": f"{type(error).__name__}: {error}".split("\n")[0],
                     "trace": traceback.format_exc()}
        with open(job["result"] + ".json", "w") as file:
            json.dump(words | {"versions": versions}, file, indent=1)
