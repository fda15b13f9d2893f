"""Makes the small broken checkpoints of GPTQ and AWQ. Standard library only.

    python3 Fixtures/gptq/make.py

Writes valid/, invalid/ and findings/ beside this file, and the same in ../awq, ../awq_gemv and
../awq_gemv_fast, from scratch. The
name of a folder in the latter two begins with the one rule that it breaks. What is in invalid/
can't be converted; what is in findings/ can, but verify speaks of it.
"""

import json
import os
import shutil
import struct

HERE = os.path.dirname(os.path.abspath(__file__))
AWQ, GEMV, FAST = [
    os.path.join(os.path.dirname(HERE), name) for name in ["awq", "awq_gemv", "awq_gemv_fast"]
]

LAYERS = [f"model.layers.{n}.self_attn.q_proj" for n in range(2)]
SIZES = {"F16": 2, "BF16": 2, "F32": 4, "F64": 8, "I8": 1, "I16": 2, "I32": 4, "I64": 8, "U32": 4}
OUTPUTS, INPUTS, GROUP = 32, 64, 32
GROUPS = INPUTS // GROUP
# Words of eight groups in a row of the padded layouts: 1, and 4 is their unit for groups of 32.
WIDTH = 4


def filler(dtype, shape):
    """Data that decodes to harmless numbers: halves of 1, fields of 7."""
    count = 1
    for size in shape:
        count *= size
    unit = {"F16": b"\x00\x3c", "BF16": b"\x80\x3f", "F32": b"\x00\x00\x80\x3f"}.get(dtype)
    if unit is None:
        unit = bytes([0x77]) * SIZES[dtype]
    return (dtype, shape, unit * count)


def integers(values, code="i"):
    return struct.pack(f"<{len(values)}{code}", *values)


def index(groups):
    return ("I32", [len(groups)], integers(groups))


