"""Compares what peers kept of two folders. Reads a list of {"kind", "left", "right", ...} as
JSON, prints a list of {"result", "words"}: "equal", "within" (a stated tolerance) or "differs"."""

import json
import sys

import torch
from safetensors import safe_open


def tensors(path):
    with safe_open(path, "pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}


def same_bits(left, right):
    """Equal in dtype, shape and every bit: 0 is not -0, and NaN equals itself."""
    return (left.dtype == right.dtype and left.shape == right.shape
            and torch.equal(bits(left), bits(right)))


def bits(tensor):
    return tensor.contiguous().flatten().view(torch.uint8)


def layers(check):
    """Codes, zero points, scales, groups and float32 weights of every layer."""
    left, right = tensors(check["left"]), tensors(check["right"])
    names = {name for name in left | right if "." in name}
    if not names:
        return "differs", "no layers"
    wrong = [name for name in sorted(names)
             if name not in left or name not in right or not same_bits(left[name], right[name])]
    count = len({name.rpartition(".")[0] for name in names})
    if wrong:
        return "differs", f"{len(wrong)} of {len(names)} tensors, first {wrong[0]}"
    return "equal", f"{count} layers: codes, zeros, scales, groups, float32 weights"


def golden(check):
    """A peer's decoding against what is kept in the golden, made by the writer's own code."""
    left, right = tensors(check["left"]), tensors(check["right"])
    pairs = []
    for name, tensor in right.items():
        kind, _, rest = name.partition(":")
        if kind == "dequant":
            pairs.append((rest, left[rest].t(), tensor))
        elif kind == "part" and rest.rpartition(".")[2] in ("codes", "zeros", "scales"):
            middle = 0 if rest.endswith("scales") else check["middle"]
            pairs.append((rest, left[rest].t(), tensor.float() + middle))
    wrong = [name for name, mine, theirs in pairs
             if mine.shape != theirs.shape or not torch.equal(mine.double(), theirs.double())]
    if wrong or not pairs:
        return "differs", f"{len(wrong)} of {len(pairs)} tensors, first {wrong[:1]}"
    return "equal", f"{len(pairs)} tensors of the golden"


def dense(check):
    """Float32 weights of a folder made dense, against those that the golden keeps."""
    left, right = {}, tensors(check["right"])
    for path in check["left"]:
        left |= tensors(path)
    kept = {name.removeprefix("dequant:"): tensor for name, tensor in right.items()
            if name.startswith("dequant:")}
    kind = getattr(torch, check["type"])
    wrong = [name for name, tensor in kept.items()
             if not torch.equal(left[name].to(kind).float(), tensor)]
    if wrong or not kept:
        return "differs", f"{len(wrong)} of {len(kept)} weights, first {wrong[:1]}"
    return "equal", f"{len(kept)} {check['type']} weights of the golden"


def logits(check):
    left, right = tensors(check["left"])["logits"], tensors(check["right"])["logits"]
    if same_bits(left, right):
        return "equal", f"logits {list(left.shape)}"
    worst = (left - right).abs().max().item()
    words = f"logits {list(left.shape)}: max |Δ| {worst:.2g}, allowed {check['tolerance']}"
    return ("within", words) if worst <= check["tolerance"] else ("differs", words)


def greedy(check):
    """Ids must agree up to the first place where the golden's two best logits lie so near that
    an equally right peer may choose the other; after it the texts part."""
    ids = tensors(check["left"])["generated"].tolist()
    for step, (mine, theirs, gap) in enumerate(zip(ids, check["ids"], check["gaps"])):
        if mine != theirs:
            words = f"greedy id {step}: gap {gap:.2g}"
            return ("within" if gap <= check["tolerance"] else "differs"), words
    if len(ids) != len(check["ids"]):
        return "differs", f"{len(ids)} greedy ids of {len(check['ids'])}"
    return "equal", f"{len(ids)} greedy ids"


def stored(check):
    """Every tensor of two files, bit for bit; for checkpoints that came back."""
    left, right = {}, {}
    for all, paths in ((left, check["left"]), (right, check["right"])):
        for path in paths:
            all |= tensors(path)
    if left.keys() != right.keys():
        return "differs", f"names: {sorted(left.keys() ^ right.keys())[:3]}"
    wrong = [name for name in sorted(left) if not same_bits(left[name], right[name])]
    if wrong:
        return "differs", f"{len(wrong)} of {len(left)} tensors, first {wrong[0]}"
    return "equal", f"{len(left)} stored tensors"


if __name__ == "__main__":
    kinds = {check.__name__: check for check in (layers, golden, dense, logits, greedy, stored)}
    with open(sys.argv[1]) as file:
        results = [kinds[check["kind"]](check) for check in json.load(file)]
    json.dump([{"result": result, "words": words} for result, words in results], sys.stdout)
