"""AutoAWQ: its loader with WQLinear_GEMM on the CPU, its unpackers, its dequantizer."""

import torch
from awq import AutoAWQForCausalLM
from awq.models import base
from awq.modules.linear.gemm import WQLinear_GEMM
from awq.utils.packing_utils import dequantize_gemm, reverse_awq_order, unpack_awq

import jobs

# On a machine without a GPU its loader insists on a package for Intel CPUs; under any other name
# for the device it takes its own plain kernel.
base.get_best_device = lambda: "cpu:0"


def load(folder):
    model = AutoAWQForCausalLM.from_quantized(
        folder, fuse_layers=False, device_map={"": "cpu"}, torch_dtype=torch.float16).model
    layers = {name: awq(module) for name, module in model.named_modules()
              if isinstance(module, WQLinear_GEMM)}
    return model, layers


def awq(module):
    codes, zeros = reverse_awq_order(*unpack_awq(module.qweight, module.qzeros, 4), 4)
    weight = dequantize_gemm(
        module.qweight, module.qzeros, module.scales.float(), 4, module.group_size)
    g_idx = jobs.in_order(module.in_features, module.group_size)
    return jobs.layer(codes & 15, zeros & 15, module.scales, g_idx, weight)


if __name__ == "__main__":
    jobs.main(["autoawq", "transformers", "torch"], load)
