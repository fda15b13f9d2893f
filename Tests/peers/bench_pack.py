"""Times the peers at what `nibble bench` times: packing and dequantizing one 4-bit layer of 4096
inputs and 11008 outputs in groups of 128, and listing the tensors of a safetensors file.

    python bench_pack.py [FILE.safetensors]

Runs what the environment it is started in can import, and prints medians of 5 in seconds as JSON.
"""

import contextlib
import importlib.metadata
import json
import os
import statistics
import sys
import time

import torch

INPUTS, OUTPUTS, GROUP, RUNS = 4096, 11008, 128, 5


def median(work):
    work()
    times = []
    for _ in range(RUNS):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return round(statistics.median(times), 4)


def layer():
    """A linear layer that lies on its grid, scales and zero points [outputs, groups]."""
    random = torch.Generator().manual_seed(1)
    groups = INPUTS // GROUP
    codes = torch.randint(0, 16, (OUTPUTS, INPUTS), generator=random)
    zeros = torch.randint(1, 16, (OUTPUTS, groups), generator=random).float()
    scales = torch.rand(OUTPUTS, groups, generator=random).mul_(0.01).add_(0.001).half().float()
    linear = torch.nn.Linear(INPUTS, OUTPUTS, bias=False)
    wide = zeros.repeat_interleave(GROUP, dim=1)
    linear.weight.data = (codes - wide) * scales.repeat_interleave(GROUP, dim=1)
    return linear, scales, zeros


def gptqmodel(results):
    from gptqmodel.nn_modules.qlinear.torch import TorchLinear

    linear, scales, zeros = layer()
    groups = torch.arange(INPUTS, dtype=torch.int32) // GROUP
    packed = TorchLinear(bits=4, group_size=GROUP, sym=False, desc_act=False, in_features=INPUTS,
                         out_features=OUTPUTS, bias=False).eval()
    threads = torch.get_num_threads()

    def pack(method, **more):
        return median(lambda: getattr(packed, method)(linear, scales, zeros, groups, **more))

    # Its extension is compiled on first use, where there is a compiler; never fall back unsaid.
    os.environ["GPTQMODEL_FORCE_PACK_EXT"] = "1"
    with contextlib.suppress(RuntimeError):
        results["gptqmodel pack_block, compiled"] = pack("pack_block", workers=threads)
    os.environ["GPTQMODEL_DISABLE_PACK_EXT"] = "1"
    results["gptqmodel pack_block, Python"] = pack("pack_block", workers=threads)
    results["gptqmodel pack_original"] = pack("pack_original")
    packed.post_init()
    with torch.no_grad():
        for dtype in (torch.float16, torch.float32):
            packed.scales = packed.scales.to(dtype)
            results[f"gptqmodel dequantize_weight {dtype}"] = median(
                lambda: TorchLinear.dequantize_weight(packed))


def autoawq(results):
    from awq.modules.linear.gemm import WQLinear_GEMM
    from awq.utils.packing_utils import dequantize_gemm, reverse_awq_order, unpack_awq

    linear, scales, zeros = layer()
    scales, zeros = scales.t().contiguous(), zeros.t().contiguous()

    def pack():
        return WQLinear_GEMM.from_linear(linear, 4, GROUP, scales=scales, zeros=zeros)

    results["autoawq WQLinear_GEMM.from_linear"] = median(pack)
    packed = pack()
    results["autoawq unpack_awq, reverse_awq_order"] = median(
        lambda: reverse_awq_order(*unpack_awq(packed.qweight, packed.qzeros, 4), 4))
    for dtype in (torch.float16, torch.float32):
        scales = packed.scales.to(dtype)
        results[f"autoawq dequantize_gemm {dtype}"] = median(
            lambda: dequantize_gemm(packed.qweight, packed.qzeros, scales, 4, GROUP))


def listing(path, results):
    from safetensors import safe_open

    def names():
        with safe_open(path, "pt") as file:
            slices = {name: file.get_slice(name) for name in file.keys()}
            return {name: (s.get_dtype(), s.get_shape()) for name, s in slices.items()}

    results[f"safetensors listing, {len(names())} tensors"] = median(names)


def main():
    results = {}
    # Packages print to standard output; the JSON has it for itself.
    with contextlib.redirect_stdout(sys.stderr):
        for peer in (gptqmodel, autoawq):
            with contextlib.suppress(ModuleNotFoundError):
                peer(results)
        if len(sys.argv) > 1:
            listing(sys.argv[1], results)
    present = {distribution.metadata["Name"].lower() for distribution in
               importlib.metadata.distributions()}
    versions = {name: importlib.metadata.version(name) for name in
                ("gptqmodel", "autoawq", "safetensors", "torch") if name in present}
    json.dump({"inputs": INPUTS, "outputs": OUTPUTS, "group_size": GROUP, "runs": RUNS,
               "threads": torch.get_num_threads(), "versions": versions,
               "median_seconds": results}, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
