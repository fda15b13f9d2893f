#!/usr/bin/env python3
"""Reads packed-quant containers, written from packed-quant.md alone: a second opinion, not a tool.

  packed-quant.py CONTAINER            checks every byte of it
  packed-quant.py CONTAINER FOLDER     and restores its files into a new folder

Needs numpy, and zstandard from PyPI (or Python 3.14). Checks XXH64 where the module xxhash is there.
"""
import hashlib, os, struct, sys
import numpy as np

try:
    from compression import zstd
    def expand(frame, size): return zstd.decompress(frame)
except ImportError:
    import zstandard
    def expand(frame, size): return zstandard.ZstdDecompressor().decompress(frame, size)
try:
    import xxhash
    def checksum(data): return xxhash.xxh64_intdigest(data)
except ImportError:
    checksum = None

DTYPE_BITS = [8, 4, 6, 6] + [8] * 7 + [16] * 4 + [32] * 3 + [64] * 4
INTERLEAVED = [0, 2, 4, 6, 1, 3, 5, 7]


def demand(truth, rule):
    if not truth: raise SystemExit(f'refused: PQ-{rule}')


def check(data, stated, rule):
    if checksum: demand(checksum(data) == stated, rule)


def sha(*parts): return hashlib.sha256(b''.join(parts)).digest()


class Reader:
    def __init__(self, data): self.data, self.at = data, 0

    def take(self, count):
        demand(count <= len(self.data) - self.at, 11)
        self.at += count
        return self.data[self.at - count:self.at]

    def byte(self): return self.take(1)[0]

    def number(self):
        value = shift = 0
        while True:
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80: break
        demand(shift <= 63 and (byte or shift == 7), 11)
        return value

    def string(self): return self.take(self.number()).decode()


def transform(reader):
    kind = reader.byte()
    if kind == 0: return ('bytes',)
    if kind == 1: return ('planes', reader.byte(), reader.byte())
    if kind == 2: return ('differences', reader.byte())
    demand(kind == 3, 18)
    return ('codes', reader.byte(), reader.byte(), reader.number())


def streams(how): return how[1] if how[0] in ('planes', 'differences') else 1


