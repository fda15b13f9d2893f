"""Makes single layers with the peers' own packers and decoders: integer codes of every width, FP8
in tiles, MXFP4 of gpt-oss, MXFP4, MXFP8 and NVFP4 of compressed-tensors.

    python Fixtures/make_layers.py        in an environment with compressed-tensors >= 0.17
    python Fixtures/make_layers.py hf     in one with transformers >= 5

Writes FORMAT/golden/layers/{ct,hf}.safetensors beside this file. All numbers come from a fixed seed;
everything a peer decodes is kept as float32 under `….dequant`.
"""

import os
import sys

import torch
from safetensors.torch import save_file

HERE = os.path.dirname(os.path.abspath(__file__))


def save(folder, name, tensors):
    path = os.path.join(HERE, folder, "golden", "layers")
    os.makedirs(path, exist_ok=True)
    tensors = {key: tensor.contiguous().clone() for key, tensor in tensors.items()}
    save_file(tensors, os.path.join(path, name + ".safetensors"))


def integers():
    """Codes of 1 to 8 bits, outputs and inputs that fill no words, whole and partial rows."""
    from compressed_tensors.compressors.pack_quantized import pack_to_int32
    tensors = {}
    for bits in range(1, 9):
        for outputs, inputs, groups in [(12, 40, 5), (33, 70, 1)]:
            low, high = -(1 << bits - 1), (1 << bits - 1)
            codes = torch.randint(low, high, (outputs, inputs)).to(torch.int8)
            zeros = torch.randint(low, high, (outputs, groups)).to(torch.int8)
            scale = torch.rand(outputs, groups) * 0.01 + 0.001
            scale = scale.to([torch.float16, torch.bfloat16, torch.float32][bits % 3])
            wide = codes.float().unflatten(1, (groups, -1))
            weight = (wide - zeros.float()[:, :, None]) * scale.float()[:, :, None]
            name = f"b{bits}n{outputs}k{inputs}"
            tensors |= {
                f"{name}.weight_packed": pack_to_int32(codes, bits),
                f"{name}.weight_zero_point": pack_to_int32(zeros, bits, packed_dim=0),
                f"{name}.weight_scale": scale,
                f"{name}.weight_shape": torch.tensor([outputs, inputs]),
                f"{name}.codes": (codes.int() - low).to(torch.uint8),
                f"{name}.zeros": (zeros.int() - low).to(torch.uint8),
                f"{name}.dequant": weight.flatten(1),
            }
    save("compressed-tensors", "ct", tensors)


def arguments(**values):
    from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme
    return QuantizationScheme(targets=["Linear"], weights=QuantizationArgs(**values))


