"""Packs small layers with GPTQModel's own code in words of 8 and 16 bits.

    python Fixtures/gptq/narrow.py

Needs gptqmodel 7.7.0 and safetensors. Writes golden/layers-gptq-narrow/layers.safetensors beside
this file: for b bits in words of W bits the parts `b<b>w<W>.…` as GPTQModel packs them, zero points
in both versions, and the numbers it was given.
"""

import os
import types

import torch
from gptqmodel.nn_modules.qlinear.torch import TorchLinear
from gptqmodel.utils.model import convert_gptq_v2_to_v1_format_module
from safetensors.torch import save_file

HERE = os.path.dirname(os.path.abspath(__file__))
OUTPUTS, INPUTS, GROUP = 32, 64, 32


def case(bits, word):
    dtype = {8: torch.int8, 16: torch.int16}[word]
    random = torch.Generator().manual_seed(bits * 100 + word)
    groups = INPUTS // GROUP
    codes = torch.randint(0, 1 << bits, (OUTPUTS, INPUTS), generator=random)
    # Of so many zero points some are 0 and some the maximum, so that version 1 borrows.
    zeros = torch.randint(0, 1 << bits, (OUTPUTS, groups), generator=random)
    zeros[::5, 0], zeros[1::5, 1] = 0, (1 << bits) - 1
    scales = torch.rand(OUTPUTS, groups, generator=random).mul_(0.01).add_(0.001).half()
    wide = [t.float().repeat_interleave(GROUP, dim=1) for t in (zeros, scales)]
    linear = torch.nn.Linear(INPUTS, OUTPUTS, bias=False)
    linear.weight.data = (codes - wide[0]) * wide[1]
    packed = TorchLinear(
        bits=bits, group_size=GROUP, sym=False, desc_act=False, in_features=INPUTS,
        out_features=OUTPUTS, bias=False, pack_dtype=dtype).eval()
    packed.pack_original(
        linear, scales.float(), zeros.float(), torch.arange(INPUTS, dtype=torch.int32) // GROUP)
    parts = {
        "qweight": packed.qweight, "qzeros_v2": packed.qzeros.clone(), "scales_fp16": packed.scales,
        "zero": zeros.float(), "dequant_f32": linear.weight.data,
    }
    convert_gptq_v2_to_v1_format_module(
        packed, types.SimpleNamespace(bits=bits, pack_dtype=dtype))
    parts["qzeros_v1"] = packed.qzeros
    return {f"b{bits}w{word}.{name}": tensor.contiguous() for name, tensor in parts.items()}


if __name__ == "__main__":
    tensors = {}
    for bits in (2, 4, 8):
        for word in (8, 16):
            tensors.update(case(bits, word))
    folder = os.path.join(HERE, "golden", "layers-gptq-narrow")
    os.makedirs(folder, exist_ok=True)
    save_file(tensors, os.path.join(folder, "layers.safetensors"))
