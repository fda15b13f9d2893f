"""Makes the fixtures of safetensors and of the shard index. Standard library only.

    python3 Fixtures/safetensors/make.py

Writes valid/ and invalid/ beside this file, and the same in ../shard-index, from scratch.
The name of an invalid fixture begins with the one rule that it breaks.
"""

import json
import os
import shutil
import struct

HERE = os.path.dirname(os.path.abspath(__file__))
SHARDS = os.path.join(os.path.dirname(HERE), "shard-index")

BITS = {
    "BOOL": 8, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8,
    "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8, "I16": 16, "U16": 16, "F16": 16, "BF16": 16,
    "I32": 32, "U32": 32, "F32": 32, "C64": 64, "F64": 64, "I64": 64, "U64": 64,
}


def frame(text, data=b"", length=None):
    """A file: header length, header, data."""
    if isinstance(text, str):
        text = text.encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def compact(value):
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def padded(text):
    text = text.encode()
    return text + b" " * (-len(text) % 8)


def entry(dtype, shape, begin, end):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def one(dtype="U8", shape="[1]", offsets="[0,1]", name='"w"', data=b"\x07"):
    """One tensor whose fields are spelled by the caller."""
    dtype = dtype if dtype.startswith("@") else f'"{dtype}"'
    fields = f'"dtype":{dtype.lstrip("@")},"shape":{shape},"data_offsets":{offsets}'
    return frame("{" + name + ":{" + fields + "}}", data)


def tensors(*items, metadata=None, pad=True, size=None):
    """A file of (name, dtype, shape, begin, end), its data counting up."""
    header = {} if metadata is None else {"__metadata__": metadata}
    for name, *fields in items:
        header[name] = entry(*fields)
    end = max([item[4] for item in items], default=0) if size is None else size
    text = compact(header)
    return frame(padded(text) if pad else text, bytes(i % 251 for i in range(end)))


def whole(*items, metadata=None):
    """A file of (name, dtype, shape), one behind the other."""
    placed, end = [], 0
    for name, dtype, shape in items:
        begin, bits = end, BITS[dtype]
        for size in shape:
            bits *= size
        end = begin + bits // 8
        placed.append((name, dtype, shape, begin, end))
    return tensors(*placed, metadata=metadata)


EXAMPLE = whole(("w", "I8", [2]), metadata={"format": "pt"})[:-2] + b"\0\0"
W = '{"dtype":"U8","shape":[1],"data_offsets":[0,1]}'

VALID = {
    "example": EXAMPLE,
    "no-tensors": frame(padded("{}")),
    "no-tensors-unpadded": frame("{}"),
    "every-dtype": whole(*[(name.lower(), name, [2, 4]) for name in reversed(BITS)]),
    "scalar": whole(("s", "F32", [])),
    "zero-sized-share-offset": tensors(
        ("a", "F32", [0, 3], 0, 0), ("b", "U8", [0], 0, 0), ("c", "U8", [2], 0, 2),
        ("d", "I64", [4, 0], 2, 2), ("e", "I64", [0, 2**62], 2, 2)),
    "metadata-null": frame('{"__metadata__":null,"w":' + W + "}", b"\x07"),
    "metadata-empty": frame('{"__metadata__":{},"w":' + W + "}", b"\x07"),
    "unpadded-header": tensors(("w", "F32", [1], 0, 4), pad=False),
    "header-order-is-not-offset-order": tensors(
        ("a", "U8", [3], 4, 7), ("b", "F16", [2], 0, 4), metadata={"format": "mlx"}),
    "odd-offset": tensors(("a", "U8", [1], 0, 1), ("b", "F32", [1], 1, 5)),
    "blanks-around": frame(' \t\r\n{"w" : ' + W + " } \t\r\n", b"\x07"),
    "escaped-name": frame('{"\\u0061\\/\\"\\t":' + W + "}", b"\x07"),
    "names-equal-but-for-normalisation": tensors(
        ("\u00e9", "U8", [1], 0, 1), ("e\u0301", "U8", [1], 1, 2)),
    "bool-byte-2": one("BOOL", data=b"\x02"),
    "rank-32": one(shape=compact([1] * 32)),
    "name-1024-bytes": one(name=compact("n" * 1024)),
    "sub-byte": tensors(("a", "F4", [3, 2], 0, 3), ("b", "F6_E2M3", [4], 3, 6)),
    "minus-zero": one(shape="[-0]", offsets="[-0,0]", data=b""),
    "field-order": frame('{"w":{"data_offsets":[0,1],"shape":[1],"dtype":"U8"}}', b"\x07"),
    "looks-like-pickle": frame(padded(compact({"w": entry("U8", [1], 0, 1)})).ljust(640), b"\x07"),
}

