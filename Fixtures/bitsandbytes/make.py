"""Makes the small checkpoints of bitsandbytes. Standard library only.

    python3 Fixtures/bitsandbytes/make.py

Writes valid/, invalid/ and findings/ beside this file from scratch. The name of a folder in the
latter two begins with the one rule that it breaks.
"""

import json
import os
import shutil
import struct

HERE = os.path.dirname(os.path.abspath(__file__))
LAYERS = [f"model.layers.{n}.self_attn.q_proj" for n in range(2)]
OUTPUTS, INPUTS, BLOCK = 32, 64, 64
NF4 = [
    0xBF800000, 0xBF3239B1, 0xBF066B30, 0xBECA32A0, 0xBE91A24D, 0xBE3D353F, 0xBDBA7871, 0,
    0x3DA2FAFF, 0x3E24CAE3, 0x3E7C04DD, 0x3EAD033A, 0x3EE1A4B8, 0x3F1007AB, 0x3F3913B3, 0x3F800000,
]
STATE = "weight.quant_state.bitsandbytes__nf4"


def floats(values):
    return ("F32", [len(values)], struct.pack(f"<{len(values)}f", *values))


def table():
    return ("F32", [16], struct.pack("<16I", *NF4))


def state(**changes):
    fields = {
        "quant_type": "nf4", "blocksize": BLOCK, "dtype": "float16", "shape": [OUTPUTS, INPUTS],
        **changes,
    }
    return text(json.dumps({key: value for key, value in fields.items() if value is not None}))


def text(value):
    return ("U8", [len(value)], value.encode())


