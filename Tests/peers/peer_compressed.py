"""compressed-tensors under transformers: its unpackers on what it loaded, its dequantizer, its model."""

import torch
from compressed_tensors.compressors.pack_quantized import unpack_from_int32
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
              if hasattr(module, "weight_packed")}
    return model, layers


@torch.no_grad()
def layer(module):
    """Scales are widened first, so that the product is exact."""
    weights = module.quantization_scheme.weights
    bits = weights.num_bits
    outputs, inputs = shape = tuple(module.weight_shape.tolist())
    scale = module.weight_scale.float()
    codes = unpack_from_int32(module.weight_packed, bits, shape)
    zeros = torch.zeros(scale.shape, dtype=torch.int8)
    if not weights.symmetric:
        zeros = unpack_from_int32(module.weight_zero_point, bits, scale.shape, packed_dim=0)
    weight = dequantize(codes, scale, zeros, args=weights)
    middle = 1 << bits - 1
    g_idx = jobs.in_order(inputs, inputs if scale.shape[1] == 1 else weights.group_size)
    return jobs.layer((codes.int() + middle).t(), (zeros.int() + middle).t(), scale.t(), g_idx,
                      weight.t())


if __name__ == "__main__":
    jobs.main(["compressed-tensors", "transformers", "torch"], load)
