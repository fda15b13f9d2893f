#!/usr/bin/env python3
"""Steps of bitsandbytes' own CPU optimizers, and products of its LLM.int8().

python Fixtures/bitsandbytes-optim/make.py    needs bitsandbytes 0.50.2, torch 2.13 (CPU), safetensors

Gradients and parameters are made from SplitMix64 by both sides, so only what came out is kept: the
states of each optimizer at the end, and for every step the first eight bytes of the SHA-256 of its
states. Running it again changes nothing.
"""
import hashlib
import os
import sys

import bitsandbytes as bnb
import bitsandbytes.functional as F
import torch
from safetensors.torch import save_file

HERE = os.path.dirname(os.path.abspath(__file__))
MASK = (1 << 64) - 1
COUNT, STEPS = 300, 300


class SplitMix64:
    def __init__(self, seed):
        self.state = seed

    def next(self):
        self.state = (self.state + 0x9E3779B97F4A7C15) & MASK
        z = self.state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        return z ^ (z >> 31)


def values(random, count):
    """In -1 ..< 1, value i smaller by 2**(i % 9): exact in f32."""
    return torch.tensor(
        [((random.next() >> 40) / 2**23 - 1) / 2 ** (i % 9) for i in range(count)],
        dtype=torch.float32)


OPTIMIZERS = {
    # name: (peer's name, lr, beta1, beta2, beta3, alpha, eps, weight decay, max_unorm, t_alpha, t_beta3)
    "adam": ("adam", 1e-3, 0.9, 0.999, 0, 0, 1e-8, 0, 0, None, None),
    "adamw": ("adam", 1e-3, 0.9, 0.999, 0, 0, 1e-8, 1e-2, 0, None, None),
    "lamb": ("lamb", 1e-3, 0.9, 0.999, 0, 0, 1e-8, 0, 1.0, None, None),
    "ademamix": ("ademamix", 1e-3, 0.9, 0.999, 0.9999, 5.0, 1e-8, 1e-2, 0, None, None),
    "ademamix-scheduled": ("ademamix", 1e-3, 0.9, 0.999, 0.9999, 5.0, 1e-8, 1e-2, 0, 200, 200),
    "sgd": ("momentum", 1e-2, 0.9, 0, 0, 0, 0, 1e-2, 0, None, None),
    "lars": ("lars", 1e-2, 0.9, 0, 0, 0, 0, 0, 0.02, None, None),
    "lion": ("lion", 1e-4, 0.9, 0.99, 0, 0, 0, 1e-2, 0, None, None),
    "rmsprop": ("rmsprop", 1e-2, 0.99, 0, 0, 0, 1e-8, 0, 0, None, None),
    "adagrad": ("adagrad", 1e-2, 0, 0, 0, 0, 1e-10, 0, 0, None, None),
}


def schedule(step, beta1, beta3, alpha, t_alpha, t_beta3):
    import math
    if t_alpha:
        alpha = min(step * alpha / t_alpha, alpha)
    if t_beta3:
        a, b, s = math.log(beta1), math.log(beta3), step / t_beta3
        beta3 = min(math.exp((a * b) / (((1 - s) * b) + (s * a))), beta3)
    return beta3, alpha