def four_bit():
    count = OUTPUTS * INPUTS
    return {
        "weight": ("U8", [count // 2, 1], bytes(n * 37 & 255 for n in range(count // 2))),
        "weight.absmax": floats([1 + n / 64 for n in range(count // BLOCK)]),
        "weight.quant_map": table(), STATE: state(),
    }


def nested():
    count = OUTPUTS * INPUTS // BLOCK
    return changed(
        four_bit(),
        **{
            "weight.absmax": ("U8", [count], bytes(n * 7 & 255 for n in range(count))),
            "weight.nested_absmax": floats([0.5]),
            "weight.nested_quant_map": floats([n / 127.5 - 1 for n in range(256)]),
            STATE: state(nested_blocksize=256, nested_dtype="float32", nested_offset=1.5),
        })


def int8(maximum=127.0):
    count = OUTPUTS * INPUTS
    return {
        "weight": ("I8", [OUTPUTS, INPUTS], bytes(n * 37 & 255 for n in range(count))),
        "SCB": floats([maximum] * OUTPUTS), "weight_format": ("U8", [], b"\0"),
    }


def changed(layer, **parts):
    """A layer with some parts replaced; None takes one away."""
    merged = {**layer, **parts}
    return {part: tensor for part, tensor in merged.items() if tensor is not None}


def config(bits=4, **changes):
    return {
        "_load_in_4bit": bits == 4, "_load_in_8bit": bits == 8,
        "bnb_4bit_compute_dtype": "float16", "bnb_4bit_quant_storage": "uint8",
        "bnb_4bit_quant_type": "nf4", "bnb_4bit_use_double_quant": False,
        "llm_int8_enable_fp32_cpu_offload": False, "llm_int8_has_fp16_weight": False,
        "llm_int8_skip_modules": None, "llm_int8_threshold": 6.0, "load_in_4bit": bits == 4,
        "load_in_8bit": bits == 8, "quant_method": "bitsandbytes", **changes,
    }


def checkpoint(kind, name, layers, quantization):
    folder = os.path.join(HERE, kind, name)
    os.makedirs(folder)
    tensors = {"model.norm.weight": ("F16", [INPUTS], b"\x00\x3c" * INPUTS)}
    for layer, parts in zip(LAYERS, layers):
        tensors.update({f"{layer}.{part}": tensor for part, tensor in parts.items()})
    header, offset = {"__metadata__": {"format": "pt"}}, 0
    for tensor, (dtype, shape, data) in tensors.items():
        end = offset + len(data)
        header[tensor] = {"dtype": dtype, "shape": shape, "data_offsets": [offset, end]}
        offset = end
    head = json.dumps(header, separators=(",", ":")).encode()
    head += b" " * (-len(head) % 8)
    with open(os.path.join(folder, "model.safetensors"), "wb") as file:
        file.write(struct.pack("<Q", len(head)) + head)
        for _, _, data in tensors.values():
            file.write(data)
    model = {"model_type": "llama", "torch_dtype": "float16", "quantization_config": quantization}
    with open(os.path.join(folder, "config.json"), "w") as file:
        json.dump(model, file, indent=2)
        file.write("\n")


def broken(name, layer=None, quantization=None, whole=None, **parts):
    """A whole layer, then the same one with some parts changed."""
    whole = whole or four_bit()
    second = changed(layer or whole, **{part.replace("__", "."): t for part, t in parts.items()})
    checkpoint("invalid", name, [whole, second], quantization or config())


def invalid():
    broken("BNB-1-no-absmax", weight__absmax=None)
    broken("BNB-1-no-table", weight__quant_map=None)
    broken("BNB-1-nested-without-its-table", nested(), weight__nested_quant_map=None)
    checkpoint(
        "invalid", "BNB-1-no-state", [four_bit(), changed(four_bit(), **{STATE: None})], config())
    for name, value in [
        ("BNB-2-a-key-twice", text('{"quant_type": "nf4", "quant_type": "nf4"}')),
        ("BNB-2-cut-off", text('{"quant_type": "nf4"')),
        ("BNB-2-too-large", text(" " * 4097)),
        ("BNB-3-int4", state(quant_type="int4")),
        ("BNB-3-not-that-of-its-name", state(quant_type="fp4")),
        ("BNB-4-block-of-48", state(blocksize=48)),
        ("BNB-5-product-overflows", state(shape=[1 << 62, 4])),
        ("BNB-5-three-axes", state(shape=[2, 16, 64])),
        ("BNB-6-float64", state(dtype="float64")),
        ("BNB-7-codes-of-other-inputs", state(shape=[32, 65])),
        ("BNB-8-blocks-of-another-size", state(blocksize=128)),
        ("BNB-10-offset-alone", state(nested_offset=0.5)),
    ]:
        checkpoint("invalid", name, [four_bit(), changed(four_bit(), **{STATE: value})], config())
    broken("BNB-9-another-table", weight__quant_map=floats([n / 7.5 - 1 for n in range(16)]))
    no_offset = state(nested_blocksize=256, nested_dtype="float32")
    checkpoint(
        "invalid", "BNB-10-no-offset", [nested(), changed(nested(), **{STATE: no_offset})],
        config())
    broken("BNB-10-outer-maxima", nested(), weight__nested_absmax=floats([0.5, 0.5]))
    broken("BNB-20-no-maxima", whole=int8(), quantization=config(8), SCB=None)
    broken("BNB-20-maxima-of-other-outputs", whole=int8(), quantization=config(8), SCB=floats([1]))
    for number, name in enumerate(["col32", "col-turing", "col-ampere"], 1):
        broken(
            f"BNB-21-{name}", whole=int8(), quantization=config(8),
            weight_format=("U8", [], bytes([number])))
    whole = [four_bit(), four_bit()]
    checkpoint("invalid", "BNB-30-threshold-is-text", whole, config(llm_int8_threshold="6"))
    checkpoint("invalid", "BNB-30-skips-are-text", whole, config(llm_int8_skip_modules="lm_head"))
    checkpoint("invalid", "BNB-31-both-widths", whole, config(load_in_8bit=True))
    checkpoint("invalid", "BNB-31-af4", whole, config(bnb_4bit_quant_type="af4"))
    checkpoint("invalid", "BNB-32-says-8-bits", whole, config(8))
    left_out = config(llm_int8_skip_modules=["model.layers.1"])
    checkpoint("invalid", "BNB-32-left-out-yet-packed", whole, left_out)


def main():
    for kind in ["valid", "invalid", "findings"]:
        shutil.rmtree(os.path.join(HERE, kind), ignore_errors=True)
    checkpoint("valid", "nf4", [four_bit(), four_bit()], config())
    checkpoint("valid", "nested", [nested(), nested()], config(bnb_4bit_use_double_quant=True))
    checkpoint("valid", "int8", [int8(), int8(63.5)], config(8))
    # BNB-7: 3 outputs and 21 inputs in one block that is not full.
    bytes_of_one = bytes([0xF0, 0x7C, 0x28, 0x6A]) + b"\x77" * 28
    example = changed(
        four_bit(), **{
            "weight": ("U8", [32, 1], bytes_of_one), "weight.absmax": floats([2.0]),
            STATE: state(shape=[3, 21]),
        })
    checkpoint("valid", "example", [example], config())
    invalid()
    nan = changed(four_bit(), **{"weight.absmax": floats([float("nan")] + [1.0] * 31)})
    checkpoint("findings", "BNB-12-maximum-is-nan", [four_bit(), nan], config())
    infinite = changed(int8(), SCB=floats([float("inf")] + [1.0] * 31))
    checkpoint("findings", "BNB-12-row-maximum-is-infinite", [int8(), infinite], config(8))
    fp4 = config(bnb_4bit_quant_type="fp4")
    checkpoint("findings", "BNB-32-says-fp4", [four_bit(), four_bit()], fp4)


if __name__ == "__main__":
    main()