INVALID = {
    "ST-1-seven-bytes": b"\x02\0\0\0\0\0\0",
    "ST-2-above-the-limit": frame("{}", length=100_000_001),
    "ST-2-top-bit": frame("{}", length=1 << 63),
    "ST-2-all-ones": frame("{}", length=(1 << 64) - 1),
    "ST-3-one-byte-past-the-end": frame("{}", length=3),
    "ST-3-at-the-limit": frame("{}", length=100_000_000),
    "ST-3-nothing-behind-the-length": struct.pack("<Q", 2),
    "ST-4-array": frame("[]"),
    "ST-4-number": frame("1"),
    "ST-4-null": frame("null"),
    "ST-4-string": frame('"{}"'),
    "ST-5-array": frame('{"__metadata__":[]}'),
    "ST-5-string": frame('{"__metadata__":"pt"}'),
    "ST-5-number-value": frame('{"__metadata__":{"a":1}}'),
    "ST-5-null-value": frame('{"__metadata__":{"a":null}}'),
    "ST-5-object-value": frame('{"__metadata__":{"a":{}}}'),
    "ST-6-no-dtype": frame('{"w":{"shape":[1],"data_offsets":[0,1]}}', b"\x07"),
    "ST-6-no-shape": frame('{"w":{"dtype":"U8","data_offsets":[0,1]}}', b"\x07"),
    "ST-6-no-offsets": frame('{"w":{"dtype":"U8","shape":[1]}}', b"\x07"),
    "ST-6-array-entry": frame('{"w":["U8",[1],[0,1]]}', b"\x07"),
    "ST-6-null-entry": frame('{"w":null}'),
    "ST-6-extra-field": frame('{"w":{' + W[1:-1] + ',"strides":[1]}}', b"\x07"),
    "ST-7-hole": tensors(("a", "U8", [1], 0, 1), ("b", "U8", [1], 2, 3)),
    "ST-7-first-not-at-zero": tensors(("a", "U8", [1], 1, 2)),
    "ST-7-overlap": tensors(("a", "U8", [2], 0, 2), ("b", "U8", [2], 1, 3)),
    "ST-7-same-bytes-twice": tensors(("a", "U8", [2], 0, 2), ("b", "U8", [2], 0, 2)),
    "ST-7-zero-sized-past-the-end": tensors(
        ("a", "U8", [1], 0, 1), ("b", "U8", [0], 2, 2), size=1),
    "ST-7-zero-sized-inside": tensors(("a", "U8", [4], 0, 4), ("b", "U8", [0], 2, 2)),
    "ST-8-cut-short": tensors(("a", "U8", [4], 0, 4), size=3),
    "ST-8-no-data": tensors(("a", "U8", [4], 0, 4), size=0),
    "ST-8-byte-left-over": tensors(("a", "U8", [4], 0, 4), size=5),
    "ST-8-data-without-tensors": frame("{}", b"\0"),
    "ST-8-a-terabyte": one(shape="[1000000000000]", offsets="[0,1000000000000]"),
    "ST-8-bits-near-2-63": one(
        shape="[1152921504606846975]", offsets="[0,1152921504606846975]"),
    "ST-9-bytes-too-few": tensors(("a", "F16", [2], 0, 3)),
    "ST-9-bytes-too-many": tensors(("a", "F16", [2], 0, 5)),
    "ST-9-scalar-without-bytes": tensors(("a", "F16", [], 0, 0)),
    "ST-9-zero-sized-with-bytes": tensors(("a", "F16", [0], 0, 2)),
    "ST-10-lower-case": one("u8"),
    "ST-10-unknown": one("F8_E4M3FN"),
    "ST-10-empty": one(""),
    "ST-10-number": one("@8"),
    "ST-10-null": one("@null"),
    "ST-11-fraction": one(shape="[1.0]"),
    "ST-11-exponent": one(shape="[1e0]"),
    "ST-11-negative": one(shape="[-1,-1]"),
    "ST-11-string": one(shape='["1"]'),
    "ST-11-null": one(shape="null"),
    "ST-11-number": one(shape="1"),
    "ST-11-nested": one(shape="[[1]]"),
    "ST-11-2-63": one(shape="[0,9223372036854775808]", offsets="[0,0]", data=b""),
    "ST-12-elements": one(shape="[4294967296,4294967296]"),
    "ST-12-elements-wrap-to-one": one(shape="[6148914691236517205,3]"),
    "ST-12-bits": one("F64", shape="[1152921504606846976]"),
    "ST-12-before-a-zero": one(shape="[4611686018427387904,4,0]", offsets="[0,0]", data=b""),
    "ST-13-three-fours": one("F4", shape="[3]", offsets="[0,2]", data=b"\0\0"),
    "ST-13-one-four": one("F4", shape="[]", offsets="[0,1]"),
    "ST-13-two-sixes": one("F6_E3M2", shape="[2]", offsets="[0,2]", data=b"\0\0"),
    "ST-14-one": one(offsets="[1]"),
    "ST-14-three": one(offsets="[0,1,1]"),
    "ST-14-none": one(offsets="[]"),
    "ST-14-reversed": one(offsets="[1,0]"),
    "ST-14-fraction": one(offsets="[0,1.0]"),
    "ST-14-negative": one(offsets="[-1,0]"),
    "ST-14-string": one(offsets='"01"'),
    "ST-14-2-63": one(offsets="[0,9223372036854775808]"),
    "ST-15-rank-33": one(shape=compact([1] * 33)),
    "ST-16-empty-name": one(name='""'),
    "ST-16-name-1025-bytes": one(name=compact("n" * 1025)),
    "ST-20-empty": b"",
    "ST-21-lfs-pointer": (
        b"version https://git-lfs.github.com/spec/v1\n"
        b"oid sha256:4355a46b19d348dc2f57c046f8ef63d4538ebb936000f3c9ee954a27460dd865\nsize 2\n"),
    "ST-22-pickle-2": b"\x80\x02}q\x00X\x01\x00\x00\x00wq\x01K\x01s.",
    "ST-22-pickle-4": b"\x80\x04\x95\x0a\0\0\0\0\0\0\0}\x94\x8c\x01w\x94K\x01s.",
    "ST-22-torch-legacy": b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.",
    "ST-22-torch-zip": (
        b"PK\x03\x04\0\0\x08\x08\0\0\0\0\0\0\0\0\0\0" + b"\0" * 8
        + struct.pack("<HH", 16, 0) + b"archive/data.pkl" + b"\x80\x02}."),
    "ST-23-gguf": b"GGUF" + struct.pack("<IQQ", 3, 0, 0),
    "ST-24-html": b"<!DOCTYPE html><html><body>Sign in</body></html>\n",
    "ST-24-html-lower-case": b"\n<html><head></head></html>\n",
    "ST-24-xml": b'\xef\xbb\xbf<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>',
    "ST-25-index": b'{\n  "metadata": {},\n  "weight_map": {}\n}\n',
    "ST-25-error-message": b'{"error":"not found"}',
    "ST-25-short": b"[]\n",
    "ST-26-gzip": b"\x1f\x8b\x08\0\0\0\0\0\0\x03\x03\0\0\0\0\0\0\0\0\0",
    "ST-26-zstd": b"\x28\xb5\x2f\xfd\x20\x02\x11\0\0hi",
    "ST-27-npz": (
        b"PK\x03\x04\x14\0\0\0\0\0\0\0\0\0\0\0\0\0" + b"\0" * 8
        + struct.pack("<HH", 5, 0) + b"w.npy" + b"\x93NUMPY\x01\0"),
    "ST-27-npy": b"\x93NUMPY\x01\0v\0{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }",
    "ST-28-hdf5": b"\x89HDF\r\n\x1a\n\0\0\0\0\0\x08\x08\0",
    "ST-29-zeros": b"\0" * 64,
    "JSON-2-header-of-no-bytes": frame(""),
    "JSON-2-blanks": frame("        "),
    "JSON-3-byte-order-mark": frame(b"\xef\xbb\xbf{}"),
    "JSON-4-nul-padding": frame(b"{}\0\0\0\0\0\0"),
    "JSON-4-second-document": frame("{}{}"),
    "JSON-5-no-colon": frame('{"w" ' + W + "}", b"\x07"),
    "JSON-6-cut-off": frame('{"w":' + W, b"\x07"),
    "JSON-7-trailing-comma": frame('{"w":' + W + ",}", b"\x07"),
    "JSON-8-comment": frame('{/* */"w":' + W + "}", b"\x07"),
    "JSON-9-single-quotes": frame("{'w':" + W + "}", b"\x07"),
    "JSON-10-nan": one(offsets="[NaN,1]"),
    "JSON-10-infinity": one(shape="[Infinity]"),
    "JSON-11-leading-zero": one(shape="[01]"),
    "JSON-11-plus": one(shape="[+1]"),
    "JSON-11-hexadecimal": one(shape="[0x1]"),
    "JSON-12-1025-digits": one(shape="[" + "1" * 1025 + "]"),
    "JSON-13-above-64-bits": one(shape="[18446744073709551617]"),
    "JSON-13-offset-above-64-bits": one(offsets="[0,18446744073709551617]"),
    "JSON-14-raw-newline": one(name='"a\nb"'),
    "JSON-14-raw-nul": one(name='"a\0"'),
    "JSON-15-unknown-escape": one(name='"\\x61"'),
    "JSON-16-lone-high-surrogate": one(name='"\\ud800"'),
    "JSON-16-lone-low-surrogate": one(name='"\\udc00"'),
    "JSON-17-escaped-nul": one(name='"a\\u0000b"'),
    "JSON-17-escaped-nul-in-metadata": frame('{"__metadata__":{"a":"\\u0000"}}'),
    "JSON-18-overlong": frame(b'{"\xc1\xa1":' + W.encode() + b"}", b"\x07"),
    "JSON-18-latin-1": frame(b'{"\xe9":' + W.encode() + b"}", b"\x07"),
    "JSON-18-surrogate": frame(b'{"\xed\xa0\x80":' + W.encode() + b"}", b"\x07"),
    "JSON-18-above-10ffff": frame(b'{"\xf4\x90\x80\x80":' + W.encode() + b"}", b"\x07"),
    "JSON-19-duplicate-tensor": frame('{"w":' + W + ',"w":' + W + "}", b"\x07"),
    "JSON-19-duplicate-key-escaped": frame('{"a":' + W + ',"\\u0061":' + W + "}", b"\x07"),
    "JSON-19-duplicate-two-ranges": frame(
        '{"w":' + W + ',"w":' + W.replace("[0,1]", "[1,2]") + "}", b"\x07\x08"),
    "JSON-19-duplicate-field": frame('{"w":{' + W[1:-1] + ',"dtype":"I8"}}', b"\x07"),
    "JSON-19-duplicate-metadata": frame('{"__metadata__":{},"__metadata__":{}}'),
    "JSON-19-duplicate-metadata-key": frame('{"__metadata__":{"a":"1","a":"2"}}'),
    "JSON-20-depth": frame("[" * 600 + "]" * 600),
    "JSON-23-name-4097-bytes": one(name=compact("n" * 4097)),
}


