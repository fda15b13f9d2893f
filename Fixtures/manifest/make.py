"""Makes the small manifests. Standard library only.

    python3 Fixtures/manifest/make.py

Writes valid/ and invalid/ beside this file from scratch. The valid one is that of
shard-index/valid/two-shards; the name of a file in invalid/ begins with the one rule it breaks.
"""

import copy
import hashlib
import json
import os
import shutil
import struct

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = os.path.join(os.path.dirname(HERE), "shard-index", "valid", "two-shards")
SHARD, INDEX = "model-00001-of-00002.safetensors", "model.safetensors.index.json"


def digest(data):
    return hashlib.sha256(data).hexdigest()


def manifest():
    files, tensors = {}, {}
    for name in sorted(os.listdir(SOURCE)):
        with open(os.path.join(SOURCE, name), "rb") as file:
            data = file.read()
        if not name.endswith(".safetensors"):
            files[name] = {"bytes": len(data), "sha256": digest(data)}
            continue
        start = 8 + struct.unpack("<Q", data[:8])[0]
        files[name] = {"bytes": len(data), "header_sha256": digest(data[:start])}
        for key, entry in json.loads(data[8:start]).items():
            if key == "__metadata__":
                continue
            begin, end = entry["data_offsets"]
            tensors[key] = {
                "dtype": entry["dtype"], "shape": entry["shape"], "file": name,
                "sha256": digest(data[start + begin:start + end]),
            }
    return {
        "nibble_manifest": 1, "writer": "nibble 0.1.0", "source": None, "options": None,
        "files": files, "tensors": dict(sorted(tensors.items())),
    }


def text(value):
    """One line for each file and tensor."""
    lines = []
    for key, member in value.items():
        if key in ("files", "tensors"):
            inner = [
                f"    {json.dumps(k)}: {json.dumps(v, separators=(',', ':'))}"
                for k, v in member.items()
            ]
            lines.append(f'  "{key}": {{\n' + ",\n".join(inner) + "\n  }")
        else:
            lines.append(f'  "{key}": {json.dumps(member, separators=(",", ":"))}')
    return "{\n" + ",\n".join(lines) + "\n}\n"


def write(folder, name, content):
    os.makedirs(os.path.join(HERE, folder), exist_ok=True)
    with open(os.path.join(HERE, folder, name + ".json"), "w", newline="\n") as file:
        file.write(content)


def main():
    for folder in ("valid", "invalid"):
        shutil.rmtree(os.path.join(HERE, folder), ignore_errors=True)
    right = manifest()
    write("valid", "two-shards", text(right))

    def broken(name, change):
        value = copy.deepcopy(right)
        change(value)
        write("invalid", name, json.dumps(value, indent=1))

    def top(name, **members):
        broken(name, lambda m: m.update(members))

    def shard(name, **members):
        broken(name, lambda m: m["files"][SHARD].update(members))

    def tensor(name, **members):
        broken(name, lambda m: m["tensors"]["a"].update(members))

    def path(name, new):
        broken(name, lambda m: m["files"].update({new: m["files"].pop(INDEX)}))

    write("invalid", "MAN-1-array", json.dumps([right], indent=1))
    broken("MAN-1-no-version", lambda m: m.pop("nibble_manifest"))
    top("MAN-1-version-is-text", nibble_manifest="1")
    top("MAN-1-later-version", nibble_manifest=2)
    top("MAN-2-unknown-field", date="today")
    broken("MAN-2-no-tensors", lambda m: m.pop("tensors"))
    top("MAN-2-files-are-an-array", files=[])
    top("MAN-2-writer-is-a-number", writer=1)
    top("MAN-2-options-are-text", options="awq")
    top("MAN-2-source-without-files", source={"name": "x", "revision": None})
    shard("MAN-2-file-with-two-digests", sha256="0" * 64)
    broken("MAN-2-tensor-is-text", lambda m: m["tensors"].update(a="x"))
    path("MAN-3-parent", "../index.json")
    path("MAN-3-absolute", "/index.json")
    path("MAN-3-dots-within", "a/../../b")
    path("MAN-3-empty", "")
    shard("MAN-4-negative-bytes", bytes=-1)
    shard("MAN-4-fraction", bytes=1.5)
    tensor("MAN-4-short-digest", sha256="0" * 63)
    tensor("MAN-4-capital-digest", sha256="A" * 64)
    tensor("MAN-4-digest-is-null", sha256=None)
    tensor("MAN-5-unknown-dtype", dtype="u8")
    tensor("MAN-5-negative-dimension", shape=[-3])
    tensor("MAN-5-overflow", shape=[2**62, 4, 0])
    tensor("MAN-5-shape-is-text", shape="3")
    tensor("MAN-6-unknown-file", file="other.safetensors")
    tensor("MAN-6-file-without-tensors", file=INDEX)
    write("invalid", "JSON-19-tensor-twice", text(right).replace('"b":', '"a":'))
    write("invalid", "JSON-6-cut-off", text(right)[:200])


main()