def middle_zeros(bits, groups):
    """Every field 2^(bits-1) - 1: the zero point of symmetric version 1 layers."""
    field = (1 << (bits - 1)) - 1
    stream = sum(field << (bits * output) for output in range(OUTPUTS))
    data = stream.to_bytes(OUTPUTS * bits // 8, "little")
    return ("I32", [groups, OUTPUTS * bits // 32], data * groups)


def gptq_layer(bits=4, groups=GROUPS):
    return {
        "qweight": filler("I32", [INPUTS * bits // 32, OUTPUTS]),
        "qzeros": middle_zeros(bits, groups),
        "scales": filler("F16", [groups, OUTPUTS]),
        "g_idx": index([column // GROUP for column in range(INPUTS)]),
    }


def awq_layer():
    return {
        "qweight": filler("I32", [INPUTS, OUTPUTS // 8]),
        "qzeros": filler("I32", [GROUPS, OUTPUTS // 8]),
        "scales": filler("F16", [GROUPS, OUTPUTS]),
    }


def dense_layer():
    return {"weight": filler("F16", [OUTPUTS, INPUTS])}


def gptq_config(**changes):
    config = {
        "bits": 4, "group_size": GROUP, "desc_act": False, "sym": True, "lm_head": False,
        "quant_method": "gptq", "checkpoint_format": "gptq",
    }
    return {**config, **changes}


def awq_config(**changes):
    config = {
        "bits": 4, "group_size": GROUP, "modules_to_not_convert": None, "quant_method": "awq",
        "version": "gemm", "zero_point": True,
    }
    return {**config, **changes}


def write_tensors(path, tensors):
    header, offset = {"__metadata__": {"format": "pt"}}, 0
    for name, (dtype, shape, data) in tensors.items():
        end = offset + len(data)
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for _, _, data in tensors.values():
            file.write(data)


def write_json(path, value):
    with open(path, "w") as file:
        json.dump(value, file, indent=2)
        file.write("\n")


def checkpoint(root, kind, name, layers, config, second=None):
    """A folder with the parts of each layer, one norm, config.json and a second config."""
    folder = os.path.join(root, kind, name)
    os.makedirs(folder)
    tensors = {"model.norm.weight": filler("F16", [INPUTS])}
    for layer, parts in zip(LAYERS, layers):
        tensors.update({f"{layer}.{part}": tensor for part, tensor in parts.items()})
    write_tensors(os.path.join(folder, "model.safetensors"), tensors)
    model = {"model_type": "llama", "rms_norm_eps": 1e-05}
    if config is not None:
        model["quantization_config"] = config
    write_json(os.path.join(folder, "config.json"), model)
    if second is not None:
        write_json(os.path.join(folder, "quantize_config.json"), second)


def changed(layer, **parts):
    """A layer with some parts replaced; None takes one away."""
    merged = {**layer, **parts}
    return {part: tensor for part, tensor in merged.items() if tensor is not None}


def gptq_tensors(case):
    """Broken tensors under a config that is in order. The first layer is whole."""
    def one(name, config=None, **parts):
        layers = [gptq_layer(), changed(gptq_layer(), **parts)]
        case(name, layers, config or gptq_config())

    trivial = [column // GROUP for column in range(INPUTS)]
    one("GPTQ-1-no-qweight", qweight=None)
    one("GPTQ-1-no-qzeros", qzeros=None)
    one("GPTQ-1-no-scales", scales=None)
    one("GPTQ-2-qweight-is-a-vector", qweight=filler("I32", [8 * OUTPUTS]))
    one("GPTQ-2-qweight-is-i64", qweight=filler("I64", [8, OUTPUTS]))
    one("GPTQ-2-qweight-of-other-outputs", qweight=filler("I32", [8, OUTPUTS - 1]))
    one("GPTQ-2-qzeros-are-floats", qzeros=filler("F32", [GROUPS, 4]))
    one("GPTQ-2-qzeros-of-other-groups", qzeros=filler("I32", [GROUPS + 1, 4]))
    one("GPTQ-2-scales-are-doubles", scales=filler("F64", [GROUPS, OUTPUTS]))
    one("GPTQ-2-no-groups", qzeros=filler("I32", [0, 4]), scales=filler("F16", [0, OUTPUTS]))
    three = changed(gptq_layer(bits=3), qweight=filler("I32", [7, OUTPUTS]), g_idx=None)
    case("GPTQ-2-codes-leave-the-words", [gptq_layer(bits=3), three], gptq_config(bits=3))
    one("GPTQ-3-five-bits", qzeros=filler("I32", [GROUPS, 5]))
    case("GPTQ-3-config-says-8", [gptq_layer()], gptq_config(bits=8))
    case("GPTQ-4-config-says-64", [gptq_layer()], gptq_config(group_size=64))
    case("GPTQ-4-config-says-0", [gptq_layer()], gptq_config(group_size=0))
    one("GPTQ-4-three-groups", qzeros=filler("I32", [3, 4]), scales=filler("F16", [3, OUTPUTS]))
    one("GPTQ-5-index-too-short", g_idx=index(trivial[:-1]))
    one("GPTQ-5-index-is-i64", g_idx=("I64", [INPUTS], integers(trivial, "q")))
    one("GPTQ-6-index-too-large", g_idx=index(trivial[:-1] + [GROUPS]))
    one("GPTQ-6-index-negative", g_idx=index([-1] + trivial[1:]))
    full = ("I32", [GROUPS, 4], b"\xf7\x77\x77\x77" * GROUPS * 4)
    one("GPTQ-12-full-fields-of-an-unknown-writer", qzeros=full)
    eights = ("I32", [GROUPS, 4], b"\x88" * GROUPS * 16)
    second = changed(gptq_layer(), qzeros=eights)
    case("GPTQ-13-version-2-named-1", [second, second], gptq_config())
    named = gptq_config(checkpoint_format="gptq_v2")
    case("GPTQ-13-version-1-named-2", [gptq_layer(), gptq_layer()], named)
    one("GPTQ-14-a-layer-of-version-2", qzeros=eights)
    narrow = gptq_layer(bits=3)
    for part in ["qweight", "qzeros"]:
        _, shape, data = narrow[part]
        rows = 4 if part == "qweight" else 1
        narrow[part] = ("I8", [shape[0] * rows, shape[1] * 4 // rows], data)
    case("GPTQ-27-three-bits-in-bytes", [narrow, narrow], gptq_config(bits=3, pack_dtype="int8"))
    one("GPTQ-27-half-a-word", qweight=filler("I16", [17, OUTPUTS]),
        qzeros=filler("I16", [GROUPS, OUTPUTS * 4 // 16]))
    one("GPTQ-2-words-of-two-widths", qzeros=filler("I16", [GROUPS, OUTPUTS * 4 // 16]))


def gptq_configs(case):
    """Configs that are wrong, or that the tensors belie."""
    whole = [gptq_layer(), gptq_layer()]
    case("GPTQ-20-bits-is-text", whole, gptq_config(bits="4"))
    case("GPTQ-20-group-size-is-a-fraction", whole, gptq_config(group_size=32.5))
    case("GPTQ-20-group-size-is-too-large", whole, gptq_config(group_size=1 << 63))
    case("GPTQ-20-sym-is-a-number", whole, gptq_config(sym=1))
    case("GPTQ-20-format-is-a-number", whole, gptq_config(checkpoint_format=2))
    case("GPTQ-20-dynamic-is-a-list", whole, gptq_config(dynamic=["+:x"]))
    case("GPTQ-20-dynamic-rule-is-a-number", whole, gptq_config(dynamic={"+:x": 8}))
    case("GPTQ-21-bits", whole, gptq_config(), gptq_config(bits=8))
    case("GPTQ-21-group-size", whole, gptq_config(), gptq_config(group_size=64))
    case("GPTQ-21-version", whole, gptq_config(), gptq_config(checkpoint_format="gptq_v2"))
    case("GPTQ-22-marlin-flag", whole, gptq_config(is_marlin_format=True))
    case("GPTQ-22-marlin-format", whole, gptq_config(checkpoint_format="marlin"))
    case("GPTQ-22-planar", whole, gptq_config(checkpoint_format="gptq_p"))
    case("GPTQ-22-words-of-64-bits", whole, gptq_config(pack_dtype="int64"))
    case("GPTQ-23-pattern-is-no-expression", whole, gptq_config(dynamic={"+:((": {"bits": 4}}))
    case("GPTQ-23-pattern-has-a-backreference", whole, gptq_config(dynamic={r"-:(a)\1": {}}))
    case("GPTQ-23-pattern-is-too-long", whole, gptq_config(dynamic={"-:" + "a" * 1025: {}}))
    case("GPTQ-24-not-declared", whole, None)
    case("GPTQ-24-nothing-is-packed", [dense_layer(), dense_layer()], gptq_config())
    case("GPTQ-24-packed-as-awq", [awq_layer(), awq_layer()], gptq_config())
    case("GPTQ-24-one-is-dense", [gptq_layer(), dense_layer()], gptq_config())
    left_out = gptq_config(dynamic={r"-:model\.layers\.1\.": {}})
    case("GPTQ-24-left-out-yet-packed", whole, left_out)


def words(*values):
    return integers(values, "I")


def examples(writer):
    """The worked examples of Formats/gptq.md and Formats/awq.md: 8 outputs, 8 inputs, 2 groups."""
    halves = ("F16", [2, 8], b"\x00\x38" * 16)
    codes = words(*(0x76543210 + 0x11111111 * n & 0xFFFFFFFF for n in range(8)))
    layer = {"qweight": ("I32", [1, 8], codes), "scales": halves, "g_idx": index([0] * 4 + [1] * 4)}
    fields = {"gptq": (0x77777777, 0x76543210), "gptq_v2": (0x88888888, 0x87654321)}
    for version, zeros in fields.items():
        qzeros = ("I32", [2, 1], words(*zeros))
        config = gptq_config(group_size=4, sym=False, checkpoint_format=version)
        writer(HERE, "valid")("example-" + version, [changed(layer, qzeros=qzeros)], config)
    codes = words(*(0x75316420 + 0x11111111 * k & 0xFFFFFFFF for k in range(8)))
    layer = {
        "qweight": ("I32", [8, 1], codes), "scales": halves,
        "qzeros": ("I32", [2, 1], words(0x88888888, 0x75316420)),
    }
    writer(AWQ, "valid")("example", [layer], awq_config(group_size=4))


def gptq_findings(case):
    order = [0] * (GROUP - 1) + [1] * (GROUP + 1)
    case("GPTQ-7-uneven-groups", [changed(gptq_layer(), g_idx=index(order))], gptq_config())
    for name, bits in [("nan", b"\x00\x7e"), ("infinite", b"\x00\x7c")]:
        scales = ("F16", [GROUPS, OUTPUTS], b"\x00\x3c" * (GROUPS * OUTPUTS - 1) + bits)
        case(f"GPTQ-8-scale-is-{name}", [changed(gptq_layer(), scales=scales)], gptq_config())


def awq_cases(case):
    def one(name, **parts):
        case(name, [awq_layer(), changed(awq_layer(), **parts)], awq_config())

    whole = [awq_layer(), awq_layer()]
    one("GPTQ-1-no-qweight", qweight=None)
    one("GPTQ-1-no-qzeros", qzeros=None)
    one("GPTQ-1-no-scales", scales=None)
    case("AWQ-1-config-says-8", whole, awq_config(bits=8))
    one("AWQ-2-qzeros-of-other-outputs", qzeros=filler("I32", [GROUPS, 3]))
    one("AWQ-2-qzeros-of-other-groups", qzeros=filler("I32", [GROUPS + 1, 4]))
    one("AWQ-2-qweight-of-other-outputs", qweight=filler("I32", [INPUTS, 5]))
    one("AWQ-2-qweight-is-u32", qweight=filler("U32", [INPUTS, 4]))
    one("AWQ-2-scales-are-integers", scales=filler("I32", [GROUPS, OUTPUTS]))
    case("AWQ-4-config-says-64", whole, awq_config(group_size=64))
    one("AWQ-4-three-groups", qzeros=filler("I32", [3, 4]), scales=filler("F16", [3, OUTPUTS]))
    one("AWQ-5-with-an-index", g_idx=index([column // GROUP for column in range(INPUTS)]))
    case("AWQ-10-group-size-is-text", whole, awq_config(group_size="32"))
    case("AWQ-10-zero-point-is-text", whole, awq_config(zero_point="yes"))
    case("AWQ-10-modules-are-numbers", whole, awq_config(modules_to_not_convert=[1]))
    case("AWQ-10-modules-are-text", whole, awq_config(modules_to_not_convert="lm_head"))
    case("AWQ-12-nothing-is-packed", [dense_layer(), dense_layer()], awq_config())
    case("AWQ-12-packed-as-gptq", [gptq_layer(), gptq_layer()], awq_config())
    case("AWQ-12-one-is-dense", [awq_layer(), dense_layer()], awq_config())
    case("AWQ-12-left-out-yet-packed", whole, awq_config(modules_to_not_convert=["layers.1."]))
    case("AWQ-12-packed-as-gemm-not-gemv", whole, awq_config(version="gemv"))
    case("AWQ-12-packed-as-gemm-not-gemv-fast", whole, awq_config(version="GEMV_FAST"))
    case("AWQ-13-marlin", whole, awq_config(version="marlin"))
    case("GPTQ-21-bits", whole, awq_config(), awq_config(bits=8))


def gemv_layer():
    return {
        "qweight": filler("I32", [OUTPUTS, INPUTS // 8]),
        "qzeros": filler("I32", [OUTPUTS, WIDTH]),
        "scales": filler("F16", [OUTPUTS, 8 * WIDTH]),
    }


def gemv_cases(case):
    def one(name, **parts):
        case(name, [gemv_layer(), changed(gemv_layer(), **parts)], awq_config(version="gemv"))

    whole = [gemv_layer(), gemv_layer()]
    one("GEMV-1-no-qzeros", qzeros=None)
    case("GEMV-1-config-says-8", whole, awq_config(version="gemv", bits=8))
    one("GEMV-2-qzeros-of-other-outputs", qzeros=filler("I32", [OUTPUTS - 1, WIDTH]))
    one("GEMV-2-qzeros-are-floats", qzeros=filler("F32", [OUTPUTS, WIDTH]))
    one("GEMV-2-scales-of-other-groups", scales=filler("F16", [OUTPUTS, 8]))
    one("GEMV-2-scales-are-integers", scales=filler("I32", [OUTPUTS, 8 * WIDTH]))
    case("GEMV-3-config-says-64", whole, awq_config(version="gemv", group_size=64))
    case("GEMV-3-config-says-16", whole, awq_config(version="gemv", group_size=16))
    one("GEMV-3-three-words", qzeros=filler("I32", [OUTPUTS, 3]),
        scales=filler("F16", [OUTPUTS, 24]))


def fast_layer():
    return {
        "qweight": filler("I16", [OUTPUTS // 4, INPUTS]),
        "qzeros": filler("F16", [8 * WIDTH, OUTPUTS]),
        "scales": filler("F16", [8 * WIDTH, OUTPUTS]),
    }


def fast_cases(case):
    def one(name, **parts):
        layers = [fast_layer(), changed(fast_layer(), **parts)]
        case(name, layers, awq_config(version="gemv_fast"))

    whole = [fast_layer(), fast_layer()]
    one("FAST-1-no-terms", qzeros=None)
    one("FAST-1-no-scales", scales=None)
    case("FAST-1-config-says-8", whole, awq_config(version="gemv_fast", bits=8))
    one("FAST-2-blocks-are-cut", qweight=filler("I16", [OUTPUTS // 4, INPUTS - 1]))
    one("FAST-3-terms-of-another-type", qzeros=filler("BF16", [8 * WIDTH, OUTPUTS]))
    one("FAST-3-terms-of-other-outputs", qzeros=filler("F16", [8 * WIDTH, OUTPUTS - 1]))
    one("FAST-3-scales-of-other-outputs", scales=filler("F16", [8 * WIDTH, OUTPUTS + 4]))
    case("FAST-3-config-says-64", whole, awq_config(version="gemv_fast", group_size=64))


def main():
    for root in [HERE, AWQ, GEMV, FAST]:
        for kind in ["valid", "invalid", "findings"]:
            shutil.rmtree(os.path.join(root, kind), ignore_errors=True)

    def writer(root, kind):
        return lambda name, layers, config, second=None: checkpoint(
            root, kind, name, layers, config, second)

    examples(writer)
    gptq_tensors(writer(HERE, "invalid"))
    gptq_configs(writer(HERE, "invalid"))
    gptq_findings(writer(HERE, "findings"))
    awq_cases(writer(AWQ, "invalid"))
    gemv_cases(writer(GEMV, "invalid"))
    fast_cases(writer(FAST, "invalid"))


if __name__ == "__main__":
    main()
