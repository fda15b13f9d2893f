#!/usr/bin/env python3
"""Ratios and speeds of containers beside `zstd -3`, `zstd -19` and ZipNN, in one run.

    bench_container.py --nibble PATH ratios FOLDER…
    bench_container.py --nibble PATH speed [--megabytes 100] [--runs 7]

Needs numpy and zipnn (0.5.4). `ratios` takes each .safetensors file of the folders on its own.
`speed` makes a bf16 tensor of normal weights with a scale for each row; all sides alternate, on two
threads, from memory to memory, medians; of nibble the line "read from memory" is meant.
"""
import argparse, glob, json, os, re, struct, subprocess, sys, tempfile, time
import numpy as np


def zipnn(data, dtype):
    from zipnn import ZipNN
    coder = ZipNN(input_format='byte', bytearray_dtype=dtype, threads=2)
    return coder, coder.compress(data)


def zstd(path, level):
    out = subprocess.run(['zstd', '-c', '-q', f'-{level}', path], capture_output=True, check=True)
    return len(out.stdout)


def tensors(path):
    data = open(path, 'rb').read()
    size, = struct.unpack('<Q', data[:8])
    header = json.loads(data[8:8 + size])
    header.pop('__metadata__', None)
    return [(t['dtype'], data[8 + size + t['data_offsets'][0]:8 + size + t['data_offsets'][1]])
            for t in header.values()]


def zipnn_of_file(path):
    """Each dtype's tensors together, as ZipNN packs one stream of one dtype; others as they are."""
    names = {'BF16': 'bfloat16', 'F16': 'float16', 'F32': 'float32'}
    joined = {}
    with open(path, 'rb') as file: total = 8 + struct.unpack('<Q', file.read(8))[0]  # the header
    for dtype, data in tensors(path): joined[dtype] = joined.get(dtype, b'') + data
    for dtype, data in joined.items():
        total += len(zipnn(data, names[dtype])[1]) if dtype in names and data else len(data)
    return total


def ratios(nibble, folders):
    print(f'{"file":52} {"bytes":>10} {"pquant":>7} {"-l 12":>7} {"zstd -3":>7} {"zstd -19":>8} {"ZipNN":>7}')
    for path in (p for f in folders for p in sorted(glob.glob(f + '/model*.safetensors'))):
        size = os.path.getsize(path)
        def packed(level):
            text = subprocess.run([nibble, 'pack', path, '--dry-run', '--json', '--level', str(level)],
                                  capture_output=True, check=True).stdout
            return json.loads(text)['bytes'] / size
        row = [packed(3), packed(12), zstd(path, 3) / size, zstd(path, 19) / size,
               zipnn_of_file(path) / size]
        name = '/'.join(path.split('/')[-2:])
        print(f'{name:52} {size:10}', ' '.join(f'{r:7.4f}' for r in row))


def weights(megabytes):
    random = np.random.default_rng(1)
    rows = random.normal(size=(megabytes * 1_000_000 // 8192, 4096)).astype(np.float32)
    rows *= np.exp(random.normal(scale=0.25, size=(len(rows), 1))) * 0.02
    return (rows.view(np.uint32) + 0x8000 >> 16).astype('<u2')


def clocks():
    return np.array([time.perf_counter(), time.process_time()])


def speed(nibble, megabytes, runs):
    data = weights(megabytes)
    folder = tempfile.mkdtemp()
    path = folder + '/model.safetensors'
    header = json.dumps({'w': {'dtype': 'BF16', 'shape': list(data.shape),
                               'data_offsets': [0, data.nbytes]}}).encode()
    header += b' ' * (-len(header) % 8)
    with open(path, 'wb') as file:
        file.write(struct.pack('<Q', len(header)) + header + data.tobytes())
    raw, times = data.tobytes(), {'ZipNN compress': [], 'ZipNN decompress': []}
    for run in range(runs + 1):
        # ZipNN works in place: it gets a copy.
        start = clocks()
        coder, packed = zipnn(bytearray(raw), 'bfloat16')
        middle = clocks()
        back = coder.decompress(packed)
        end = clocks()
        assert bytes(back) == raw
        text = subprocess.run([nibble, 'bench', 'pack', path, '--runs', '3', '--threads', '2',
                               '--scratch', folder], capture_output=True, check=True, text=True).stdout
        if run == 0: continue
        times['ZipNN compress'].append(tuple(1000 * (middle - start)))
        times['ZipNN decompress'].append(tuple(1000 * (end - middle)))
        for line in text.splitlines()[1:]:
            name, milliseconds, spent = re.match(r'(.*?)\s+([\d.]+)\s+[\d.]+\s+([\d.]+)$', line).groups()
            times.setdefault('nibble ' + name, []).append((float(milliseconds), float(spent)))
    print(f'{len(raw) / 1e6:.0f} MB of bf16; ZipNN ratio {len(packed) / len(raw):.4f};',
          text.splitlines()[0].split(',')[1].split()[1], 'nibble')
    print(f'{"":28} {"ms":>8} {"CPU ms":>8}')
    for name, values in times.items():
        print(f'{name:28}', *(f'{sorted(column)[len(values) // 2]:8.1f}' for column in zip(*values)))
    subprocess.run(['rm', '-r', folder], check=True)


if __name__ == '__main__':
    parser = argparse.ArgumentParser()
    parser.add_argument('--nibble', default='.build/release/nibble')
    parser.add_argument('what', choices=['ratios', 'speed'])
    parser.add_argument('folders', nargs='*')
    parser.add_argument('--megabytes', type=int, default=100)
    parser.add_argument('--runs', type=int, default=7)
    chosen = parser.parse_args()
    if chosen.what == 'ratios': ratios(chosen.nibble, chosen.folders)
    else: speed(chosen.nibble, chosen.megabytes, chosen.runs)
