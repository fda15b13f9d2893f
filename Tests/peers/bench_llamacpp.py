"""Times llama.cpp's Q4_0 products beside `nibble bench decode`, in turn, on the same shapes and threads.

    python bench_llamacpp.py NIBBLE [--hidden N] [--ffn N] [--layers N] [--vocab N] [--threads N] [--runs N]
        [--cpu-time]

Python needs llama-cpp-python, whose ggml libraries are called directly: one graph of all products of a token, on
weights in the layout that llama.cpp repacks Q4_0 to for this processor where it has one, as it does when it loads a
model. Prints medians of both, bytes and weights per second, and ratios (above 1: nibble is faster). Nibble has
group size 128 with zero points, Q4_0 32 without: time a token is what counts.
"""

import argparse
import ctypes
import glob
import os
import statistics
import subprocess
import time

F32, Q4_0 = 0, 2


class InitParams(ctypes.Structure):
    _fields_ = [("mem_size", ctypes.c_size_t), ("mem_buffer", ctypes.c_void_p), ("no_alloc", ctypes.c_bool)]


def libraries():
    import importlib.util

    folder = os.path.join(os.path.dirname(importlib.util.find_spec("llama_cpp").origin), "lib")
    base, cpu = (
        ctypes.CDLL(glob.glob(f"{folder}/lib{name}.so*")[0], mode=ctypes.RTLD_GLOBAL)
        for name in ("ggml-base", "ggml-cpu")
    )
    pointers = {
        base: "ggml_init ggml_new_tensor_2d ggml_mul_mat ggml_new_graph_custom ggml_get_data ggml_backend_alloc_ctx_tensors_from_buft "
        "ggml_backend_alloc_ctx_tensors",
        cpu: "ggml_backend_cpu_init _Z35ggml_backend_cpu_repack_buffer_typev",
    }
    for library, names in pointers.items():
        for name in names.split():
            getattr(library, name).restype = ctypes.c_void_p
    base.ggml_nbytes.restype = ctypes.c_size_t
    return base, cpu


class Peer:
    """A token's products as one ggml graph."""

    def __init__(self, shapes, threads, clock=time.perf_counter):
        self.clock = clock
        base, cpu = libraries()
        self.base, self.cpu = base, cpu
        backend = ctypes.c_void_p(cpu.ggml_backend_cpu_init())
        cpu.ggml_backend_cpu_set_n_threads(backend, threads)
        weights = ctypes.c_void_p(base.ggml_init(InitParams(1 << 20, None, True)))
        inputs = ctypes.c_void_p(base.ggml_init(InitParams(16 << 20, None, True)))
        long = ctypes.c_int64
        tensors = [
            ctypes.c_void_p(base.ggml_new_tensor_2d(weights, Q4_0, long(columns), long(rows))) for rows, columns in shapes
        ]
        repacked = getattr(cpu, "_Z35ggml_backend_cpu_repack_buffer_typev")
        kind = ctypes.c_void_p(repacked())
        assert base.ggml_backend_alloc_ctx_tensors_from_buft(weights, kind)
        graph = ctypes.c_void_p(base.ggml_new_graph_custom(inputs, ctypes.c_size_t(4096), False))
        vectors = {}
        for tensor, (_, columns) in zip(tensors, shapes):
            if columns not in vectors:
                vectors[columns] = ctypes.c_void_p(base.ggml_new_tensor_2d(inputs, F32, long(columns), long(1)))
            product = ctypes.c_void_p(base.ggml_mul_mat(inputs, tensor, vectors[columns]))
            base.ggml_build_forward_expand(graph, product)
        assert base.ggml_backend_alloc_ctx_tensors(inputs, backend)
        for columns, vector in vectors.items():
            values = (ctypes.c_float * columns)(*((i * 37 % 256) / 128 - 1 for i in range(columns)))
            base.ggml_backend_tensor_set(vector, values, ctypes.c_size_t(0), ctypes.c_size_t(columns * 4))
        self.byte_count = 0
        for tensor, (rows, columns) in zip(tensors, shapes):
            size = base.ggml_nbytes(tensor)
            self.byte_count += size
            # Blocks of an f16 scale and 16 bytes of codes, the same one in every place.
            block = b"\x00\x20" + bytes(range(7, 7 + 16))
            base.ggml_backend_tensor_set(tensor, block * (size // 18), ctypes.c_size_t(0), ctypes.c_size_t(size))
        self.backend, self.graph = backend, graph

    def seconds(self):
        start = self.clock()
        status = self.base.ggml_backend_graph_compute(self.backend, self.graph)
        assert status == 0, status
        return self.clock() - start


def ours(options):
    words = "hidden ffn layers vocab threads".split()
    command = [options.nibble, "bench", "decode", "--dense-layers", "0", "--runs", "3"]
    command += ["--cpu-time"] if options.cpu_time else []
    command += [word for name in words for word in (f"--{name}", str(getattr(options, name)))]
    lines = subprocess.run(command, capture_output=True, check=True, text=True).stdout.splitlines()
    rows = {}
    for line in lines[1:]:
        for name in ("reading", "f32 activations", "8-bit activations"):
            if line.startswith(name):
                # Bytes are a number and a unit.
                rows[name] = float(line[len(name):].split()[2]) / 1e3
    return rows


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("nibble")
    for name, value in [("hidden", 4096), ("ffn", 11008), ("layers", 4), ("vocab", 32000), ("threads", 2), ("runs", 5)]:
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--cpu-time", action="store_true", help="processor time, for a busy machine; takes --threads 1")
    options = parser.parse_args()
    # Waiting threads of ggml spin, which is processor time too.
    assert not options.cpu_time or options.threads == 1, "--cpu-time takes --threads 1"
    h, f = options.hidden, options.ffn
    shapes = ([(h, h)] * 4 + [(f, h)] * 2 + [(h, f)]) * options.layers
    shapes += [(options.vocab, h)] if options.vocab else []
    weights = sum(rows * columns for rows, columns in shapes)
    peer = Peer(shapes, options.threads, time.process_time if options.cpu_time else time.perf_counter)
    peer.seconds()
    theirs, own = [], []
    for _ in range(options.runs):
        theirs.append(statistics.median(peer.seconds() for _ in range(3)))
        own.append(ours(options))
    middle = statistics.median(theirs)
    print(f"{weights / 1e6:.0f} million weights, {options.threads} threads; machine's load {os.getloadavg()[0]:.1f}")
    print(f"llama.cpp Q4_0: {middle * 1e3:.2f} ms, {peer.byte_count / middle / 1e9:.2f} GB/s, {weights / middle / 1e9:.1f} G weights/s")
    for name in ("f32 activations", "8-bit activations"):
        times = [row[name] for row in own]
        ratio = statistics.median(a / b for a, b in zip(theirs, times))
        middle = statistics.median(times)
        print(f"nibble, {name}: {middle * 1e3:.2f} ms, {weights / middle / 1e9:.1f} G weights/s, {ratio:.2f} times llama.cpp's speed")


main()