def index(weight_map, metadata="sum", **extra):
    top = {} if metadata is None else {"metadata": metadata}
    return {**top, "weight_map": weight_map, **extra}


A = whole(("a", "U8", [3]), metadata={"format": "pt"})
B = whole(("b", "F16", [2]), ("c", "U8", [1]), metadata={"format": "pt"})
ONE, TWO = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
INDEX = "model.safetensors.index.json"
MAP = {"a": ONE, "b": TWO, "c": TWO}
SIZE = {"total_size": 8}


def pair(weight_map=MAP, metadata=SIZE, name=INDEX, **files):
    """Two shards and an index; files by keyword replace or (None) remove."""
    folder = {ONE: A, TWO: B, name: index(weight_map, metadata)}
    folder.update({{"one": ONE, "two": TWO, "index": name}[key]: value
                   for key, value in files.items()})
    return {name: content for name, content in folder.items() if content is not None}


SHARDS_VALID = {
    "one-file": {"model.safetensors": A},
    "two-shards": pair(),
    "two-shards-without-index": pair(index=None),
    "index-of-one-file": {
        "model.safetensors": A, INDEX: index({"a": "model.safetensors"}, {"total_size": 3})},
    "no-metadata": pair(metadata=None),
    "null-metadata": pair(index=b'{"metadata":null,"weight_map":' + compact(MAP).encode() + b"}"),
    "empty-metadata": pair(metadata={}),
    "total-size-as-float": pair(metadata={"total_size": 8.0}),
    "more-metadata": pair(metadata={"total_parameters": 6, "total_size": 8}),
    "other-index-name": pair(name="weights.fp16.safetensors.index.json"),
    "beside-unrelated-files": {
        "model.safetensors": A, "adapter_model.safetensors": B, "consolidated.safetensors": A,
        "pytorch_model.bin.index.json": b"not read", "._model.safetensors": b"not read"},
    "shards-beside-unrelated-file": {**pair(), "consolidated.safetensors": B},
    "numbered-beside-unrelated-file": {**pair(index=None), "consolidated.safetensors": B},
    "adapter-alone": {"adapter_model.safetensors": A},
    "two-plain-files": {"first.safetensors": A, "second.safetensors": B},
    "links-out-of-the-folder": {
        "model.safetensors": "link:../../../safetensors/valid/example.safetensors"},
}

