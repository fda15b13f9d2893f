"""Cuts the first rows of a layer that GPTQModel and the original GPTQ quantized: rows are rounded one by
one, so a few of them with the whole Hessian are a case of their own. Standard library only.

    python3 Fixtures/quantizers/trim_gptq.py GOLDENS

Writes gptq/layer0.safetensors beside this file.
"""

import json
import os
import struct
import sys

ROWS = 16


def main(goldens):
    with open(os.path.join(goldens, "layers-gptq", "layer0.safetensors"), "rb") as file:
        size = struct.unpack("<Q", file.read(8))[0]
        header = json.loads(file.read(size))
        data = file.read()
    tensors, offset, parts = {}, 0, []
    for name in sorted(header):
        kind = name.split(".")[-1]
        if name != "H" and name != "W" and kind not in ("Q", "codes", "scale", "zero"):
            continue
        entry = header[name]
        start, end = entry["data_offsets"]
        shape, part = entry["shape"], data[start:end]
        if name != "H":
            part = part[:len(part) // shape[0] * ROWS]
            shape = [ROWS] + shape[1:]
        tensors[name] = {
            "dtype": entry["dtype"], "shape": shape,
            "data_offsets": [offset, offset + len(part)],
        }
        offset += len(part)
        parts.append(part)
    text = json.dumps(tensors, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    here = os.path.dirname(os.path.abspath(__file__))
    with open(os.path.join(here, "gptq", "layer0.safetensors"), "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + b"".join(parts))


main(sys.argv[1])
