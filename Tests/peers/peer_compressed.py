"""compressed-tensors under transformers: its unpackers on what it loaded, its dequantizer, its model."""

import torch

try:
    from compressed_tensors.compressors.pack_quantized import unpack_from_int32
except ModuleNotFoundError:  # before 0.14
    from compressed_tensors.compressors.quantized_compressors.pack_quantized import (
        unpack_from_int32)
from compressed_tensors.quantization.lifecycle.forward import dequantize
from transformers import AutoModelForCausalLM

import jobs


def load(folder):
    model, info = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float16, device_map="cpu", output_loading_info=True)
    strays = {kind: sorted(keys) for kind, keys in info.items() if keys}
    if strays:
        raise ValueError(f"keys that do not fit: {strays}")
    layers = {name: layer(module) for name, module in model.named_modules()
              if is_packed(module)}
    return model, layers


def is_packed(module):
    """Whether a module keeps whole numbers: packed, or bytes as they are."""
    scheme = getattr(module, "quantization_scheme", None)
    if scheme is None or scheme.weights is None or scheme.weights.type != "int":
        return False
    return hasattr(module, "weight_packed") or module.weight.dtype == torch.int8


@torch.no_grad()
def layer(module):
    """Scales are widened first, so that the product is exact."""
    weights = module.quantization_scheme.weights
    bits = weights.num_bits
    scale = module.weight_scale.float()
    if hasattr(module, "weight_packed"):
        shape = tuple(module.weight_shape.tolist())
        codes = unpack_from_int32(module.weight_packed, bits, shape)
    else:
        codes, shape = module.weight, tuple(module.weight.shape)
    inputs = shape[1]
    zeros = torch.zeros(scale.shape, dtype=torch.int8)
    if not weights.symmetric:
        zeros = unpack_from_int32(module.weight_zero_point, bits, scale.shape, packed_dim=0)
    g_idx = getattr(module, "weight_g_idx", None)
    order = {} if g_idx is None else {"g_idx": g_idx}
    weight = dequantize(codes, scale, zeros, args=weights, **order)
    middle = 1 << bits - 1
    if g_idx is None:
        g_idx = jobs.in_order(inputs, inputs if scale.shape[1] == 1 else weights.group_size)
    return jobs.layer((codes.int() + middle).t(), (zeros.int() + middle).t(), scale.t(), g_idx,
                      weight.t())


if __name__ == "__main__":
    jobs.main(["compressed-tensors", "transformers", "torch"], load)
