"""Makes Fixtures/quantizers: a small dense model, what transformers and bitsandbytes make of it on the
CPU, and blocks of numbers at the edges of bitsandbytes' rules.

    python Fixtures/make_quantized.py Fixtures/quantizers LAYERS

LAYERS is a safetensors file of layers that bitsandbytes quantized; of it weights, codes and statistics
are kept.
"""

import os
import shutil
import sys

import bitsandbytes.functional as F
import numpy as np
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, BitsAndBytesConfig, LlamaConfig, LlamaForCausalLM

METHODS = {
    "nf4": dict(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.float16),
    "nf4-dq": dict(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    ),
    "fp4-bf16": dict(
        load_in_4bit=True,
        bnb_4bit_quant_type="fp4",
        bnb_4bit_quant_storage=torch.bfloat16,
        bnb_4bit_compute_dtype=torch.float16,
    ),
    "int8": dict(load_in_8bit=True),
}


def models(folder):
    torch.manual_seed(20)
    config = LlamaConfig(
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
        vocab_size=32,
        max_position_embeddings=64,
        tie_word_embeddings=False,
        dtype="float16",
    )
    base = f"{folder}/dense"
    LlamaForCausalLM(config).half().save_pretrained(base)
    for name, settings in METHODS.items():
        model = AutoModelForCausalLM.from_pretrained(
            base, quantization_config=BitsAndBytesConfig(**settings), device_map={"": "cpu"}
        )
        model.save_pretrained(f"{folder}/{name}")
    for name in ["dense", *METHODS]:
        os.remove(f"{folder}/{name}/generation_config.json")


def around(values):
    values = np.asarray(values, dtype=np.float32)
    return np.concatenate([values, np.nextafter(values, np.float32(2)), np.nextafter(values, np.float32(-2))])


def blocks(rows, size=64):
    """Blocks that hold these numbers, each with a 1 in front."""
    rows = np.asarray(rows, dtype=np.float32)
    rest = -len(rows) % (size - 1)
    rows = np.concatenate([rows, np.zeros(rest, np.float32)]).reshape(-1, size - 1)
    return np.concatenate([np.ones((len(rows), 1), np.float32), rows], axis=1).reshape(-1)


def edges(folder):
    random = np.random.default_rng(7)
    out = {}
    ends = np.concatenate(
        [np.zeros(128, np.float32), np.full(64, 1e-40, np.float32), -np.full(64, 3e-39, np.float32)]
    )
    for kind in ["nf4", "fp4"]:
        table = np.sort(F.get_4bit_type(kind, device="cpu").numpy())
        numbers = blocks(around((table[:-1] + table[1:]) / np.float32(2)))
        noise = random.standard_normal(2049 + 64 * 40).astype(np.float32)
        for name, values in [
            ("edges", np.concatenate([numbers, ends])),
            ("odd", noise[:2049]),
            ("short", np.zeros(67, np.float32)),
            ("half", noise[2049:].astype(np.float16)),
        ]:
            key = f"{kind}.{name}"
            out[f"{key}.values"] = torch.from_numpy(values)
            out[f"{key}.packed"], state = F.quantize_4bit(
                out[f"{key}.values"], blocksize=64, quant_type=kind
            )
            out[f"{key}.absmax"] = state.absmax
    table = F.create_dynamic_map().numpy()
    numbers = around((table[:-1] + table[1:]) * np.float32(0.5))
    values = np.concatenate([blocks(numbers, 256), random.standard_normal(5000).astype(np.float32)])
    for name, code in [
        ("dynamic", F.create_dynamic_map()),
        ("linear", F.create_linear_map()),
        ("float", F.create_fp8_map(True, 4, 3, 8)),
    ]:
        out[f"bytes.{name}.values"] = torch.from_numpy(values)
        out[f"bytes.{name}.codes"], state = F.quantize_blockwise(
            out[f"bytes.{name}.values"], code=code, blocksize=256
        )
        out[f"bytes.{name}.absmax"] = state.absmax
    del out["bytes.linear.values"], out["bytes.float.values"]
    for count in [1, 7, 8, 100, 1000, 9000]:
        values = torch.from_numpy(np.abs(random.standard_normal(count)).astype(np.float32))
        out[f"mean.{count}.values"], out[f"mean.{count}.mean"] = values, values.mean().reshape(1)
    rows = random.standard_normal((24, 96)).astype(np.float16)
    rows[0] = 0
    rows[1, :4] = [1, 63.5 / 127, 62.5 / 127, -63.5 / 127]
    rows[2] = 6e-8
    out["rows.values"] = torch.from_numpy(rows)
    out["rows.codes"], out["rows.absmax"], _ = F.int8_vectorwise_quant(out["rows.values"].clone())
    save_file(out, f"{folder}/edges.safetensors")


def layers(folder, path):
    kept = ["weight", "packed", "absmax", "nested_absmax", "nested_offset", "CB", "SCB", "q", "code"]
    tensors = load_file(path)
    save_file(
        {k: v for k, v in tensors.items() if k.split(".", 1)[1] in kept}, f"{folder}/layers.safetensors"
    )


if __name__ == "__main__":
    torch.set_num_threads(1)
    shutil.rmtree(sys.argv[1], ignore_errors=True)
    os.makedirs(sys.argv[1])
    models(sys.argv[1])
    edges(sys.argv[1])
    layers(sys.argv[1], sys.argv[2])
