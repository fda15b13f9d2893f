#!/usr/bin/env python3
"""Optimizer states as Formats/bitsandbytes-optimizer.md names them: `valid` saved by bitsandbytes'
own optimizers, `invalid` from the first of them, and a pickle to refuse.

python Fixtures/bitsandbytes-optim/make_states.py    needs what make.py needs
"""
import io
import os

import bitsandbytes as bnb
import torch
from safetensors.torch import load_file, save_file

HERE = os.path.dirname(os.path.abspath(__file__))


def flatten(tree, prefix=""):
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from flatten(value, f"{prefix}{key}.")
        else:
            tensor = value if torch.is_tensor(value) else torch.tensor(value)
            yield f"{prefix}{key}", tensor.contiguous().clone()


def trained(make, sizes, steps=3):
    torch.manual_seed(11)
    parameters = [torch.nn.Parameter(torch.randn(*size)) for size in sizes]
    optimizer = make(parameters)
    for _ in range(steps):
        for parameter in parameters:
            parameter.grad = torch.randn_like(parameter) * 0.1
        optimizer.step()
    return optimizer


def saved(path, optimizer, wrapped=True):
    state = optimizer.state_dict()["state"]
    if not wrapped:
        key = bnb.optim.optimizer.Optimizer8bit._FSDP_WRAPPED_QUANT_STATE_KEY
        state = {k: {**{a: b for a, b in v.items() if a != key}, **v.get(key, {})}
                 for k, v in state.items()}
    save_file(dict(flatten(state, "state.")), path)


def main():
    valid, invalid = os.path.join(HERE, "valid"), os.path.join(HERE, "invalid")
    os.makedirs(valid, exist_ok=True)
    os.makedirs(invalid, exist_ok=True)
    adam = trained(lambda p: bnb.optim.AdamW8bit(p, lr=1e-3), [(64, 66), (40,)])
    saved(f"{valid}/adamw8bit.safetensors", adam)
    saved(f"{valid}/adamw8bit-unwrapped.safetensors", adam, wrapped=False)
    saved(f"{valid}/lion8bit.safetensors",
          trained(lambda p: bnb.optim.Lion8bit(p, lr=1e-3), [(4096,)]))
    saved(f"{valid}/ademamix8bit.safetensors",
          trained(lambda p: bnb.optim.AdEMAMix8bit(p, lr=1e-3), [(16, 256)]))
    saved(f"{valid}/adam32bit.safetensors",
          trained(lambda p: bnb.optim.Adam(p, lr=1e-3), [(4100,)]))

    base = load_file(f"{valid}/adamw8bit-unwrapped.safetensors")

    def broken(name, change):
        tensors = {k: v.clone() for k, v in base.items() if k.startswith("state.0.")}
        change(tensors)
        save_file(tensors, f"{invalid}/{name}.safetensors")

    def with_value(key, value):
        def change(tensors):
            tensors[key][0] = value
        return change

    broken("BNBO-2-no-states", lambda t: [t.pop(k) for k in list(t) if not k.endswith("step")])
    broken("BNBO-3-no-state1", lambda t: t.pop("state.0.state1"))
    broken("BNBO-3-short-state2", lambda t: t.update({"state.0.state2": t["state.0.state2"][:3].clone()}))
    broken("BNBO-4-no-absmax2", lambda t: t.pop("state.0.absmax2"))
    broken("BNBO-5-short-map", lambda t: t.update({"state.0.qmap1": t["state.0.qmap1"][:255].clone()}))
    broken("BNBO-6-short-absmax", lambda t: t.update({"state.0.absmax1": t["state.0.absmax1"][:-1].clone()}))
    broken("BNBO-7-no-blocks", lambda t: t.update({"state.0.max1": torch.ones(1)}))
    broken("BNBO-8-nan-scale", with_value("state.0.absmax2", float("nan")))
    broken("BNBO-8-map-beyond-1", with_value("state.0.qmap1", -1.5))
    file = io.BytesIO()
    torch.save({"state": {0: {"step": 1}}}, file)
    with open(f"{invalid}/BNBO-1-pickle.bin", "wb") as out:
        out.write(file.getvalue())


if __name__ == "__main__":
    main()