SHARDS_FINDINGS = {
    "SI-8-total-size-counts-headers": pair(metadata={"total_size": len(A) + len(B)}),
    "SI-8-total-size-is-text": pair(metadata={"total_size": "8"}),
    "SI-10-index-left-behind": {**pair(), "model.safetensors": A},
}

SHARDS_INVALID = {
    "SI-1-array": pair(index=b"[]"),
    "SI-1-no-weight-map": pair(index=b'{"metadata":{}}'),
    "SI-1-weight-map-is-array": pair(weight_map=[]),
    "SI-1-shard-is-number": pair(weight_map={"a": 1}),
    "SI-1-metadata-is-array": pair(metadata=[]),
    "SI-2-parent": pair(weight_map={**MAP, "a": "../" + ONE}),
    "SI-2-subfolder": pair(weight_map={**MAP, "a": "shards/" + ONE}),
    "SI-2-absolute": pair(weight_map={**MAP, "a": "/etc/passwd"}),
    "SI-2-only-dots": pair(weight_map={**MAP, "a": ".."}),
    "SI-3-pickle": pair(weight_map={**MAP, "a": "pytorch_model-00001-of-00002.bin"}),
    "SI-3-no-name": pair(weight_map={**MAP, "a": ""}),
    "SI-4-shard-missing": pair(two=None),
    "SI-5-tensor-missing": pair(weight_map={**MAP, "d": TWO}),
    "SI-5-tensor-elsewhere": pair(weight_map={**MAP, "c": ONE}),
    "SI-6-tensor-not-in-index": pair(weight_map={"a": ONE, "b": TWO}),
    "SI-7-tensor-twice": pair(two=whole(("a", "U8", [3]), ("b", "U8", [3])), index=None),
    "SI-7-tensor-twice-in-plain-files": {"first.safetensors": A, "second.safetensors": A},
    "SI-9-several-indices": {
        **pair(name="one.safetensors.index.json"), "two.safetensors.index.json": index(MAP)},
    "SI-9-several-counts": {**pair(index=None), "model-00001-of-00003.safetensors": A},
    "SI-11-no-weights": {"config.json": {}},
    "SI-11-only-pickles": {"config.json": {}, "pytorch_model.bin": b"\x80\x02}."},
    "SI-12-shard-missing": pair(one=None, index=None),
    "JSON-19-tensor-twice-in-index": pair(
        index=('{"weight_map":{"a":"%s","a":"%s"}}' % (ONE, TWO)).encode()),
    "JSON-4-text-behind-the-index": pair(index=b'{"weight_map":{}} x'),
    "ST-8-shard-cut-short": pair(two=B[:-1]),
    "ST-21-shard-is-lfs-pointer": pair(two=INVALID["ST-21-lfs-pointer"]),
}


def fresh(*parts):
    folder = os.path.join(*parts)
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    return folder


def write(path, content):
    if isinstance(content, str) and content.startswith("link:"):
        os.symlink(content[5:], path)
        return
    if not isinstance(content, bytes):
        content = (json.dumps(content, indent=2, sort_keys=True) + "\n").encode()
    with open(path, "wb") as file:
        file.write(content)


def main():
    for kind, files in (("valid", VALID), ("invalid", INVALID)):
        folder = fresh(HERE, kind)
        for name, content in files.items():
            write(os.path.join(folder, name + ".safetensors"), content)
    kinds = {"valid": SHARDS_VALID, "findings": SHARDS_FINDINGS, "invalid": SHARDS_INVALID}
    for kind, folders in kinds.items():
        fresh(SHARDS, kind)
        for name, files in folders.items():
            folder = fresh(SHARDS, kind, name)
            for file, content in files.items():
                write(os.path.join(folder, file), content)


main()
