"""Makes the files of Fixtures/gguf and Fixtures/imatrix with pip gguf; running it again changes nothing.

    python Fixtures/imatrix/make.py
"""

import pathlib
import struct

import gguf
import numpy as np

HERE = pathlib.Path(__file__).resolve().parent
GGUF = HERE.parent / "gguf"
# Inputs of the linear layers of Fixtures/quantizers/dense; ffn_down is left out on purpose.
INPUTS = {
    "blk.0.attn_q.weight": 64, "blk.0.attn_k.weight": 64, "blk.0.attn_v.weight": 64,
    "blk.0.attn_output.weight": 64, "blk.0.ffn_gate.weight": 64, "blk.0.ffn_up.weight": 64,
    "blk.1.attn_q.weight": 64, "output.weight": 64,
}
TOKENS, CHUNK = 256, 128


def means(name: str, count: int) -> np.ndarray:
    """Numbers that sums of either form hold exactly."""
    return np.array([((len(name) * 7 + i * 13) % 61 + 1) / 64 for i in range(count)], np.float32)


def write(path: pathlib.Path, fill) -> bytes:
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = gguf.GGUFWriter(path, "none")
    writer.kv_data[0].clear()
    fill(writer)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path.read_bytes()


def importance(writer: gguf.GGUFWriter) -> None:
    writer.add_string("general.type", "imatrix")
    writer.add_array("imatrix.datasets", ["text.txt"])
    writer.add_uint32("imatrix.chunk_count", TOKENS // CHUNK)
    writer.add_uint32("imatrix.chunk_size", CHUNK)
    for name, count in sorted(INPUTS.items()):
        writer.add_tensor(name + ".in_sum2", (means(name, count) * TOKENS).reshape(1, count))
        writer.add_tensor(name + ".counts", np.array([[TOKENS]], np.float32))


def legacy() -> bytes:
    chunks = TOKENS // CHUNK
    data = struct.pack("<i", len(INPUTS))
    for name, count in sorted(INPUTS.items()):
        data += struct.pack("<i", len(name)) + name.encode() + struct.pack("<ii", chunks, count)
        data += (means(name, count) * chunks).tobytes()
    return data + struct.pack("<ii", chunks, 8) + b"text.txt"


def every_kind(writer: gguf.GGUFWriter) -> None:
    writer.add_custom_alignment(64)
    writer.add_uint8("a.u8", 200)
    writer.add_int8("a.i8", -3)
    writer.add_uint16("a.u16", 60000)
    writer.add_int16("a.i16", -30000)
    writer.add_uint32("a.u32", 4_000_000_000)
    writer.add_int32("a.i32", -2_000_000_000)
    writer.add_uint64("a.u64", 1 << 63)
    writer.add_int64("a.i64", -(1 << 62))
    writer.add_float32("a.f32", 0.5)
    writer.add_float64("a.f64", -0.125)
    writer.add_bool("a.bool", True)
    writer.add_string("a.string", "grüße")
    writer.add_array("a.strings", ["one", "", "three"])
    writer.add_array("a.numbers", [1, 2, 3, 4, 5])
    writer.add_tensor("plain", np.arange(6, dtype=np.float32).reshape(2, 3))
    writer.add_tensor("halves", np.arange(4, dtype=np.float16))
    blocks = np.arange(2 * 68, dtype=np.uint8).reshape(2, 68)
    writer.add_tensor("blocks", blocks, raw_dtype=gguf.GGMLQuantizationType.Q8_0)


def put(data: bytes, place: int, new: bytes) -> bytes:
    return data[:place] + new + data[place + len(new):]


def broken_gguf(data: bytes) -> dict[str, bytes]:
    u32, u64 = (lambda n: struct.pack("<I", n)), (lambda n: struct.pack("<Q", n))
    behind = lambda text: data.index(text) + len(text)
    plain = behind(b"plain")
    return {
        "GG-1-version-1": put(data, 4, u32(1)),
        "GG-1-big-endian": put(data, 4, struct.pack(">I", 3)),
        "GG-2-cut-in-head": data[:60],
        "GG-2-more-tensors-than-bytes": put(data, 8, u64(1 << 40)),
        "GG-2-more-values-than-bytes": put(data, 16, u64((1 << 64) - 1)),
        "GG-2-long-string": put(data, behind(b"a.string") + 4, u64(1 << 62)),
        "GG-2-long-array": put(data, behind(b"a.numbers") + 8, u64(1 << 61)),
        "GG-4-empty-key": put(data, 24, u64(0)),
        "GG-4-key-no-utf8": put(data, data.index(b"a.u16"), b"\xff"),
        "GG-4-two-keys": put(data, data.index(b"a.u16"), b"a.u32"),
        "GG-4-two-tensors": data.replace(b"\x06" + bytes(7) + b"halves", b"\x06" + bytes(7) + b"blocks"),
        "GG-5-unknown-kind": put(data, behind(b"a.u8"), u32(13)),
        "GG-5-bool-of-2": put(data, behind(b"a.bool") + 4, b"\x02"),
        "GG-6-array-of-arrays": put(data, behind(b"a.numbers") + 4, u32(9)),
        "GG-7-alignment-48": put(data, behind(b"general.alignment") + 4, u32(48)),
        "GG-8-five-dimensions": put(data, plain, u32(5)),
        "GG-8-no-dimension": put(data, plain, u32(0)),
        "GG-8-overflow": put(data, plain + 4, u64(1 << 62)),
        "GG-8-half-a-block": put(data, behind(b"blocks") + 4, u64(48)),
        "GG-8-unknown-type": put(data, plain + 20, u32(99)),
        "GG-9-behind-the-end": put(data, plain + 24, u64(1 << 40)),
        "GG-9-unaligned": put(data, plain + 24, u64(4)),
        "GG-9-two-in-one-place": put(data, behind(b"halves") + 4 + 8 + 4, u64(0)),
        "GG-9-cut-in-data": data[:-80],
    }


def broken_importance(data: bytes, old: bytes) -> dict[str, bytes]:
    f32, i32 = (lambda n: struct.pack("<f", n)), (lambda n: struct.pack("<i", n))
    first = old.index(b"blk.0.attn_k.weight") + 19
    start = len(data) - len(data) % 32

    def counts(value: float):
        def fill(writer):
            writer.add_string("general.type", "imatrix")
            writer.add_tensor("blk.0.attn_q.weight.in_sum2", np.ones((1, 64), np.float32))
            writer.add_tensor("blk.0.attn_q.weight.counts", np.array([[value]], np.float32))
        return fill

    def model(writer):
        writer.add_string("general.type", "model")
        writer.add_tensor("output.weight", np.ones((1, 64), np.float32))

    def empty(writer):
        writer.add_string("general.type", "imatrix")
        writer.add_tensor("else", np.ones((1, 64), np.float32))

    def alone(part: str):
        def fill(writer):
            writer.add_string("general.type", "imatrix")
            writer.add_tensor("blk.0.attn_q.weight." + part, np.ones((1, 64), np.float32))
        return fill

    def shapes(writer):
        writer.add_string("general.type", "imatrix")
        writer.add_tensor("blk.0.attn_q.weight.in_sum2", np.ones((1, 64), np.float32))
        writer.add_tensor("blk.0.attn_q.weight.counts", np.ones((3, 1), np.float32))

    def halves(writer):
        writer.add_string("general.type", "imatrix")
        writer.add_tensor("blk.0.attn_q.weight.in_sum2", np.ones((1, 64), np.float16))
        writer.add_tensor("blk.0.attn_q.weight.counts", np.ones((1, 1), np.float32))

    def sums(value: float):
        def fill(writer):
            writer.add_string("general.type", "imatrix")
            writer.add_tensor("blk.0.attn_q.weight.in_sum2", np.full((1, 64), value, np.float32))
            writer.add_tensor("blk.0.attn_q.weight.counts", np.ones((1, 1), np.float32))
        return fill

    def width(writer):
        writer.add_string("general.type", "imatrix")
        writer.add_tensor("blk.0.attn_q.weight.in_sum2", np.ones((1, 32), np.float32))
        writer.add_tensor("blk.0.attn_q.weight.counts", np.ones((1, 1), np.float32))

    def experts(writer):
        writer.add_string("general.type", "imatrix")
        writer.add_tensor("blk.0.attn_q.weight.in_sum2", np.ones((2, 64), np.float32))
        writer.add_tensor("blk.0.attn_q.weight.counts", np.ones((2, 1), np.float32))

    files = {
        "IM-1-a-model.gguf": model, "IM-1-no-entries.gguf": empty,
        "IM-2-sums-alone.gguf": alone("in_sum2"), "IM-2-counts-alone.gguf": alone("counts"),
        "IM-2-shapes.gguf": shapes, "IM-2-halves.gguf": halves,
        "IM-3-negative-count.gguf": counts(-1), "IM-3-count-nan.gguf": counts(float("nan")),
        "IM-3-negative-sum.gguf": sums(-1), "IM-3-infinite-sum.gguf": sums(float("inf")),
        "IM-4-other-width.gguf": width, "IM-4-experts.gguf": experts,
    }
    made = {name: write(HERE / "invalid" / name, fill) for name, fill in files.items()}
    return made | {
        "GG-2-cut.gguf": data[:100],
        "IM-5-more-entries.dat": put(old, 0, i32(1 << 20)),
        "IM-5-cut-in-name.dat": old[:15],
        "IM-5-cut-in-sums.dat": old[:200],
        "IM-5-negative-length.dat": put(old, first + 4, i32(-5)),
        "IM-5-huge-length.dat": put(old, first + 4, i32((1 << 31) - 1)),
        "IM-5-no-sums.dat": put(old, first + 4, i32(0)),
        "IM-5-negative-divisor.dat": put(old, first, i32(-1)),
        "IM-5-name-no-utf8.dat": put(old, first - 1, b"\xff"),
        "IM-5-two-names.dat": old.replace(b"blk.0.attn_q.weight", b"blk.0.attn_k.weight"),
        "IM-5-bytes-left.dat": old + b"more",
        "IM-3-sum-nan.dat": put(old, first + 8, f32(float("nan"))),
    }


def main() -> None:
    data = write(GGUF / "valid" / "every-kind.gguf", every_kind)
    (GGUF / "invalid").mkdir(exist_ok=True)
    for name, broken in broken_gguf(data).items():
        assert broken != data, name
        (GGUF / "invalid" / (name + ".gguf")).write_bytes(broken)
    new = write(HERE / "valid" / "dense.gguf", importance)
    (HERE / "valid" / "dense.dat").write_bytes(legacy())
    (HERE / "invalid").mkdir(exist_ok=True)
    for name, broken in broken_importance(new, legacy()).items():
        (HERE / "invalid" / name).write_bytes(broken)


if __name__ == "__main__":
    main()
