"""Makes MLX's own reading of its small floats: needs pip mlx (made with 0.32.4, CPU).

    python3 Fixtures/mlx/make.py

Writes golden/floats/layers.safetensors beside this file: for each mode a layer of 255 rows of 32
codes, in which all codes occur, with the bytes 0 ... 254 as scales, and what `mx.dequantize` reads in
float32. Byte 255 is left out: the formats call it NaN, and MLX reads it as infinity in the mx modes.
"""

import os

import mlx.core as mx
import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))


def words(bits):
    row, column = np.arange(255)[:, None], np.arange(32)[None, :]
    codes = ((8 * column + row) % 256 if bits == 8 else column % 16).astype(np.uint8)
    codes = np.broadcast_to(codes, (255, 32))
    if bits == 4:
        codes = codes[:, 0::2] | codes[:, 1::2] << 4
    return np.ascontiguousarray(codes).view(np.uint32)


tensors = {}
for mode, bits, group in (("mxfp4", 4, 32), ("mxfp8", 8, 32), ("nvfp4", 4, 16)):
    weight = mx.array(words(bits))
    scales = mx.array(np.tile(np.arange(255, dtype=np.uint8)[:, None], (1, 32 // group)))
    tensors |= {f"{mode}.weight": weight, f"{mode}.scales": scales}
    tensors[f"{mode}.dequant"] = mx.dequantize(
        weight, scales, group_size=group, bits=bits, mode=mode, dtype=mx.float32)
folder = os.path.join(HERE, "golden", "floats")
os.makedirs(folder, exist_ok=True)
mx.save_safetensors(os.path.join(folder, "layers.safetensors"), tensors, {"format": "mlx"})