def floats():
    """Tiles of FP8, MXFP8, MXFP4 and NVFP4 by compressed-tensors' decompressors. They round the
    result to BF16 where scales are BF16, so the product is repeated with wider scales."""
    from compressed_tensors.compressors.mxfp4 import MXFP4PackedCompressor
    from compressed_tensors.compressors.mxfp8 import MXFP8QuantizationCompressor
    from compressed_tensors.compressors.nvfp4.helpers import unpack_fp4_from_uint8
    from compressed_tensors.compressors.mx_utils import decompress_mx_scale
    from compressed_tensors.quantization.lifecycle.forward import dequantize

    every = torch.arange(256).to(torch.uint8)
    bytes8 = every[(every & 0x7F) != 0x7F].repeat(200)
    weight = bytes8[torch.randperm(len(bytes8))][:70 * 96].view(torch.float8_e4m3fn)
    weight = weight.view(70, 96)
    tiles = arguments(num_bits=8, type="float", strategy="block", block_structure=[64, 64])
    scale = torch.rand(2, 2) * 0.01
    fp8 = {"block.weight": weight, "block.weight_scale": scale,
           "block.dequant": dequantize(weight, scale, args=tiles.weights)}
    whole = arguments(num_bits=8, type="float", strategy="tensor")
    scale = torch.tensor([0.0123])
    fp8 |= {"tensor.weight": weight, "tensor.weight_scale": scale,
            "tensor.dequant": dequantize(weight, scale, args=whole.weights)}
    save("fp8", "ct", fp8)

    mx = {}
    group = arguments(num_bits=8, type="float", strategy="group", group_size=32,
                      scale_dtype=torch.uint8)
    scale = torch.randint(90, 140, (70, 3)).to(torch.uint8)
    wide = decompress_mx_scale(scale).float()
    mx |= {"mxfp8.weight": weight, "mxfp8.weight_scale": scale,
           "mxfp8.dequant": dequantize(weight, wide, args=group.weights)}
    assert MXFP8QuantizationCompressor.decompress(
        {"weight": weight, "weight_scale": scale}, group)["weight"].dtype == torch.bfloat16

    group = arguments(num_bits=4, type="float", strategy="group", group_size=32,
                      scale_dtype=torch.uint8)
    packed = torch.randint(0, 256, (70, 48)).to(torch.uint8)
    codes = unpack_fp4_from_uint8(packed, 70, 96, dtype=torch.float32)
    mx |= {"mxfp4.weight_packed": packed, "mxfp4.weight_scale": scale,
           "mxfp4.dequant": dequantize(codes, wide, args=group.weights)}
    decoded = MXFP4PackedCompressor.decompress(
        {"weight_packed": packed, "weight_scale": scale}, group)["weight"]
    assert torch.equal(decoded.float(), mx["mxfp4.dequant"])
    save("mxfp4", "ct", mx)

    group = arguments(num_bits=4, type="float", strategy="tensor_group", group_size=16)
    scale = torch.randint(1, 0x7E, (70, 6)).to(torch.uint8).view(torch.float8_e4m3fn)
    factor = torch.tensor([1237.5])
    save("nvfp4", "ct", {
        "nvfp4.weight_packed": packed, "nvfp4.weight_scale": scale,
        "nvfp4.weight_global_scale": factor,
        "nvfp4.dequant": dequantize(
            codes, scale.float(), args=group.weights, global_scale=factor)})


def transformers():
    """gpt-oss's experts, and the tiles and nibbles of `weight_scale_inv`."""
    from transformers.integrations.finegrained_fp8 import Fp8Dequantize
    from transformers.integrations.mxfp4 import convert_moe_packed_tensors

    blocks = torch.randint(0, 256, (3, 34, 2, 16)).to(torch.uint8)
    scales = torch.randint(100, 140, (3, 34, 2)).to(torch.uint8)
    name = "model.layers.0.mlp.experts.gate_up_proj"
    mx = {f"{name}_blocks": blocks, f"{name}_scales": scales,
          f"{name}.dequant": convert_moe_packed_tensors(blocks, scales, dtype=torch.float32)}
    decode = Fp8Dequantize(None)
    nibbles = torch.randint(-128, 128, (34, 48)).to(torch.int8)
    scale = torch.randint(100, 140, (34, 3)).to(torch.uint8)
    exponents = scale.view(torch.float8_e8m0fnu)
    mx |= {"v4.weight": nibbles, "v4.scale": exponents,
           "v4.dequant": decode._dequantize_one(nibbles, exponents, torch.float32)}
    save("mxfp4", "hf", mx)

    every = torch.arange(256).to(torch.uint8)
    every = every[(every & 0x7F) != 0x7F]
    weight = every[torch.randint(0, len(every), (2 * 32 * 24,))].view(torch.float8_e4m3fn)
    weight = weight.view(2, 32, 24)
    scale = torch.rand(2, 2, 1) * 0.01
    fp8 = {"experts.gate_up_proj": weight, "experts.gate_up_proj_scale_inv": scale,
           "experts.gate_up_proj.dequant": decode._dequantize_one(weight, scale, torch.float32)}
    exponents = torch.randint(110, 130, (2, 1)).to(torch.uint8).view(torch.float8_e8m0fnu)
    fp8 |= {"ue8m0.weight": weight[0], "ue8m0.weight_scale_inv": exponents,
            "ue8m0.dequant": decode._dequantize_one(weight[0], exponents, torch.float32)}
    save("fp8", "hf", fp8)


if __name__ == "__main__":
    torch.manual_seed(7)
    if sys.argv[1:] == ["hf"]:
        transformers()
    else:
        integers()
        floats()