def stream_bytes(how, chunk):
    if how[0] == 'bytes': return chunk
    if how[0] != 'codes': return chunk // how[1]
    return -(-(chunk * 8 // how[1]) // (8 // how[1]))


def from_codes(symbols, bits, order, columns, size):
    """Codes in whole bytes back into the words they came from."""
    each, count = 8 // bits, size * 8 // bits
    shifts = np.arange(each, dtype=np.uint8) * bits
    codes = (symbols[:, None] >> shifts & ((1 << bits) - 1)).reshape(-1)[:count]
    if order == 2:
        eight = codes.reshape(-1, 8)[:, INTERLEAVED].astype(np.uint32)
        words = (eight << (4 * np.arange(8, dtype=np.uint32))).sum(1, dtype=np.uint32)
        return words.astype('<u4').tobytes()
    runs = codes.reshape(1, -1) if order == 0 else codes.reshape(-1, columns).T
    spread = (runs[:, :, None] >> np.arange(bits, dtype=np.uint8)) & 1
    packed = np.packbits(spread.reshape(len(runs), -1), axis=1, bitorder='little')
    if order == 0: return packed.tobytes()
    return np.ascontiguousarray(packed.view('<u4').T).tobytes()


def restore(how, parts, size):
    if how[0] == 'bytes': return parts[0]
    arrays = [np.frombuffer(part, np.uint8) for part in parts]
    if how[0] == 'codes': return from_codes(arrays[0], how[1], how[2], how[3], size)
    elements = np.ascontiguousarray(np.stack(arrays, axis=1)).view(f'<u{how[1]}').reshape(-1)
    if how[0] == 'differences': elements = np.cumsum(elements, dtype=elements.dtype)
    elif how[2]:
        bits = elements.dtype.type(8 * how[1] - 1)
        elements = elements >> elements.dtype.type(1) | elements << bits
    return elements.astype(f'<u{how[1]}').tobytes()


def chunk(data, start, pieces, how, size):
    """A chunk whose region begins at `start`; its bytes and where the region ends."""
    length, parts, at = stream_bytes(how, size), [], start
    for stored, encoding in pieces:
        if encoding == 0 and stored >= 4096:
            unit = 64 if len(pieces) == 1 else 16
            begin = -(-at // unit) * unit
            demand(not any(data[at:begin]), 24)
            at = begin
        piece = data[at:at + stored]
        demand(encoding <= 2 and stored == {0: length, 1: stored, 2: 1}[encoding], 20)
        if encoding == 1: piece = expand(piece, length)
        if encoding == 2: piece = piece * length
        demand(len(piece) == length, 25)
        parts.append(piece)
        at += stored
    return restore(how, parts, size), at


def blob(data, reader, at):
    """One blob: its name or None, its bytes, its digest and where its last region ends."""
    name = bits = None
    if reader.byte():
        name, bits = reader.string(), DTYPE_BITS[reader.byte()]
        for _ in range(reader.number()): bits *= reader.number()
    size = reader.number()
    demand(bits is None or bits == 8 * size, 16)
    how, step = transform(reader), reader.number()
    demand(1 <= step <= 1 << 24, 19)
    demand(reader.number() == at, 21)
    digest, found, leaves = reader.take(32), [], []
    for start in range(0, size, step):
        numbers = [reader.number() for _ in range(streams(how))]
        pieces, stated = [(n >> 2, n & 3) for n in numbers], reader.take(8)
        begin = at
        content, at = chunk(data, at, pieces, how, min(step, size - start))
        check(data[begin:at], struct.unpack('<Q', stated)[0], 23)
        demand(len(content) == min(step, size - start), 26)
        found.append(content)
        leaves.append(sha(content))
    demand(digest == sha(b'PQ blob\n', struct.pack('<QQ', size, step), *leaves), 27)
    return name, b''.join(found), digest, at


def directory(data):
    demand(data[:8] == b'\x89PQUANT\n', 1)
    check(data[:56], struct.unpack('<Q', data[56:64])[0], 2)
    demand(struct.unpack('<HHI', data[8:16]) == (1, 0, 0), 3)
    demand(len(data) >= 160 and data[-8:] == b'PQEND\r\n\x1a', 5)
    foot = data[-96:]
    check(foot[:80], struct.unpack('<Q', foot[80:88])[0], 6)
    offset, stored, plain, stated = struct.unpack('<4Q', foot[:32])
    length, packed, zero = struct.unpack('<QII', foot[64:80])
    demand(length == len(data) and offset + stored + 96 == length and not zero, 7)
    text = data[offset:offset + stored]
    check(text, stated, 9)
    if packed: text = expand(text, plain)
    demand(len(text) == plain, 10)
    demand(sha(text) == foot[32:64], 29)
    return Reader(text), offset


def read(data):
    """Every file by its path."""
    reader, end = directory(data)
    reader.string()
    files, at = {}, 64
    for _ in range(reader.number()):
        path, size, digest = reader.string(), reader.number(), reader.take(32)
        demand(path and not path.startswith('/') and '\\' not in path, 14)
        demand(all(part not in ('', '.', '..') for part in path.split('/')), 14)
        demand(not files or max(p.encode() for p in files) < path.encode(), 15)
        parts, digests = [], []
        for _ in range(reader.number()):
            _, content, one, at = blob(data, reader, at)
            parts.append(content)
            digests.append(one)
        files[path] = b''.join(parts)
        demand(len(files[path]) == size, 17)
        demand(digest == sha(b'PQ file\n', struct.pack('<Q', size), *digests), 28)
    demand(at == end, 22)
    for _ in range(reader.number()):  # layers
        reader.string(), reader.string()
        for _ in range(4): reader.number()
        for _ in range(reader.number()): reader.string(), reader.number()
    for _ in range(reader.number()):  # extensions
        reader.number()
        demand(reader.byte() == 0, 31)
        reader.take(reader.number())
    demand(reader.at == len(reader.data), 11)
    return files


def main(container, folder=None):
    files = read(open(container, 'rb').read())
    for path, content in files.items():
        if folder is None: continue
        target = os.path.join(folder, path)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(target, 'xb') as out: out.write(content)
    print(f'{container}: {len(files)} files, {sum(map(len, files.values()))} bytes, all digests right')


if __name__ == '__main__':
    main(*sys.argv[1:])
