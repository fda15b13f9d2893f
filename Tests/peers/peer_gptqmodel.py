"""GPTQModel: its loader with its torch kernels on the CPU, its unpackers, its dequantizers."""

from unittest import mock

import torch
from gptqmodel import BACKEND, GPTQModel
from gptqmodel.nn_modules.qlinear.torch import TorchLinear
from gptqmodel.nn_modules.qlinear.torch_awq import AwqTorchLinear
from gptqmodel.quantization import BaseQuantizeConfig
from gptqmodel.quantization.awq.utils.packing_utils import (
    dequantize_gemm, reverse_awq_order, unpack_awq)
from gptqmodel.utils.model_dequant import unpack_cols, unpack_rows

import jobs


def load(folder):
    model = GPTQModel.load(folder, backend=BACKEND.TORCH, device="cpu", dtype=torch.float16).model
    return model, layers(model)


def load_others(folder):
    """GPTQModel refuses asymmetric version 1 files that do not name it in `meta.quantizer`, for
    fear of zero points that left their fields. Those of AutoAWQ's numbers cannot name it."""
    try:
        return load(folder)
    except ValueError as error:
        if "only supported if produced by gptqmodel" not in str(error):
            raise
        with mock.patch.object(BaseQuantizeConfig, "is_quantized_by_gptaq", lambda config: True):
            return *load(folder), "loads asymmetric version 1 only of its own making; made to"


def layers(model):
    """Of a loaded model: what its TorchLinear and AwqTorchLinear modules hold."""
    readers = {TorchLinear: gptq, AwqTorchLinear: awq}
    return {name: readers[type(module)](module) for name, module in model.named_modules()
            if type(module) in readers}


def gptq(module):
    """The loader has turned version 1 zero points into version 2 already. Scales are widened
    first, so that the product is exact."""
    codes = unpack_rows(module.qweight, module.bits)[: module.in_features]
    zeros = unpack_cols(module.qzeros, module.bits)[:, : module.out_features]
    stored = module.scales
    module.scales = stored.float()
    weight = TorchLinear.dequantize_weight(module)
    module.scales = stored
    return jobs.layer(codes, zeros, stored, module.g_idx, weight)


def awq(module):
    codes, zeros = reverse_awq_order(*unpack_awq(module.qweight, module.qzeros, 4), 4)
    weight = dequantize_gemm(
        module.qweight, module.qzeros, module.scales.float(), 4, module.group_size)
    g_idx = jobs.in_order(module.in_features, module.group_size)
    return jobs.layer(codes & 15, zeros & 15, module.scales, g_idx, weight)


if __name__ == "__main__":
    jobs.main(["gptqmodel", "transformers", "torch"], load_others)
