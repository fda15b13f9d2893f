"""Writes checkpoints that no golden is like, from a golden of GPTQModel's and with its code:

zeros-v2, zeros-v1  every zero point from 0 to 15, in either version
dense-one           one layer of one block left unpacked, as `dynamic` allows
dense-all           the same layer of every block

    python make_sources.py GOLDEN FOLDER
"""

import json
import shutil
import sys
from pathlib import Path

import torch
from gptqmodel.nn_modules.qlinear.torch import TorchLinear
from gptqmodel.quantization import QuantizeConfig
from gptqmodel.utils.model import (
    convert_gptq_v1_to_v2_format_module, convert_gptq_v2_to_v1_format_module)
from gptqmodel.utils.model_dequant import pack_cols
from safetensors import safe_open
from safetensors.torch import save_file

# What a peer has no way to load, by peer and layout.
OTHERS_OF_DYNAMIC = {f"transformers/{layout}": "transformers reads no `dynamic`"
                     for layout in ("gptq", "gptq_v2")}


def write(golden, folder, tensors, expected=None, **changes):
    """A folder like the golden with other tensors and some keys of its config changed."""
    folder.mkdir()
    config = json.loads((golden / "config.json").read_text())
    config["quantization_config"] |= changes
    golden_expected = json.loads((golden / "expected.json").read_text())
    expected = {key: golden_expected[key] for key in ("model", "prompt_ids")} | (expected or {})
    for name, value in (("config", config), ("expected", expected),
                        ("quantize_config", config["quantization_config"])):
        (folder / f"{name}.json").write_text(json.dumps(value, indent=2))
    shutil.copyfile(golden / "generation_config.json", folder / "generation_config.json")
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def layer(tensors, name):
    """The golden's layer as a module with zero points of version 2."""
    parts = {part: tensors[f"{name}.{part}"].clone() for part in
             ("qweight", "qzeros", "scales", "g_idx")}
    inputs, outputs = len(parts["g_idx"]), parts["scales"].shape[1]
    module = TorchLinear(bits=4, group_size=32, sym=False, desc_act=False, in_features=inputs,
                         out_features=outputs, bias=False).eval()
    module.load_state_dict(parts)
    convert_gptq_v1_to_v2_format_module(module, bits=4, pack_dtype=torch.int32)
    return module


def every_zero(golden, tensors, folder):
    """Zero points drawn anew, packed by GPTQModel's code and moved to version 1 by it."""
    random = torch.Generator().manual_seed(1)
    v1, v2 = dict(tensors), dict(tensors)
    for name in [name for name in tensors if name.endswith(".qzeros")]:
        module = layer(tensors, name.removesuffix(".qzeros"))
        zeros = torch.randint(0, 16, module.scales.shape, generator=random)
        module.qzeros.data = pack_cols(zeros, 4, pack_dtype=torch.int32)
        v2[name] = module.qzeros.clone()
        convert_gptq_v2_to_v1_format_module(module, QuantizeConfig(bits=4, group_size=32))
        v1[name] = module.qzeros.clone()
    refused = {"refused": ["gptq"]}
    write(golden, folder / "zeros-v1", v1, refused)
    write(golden, folder / "zeros-v2", v2, refused, checkpoint_format="gptq_v2", format="gptq_v2")


def dense(golden, tensors, folder, blocks, unable):
    """`down_proj` of some blocks as a plain matrix, and the rules that say so."""
    tensors, rules = dict(tensors), {}
    for block in blocks:
        name = f"model.layers.{block}.mlp.down_proj"
        weight = layer(tensors, name).dequantize_weight().t().contiguous().half()
        for part in ("qweight", "qzeros", "scales", "g_idx"):
            del tensors[f"{name}.{part}"]
        tensors[f"{name}.weight"] = weight
        rules["-:" + name.replace(".", r"\.")] = {}
    write(golden, folder, tensors, {"unable": unable | OTHERS_OF_DYNAMIC}, dynamic=rules)


def main():
    golden, folder = Path(sys.argv[1]), Path(sys.argv[2])
    with safe_open(golden / "model.safetensors", "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}
    with torch.no_grad():
        every_zero(golden, tensors, folder)
        dense(golden, tensors, folder / "dense-all", [0, 1], {})
        dense(golden, tensors, folder / "dense-one", [1], {
            "autoawq/awq": "AutoAWQ leaves a module dense in all blocks or in none"})


if __name__ == "__main__":
    main()
