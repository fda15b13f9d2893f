"""Times `nibble bench tokenize` and pip tokenizers on one core in turn, on the same text.

    python bench_tokenize.py NIBBLE TEXT TOKENIZER.json…

Prints, for each tokenizer, medians of 5 in MB/s and their ratio; fails where the numbers of tokens differ.
"""

import os
import statistics
import subprocess
import sys
import time

os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["RAYON_NUM_THREADS"] = "1"
from tokenizers import Tokenizer  # noqa: E402

RUNS = 5


def ours(nibble, path, text):
    command = [nibble, "bench", "tokenize", path, text, "--runs", "1"]
    words = subprocess.run(command, capture_output=True, check=True, text=True).stdout.splitlines()[1].split()
    return float(words[1]), int(words[3])


def main():
    nibble, text, paths = sys.argv[1], sys.argv[2], sys.argv[3:]
    with open(text, "rb") as file:
        data = file.read()
    string = data.decode("utf-8", "replace")
    for path in paths:
        tokenizer = Tokenizer.from_file(path)
        tokenizer.no_truncation()
        tokenizer.no_padding()
        fast, slow = [], []
        for _ in range(RUNS):
            start = time.perf_counter()
            count = len(tokenizer.encode(string).ids)
            slow.append(len(data) / (time.perf_counter() - start) / 1e6)
            rate, tokens = ours(nibble, path, text)
            assert tokens == count > 0, (tokens, count)
            fast.append(rate)
        ratio = statistics.median(a / b for a, b in zip(fast, slow))
        print(f"{path}: {statistics.median(fast):.1f} MB/s, peer {statistics.median(slow):.2f}, {ratio:.1f} times")


main()