def run(name, bits):
    peer, lr, beta1, beta2, beta3, alpha, eps, decay, unorm, t_alpha, t_beta3 = OPTIMIZERS[name]
    random = SplitMix64(0x0B)
    p = values(random, COUNT)
    mixed, squares = peer == "ademamix", peer in ("adam", "lamb", "ademamix")
    shape = (2, COUNT) if mixed else (COUNT,)
    dtype = torch.uint8 if bits == 8 else torch.float32
    s1 = torch.zeros(shape, dtype=dtype)
    s2 = torch.zeros(COUNT, dtype=dtype) if squares else None
    blocks = -(-COUNT // 256)
    a1 = torch.zeros((2, blocks) if mixed else (blocks,))
    a2 = torch.zeros(blocks) if squares else None
    q1, q2 = F.create_dynamic_map(True), F.create_dynamic_map(False) if squares else None
    unorm_vec = torch.zeros(1) if unorm else None
    digests = b""
    for step in range(1, STEPS + 1):
        g = values(random, COUNT)
        b3, al = schedule(step, beta1, beta3, alpha, t_alpha, t_beta3)
        if bits == 8:
            torch.ops.bitsandbytes.optimizer_update_8bit_blockwise(
                peer, g, p, s1, s2, beta1, beta2, b3, al, eps, step, lr, q1, q2, a1, a2, decay, 1.0)
            parts = [s1, a1] + ([s2, a2] if squares else [])
        else:
            norm = float(torch.norm(p.float())) if unorm else 0.0
            torch.ops.bitsandbytes.optimizer_update_32bit(
                peer, g, p, s1, s2, unorm_vec, unorm, norm, beta1, beta2, b3, al, eps, decay, step,
                lr, 1.0)
            parts = [s1] + ([s2] if squares else [])
        digests += hashlib.sha256(b"".join(t.numpy().tobytes() for t in parts)).digest()[:8]
    key = f"{name}.{bits}"
    out = {f"{key}.parameters": p, f"{key}.state1": s1,
           f"{key}.digests": torch.frombuffer(bytearray(digests), dtype=torch.uint8).clone()}
    if squares:
        out[f"{key}.state2"] = s2
    if bits == 8:
        out[f"{key}.absmax1"] = a1
        if squares:
            out[f"{key}.absmax2"] = a2
    return out


def products():
    """Inputs with and without outliers, one row and several, with and without bias."""
    out = {}
    for case, (tokens, outputs, inputs, threshold, outliers, bias, dtype) in {
        "plain": (5, 24, 96, 0.0, 0, True, torch.float16),
        "outliers": (5, 24, 96, 6.0, 3, True, torch.float16),
        "single": (1, 24, 96, 6.0, 2, False, torch.float16),
        "bf16": (4, 16, 64, 6.0, 1, False, torch.bfloat16),
        "f32": (4, 16, 64, 6.0, 2, True, torch.float32),
    }.items():
        random = SplitMix64(0x18 + len(case))
        weight = values(random, outputs * inputs).reshape(outputs, inputs)
        x = values(random, tokens * inputs).reshape(tokens, inputs) * 4
        for index in range(outliers):
            column = random.next() % inputs
            x[random.next() % tokens, column] = 7.5 + index
        b = values(random, outputs) if bias else None
        weight, x = weight.to(dtype), x.to(dtype)
        b = b.to(dtype) if bias else None
        state = bnb.autograd._functions.MatmulLtState()
        state.threshold, state.is_training = threshold, False
        state.has_fp16_weights = False
        state.CB, state.SCB, _ = F.int8_vectorwise_quant(weight.to(torch.float16))
        y = bnb.autograd._functions.MatMul8bitLt.apply(x, weight, None, b, state)
        codes, scales, columns = F.int8_vectorwise_quant(x.to(torch.float16), threshold=threshold)
        out |= {f"{case}.x": x.contiguous(), f"{case}.codes": codes, f"{case}.scales": scales,
                f"{case}.weight": weight.float().contiguous(), f"{case}.CB": state.CB,
                f"{case}.SCB": state.SCB, f"{case}.y": y.contiguous()}
        if bias:
            out[f"{case}.bias"] = b
        if columns is not None:
            out[f"{case}.columns"] = columns.to(torch.int32)
    return out


def main():
    torch.set_num_threads(1)
    steps = {}
    for name in OPTIMIZERS:
        for bits in (8, 32):
            steps |= run(name, bits)
    golden = os.path.join(HERE, "golden")
    os.makedirs(golden, exist_ok=True)
    save_file(steps, os.path.join(golden, "steps.safetensors"))
    save_file(products(), os.path.join(golden, "products.safetensors"))


if __name__ == "__main__":
    sys.exit(main())
