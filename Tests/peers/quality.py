"""Perplexities of one model after rounding, GPTQ and AWQ, means of several draws of calibration text,
beside GPTQModel's on the same draws where a Python that has it is given.

    quality.py --goldens DIR [--nibble PATH] [--python-gptq PATH] [--draws 5] [--dampings 1] [--work DIR] [name…]

DIR has models/llama-quality and text/{train,valid}.txt. Draw 1 is the first 32 windows of train.txt,
the others are drawn from the rest of it. With `--work` what was measured is kept and not made again.

A code that rounds the other way changes all that come after it, so two runs that mean the same spread
as widely as two draws do. `--dampings 8` measures how widely: GPTQ with 0.05 of the diagonal's mean added to
it and with parts that differ by some thousandths of that; mean and standard deviation of the draws' means.
"""

import argparse
import json
import os
import pathlib
import random
import shutil
import statistics
import subprocess
import sys
import tempfile

WINDOW, WINDOWS = 128, 32
SIZES = (-1, 128, 64, 32)


def damping(step):
    """0.05, 0.0499, 0.0501, 0.0498 and so on."""
    return round(0.05 + 0.0001 * (step + 1 >> 1) * (-1) ** step, 4)


def rows():
    """Name, options of nibble, settings of GPTQModel or None."""
    for bits in (4, 3, 2):
        for size in SIZES:
            gptq = f"--method gptq --bits {bits} --group-size={size}"
            theirs = {"bits": bits, "group_size": size, "act_group_aware": size > 0}
            yield f"gptq-w{bits}g{size}", gptq, theirs
            yield f"gptq-w{bits}g{size}-mse0", f"{gptq} --mse 0", None
    for bits, size in ((4, 128), (3, 128), (2, 32)):
        gptq = f"--method gptq --bits {bits} --group-size={size}"
        theirs = {"bits": bits, "group_size": size, "act_group_aware": True, "mse": 2.4}
        yield f"gptq-w{bits}g{size}-searched", gptq, theirs
    for bits, size in ((4, 128), (4, 32), (2, 32)):
        gptq = f"--method gptq --no-sym --bits {bits} --group-size={size}"
        theirs = {"bits": bits, "group_size": size, "sym": False, "act_group_aware": False}
        yield f"gptq-w{bits}g{size}-asym", gptq, theirs
        yield f"gptq-w{bits}g{size}-asym-same", f"{gptq} --mse 0 --no-act-group-aware", None
    desc = {"bits": 3, "group_size": 128, "desc_act": True, "act_group_aware": False}
    yield "gptq-w3g128-desc", "--method gptq --bits 3 --desc-act", desc
    yield "gptq-w3g128-desc-mse0", "--method gptq --bits 3 --desc-act --mse 0", None
    for bits, size in ((4, 128), (3, 128), (2, 32)):
        gptq = f"--method gptq --bits {bits} --group-size={size}"
        yield f"gptq-w{bits}g{size}-gptaq", f"{gptq} --gptaq 0.25", None
        yield f"gptq-w{bits}g{size}-weighted", f"{gptq} --weighted-ranges", None
    for bits, size in ((4, 128), (4, 64), (3, 128)):
        grid = f"--no-sym --bits {bits} --group-size={size}"
        yield f"rtn-w{bits}g{size}-asym", f"--method rtn {grid}", None
        yield f"rtn-w{bits}g{size}-asym-weighted", f"--method rtn {grid} --weighted-ranges", None
        yield f"awq-w{bits}g{size}", f"--method awq {grid}", None
        yield f"awq+gptq-w{bits}g{size}", f"--method awq+gptq {grid}", None
        yield f"awq+gptq-w{bits}g{size}-mse", f"--method awq+gptq {grid} --mse 2.4", None


class Measures:
    def __init__(self, arguments, work):
        self.nibble, self.draws, self.dampings = arguments.nibble, arguments.draws, arguments.dampings
        goldens = pathlib.Path(arguments.goldens)
        self.model = goldens / "models/llama-quality"
        self.valid = goldens / "text/valid.txt"
        self.work = work
        self.kept = work / "quality.json"
        self.known = json.loads(self.kept.read_text()) if self.kept.exists() else {}
        self.write_draws(goldens / "text/train.txt")

    def run(self, *words):
        done = subprocess.run([self.nibble, *map(str, words)], capture_output=True, text=True)
        if done.returncode:
            sys.exit(done.stderr)
        return done.stdout

    def draw(self, number):
        return self.work / f"draw-{number}.json"

    def write_draws(self, train):
        ids = list(map(int, self.run("tokenize", self.model, train, "--no-special-tokens").split()))
        for number in range(1, self.draws + 1):
            starts = range(WINDOWS)
            if number > 1:
                rest = range(WINDOWS, len(ids) // WINDOW)
                starts = sorted(random.Random(number).sample(rest, WINDOWS))
            windows = [ids[start * WINDOW : (start + 1) * WINDOW] for start in starts]
            self.draw(number).write_text(json.dumps(windows))

    def perplexity(self, folder):
        words = ["--context", WINDOW, "--max-windows", WINDOWS, "--no-special-tokens", "--json"]
        return json.loads(self.run("perplexity", folder, "--text", self.valid, *words))["perplexity"]

    def ours(self, options, number, step):
        out = self.work / "out"
        shutil.rmtree(out, ignore_errors=True)
        words = options.split() + ["--format", "gptq_v2", "--no-sync", "-o", out]
        if "rtn" not in options or "--weighted" in options:
            words += ["--calibration", self.draw(number), "--seq-len", WINDOW]
        if step:
            words += ["--damp-percent", damping(step)]
        self.run("quantize", self.model, *words)
        return self.perplexity(out)

    def theirs(self, name, number, step):
        folder = self.work / "peer" / run_name(name, number, step)
        return self.perplexity(folder) if folder.exists() else None

    def measured(self, key, options, make):
        """The draws' mean, and how far it spreads over several dampings; None where runs are missing."""
        draws = 1 if "rtn" in options and "--weighted" not in options else self.draws
        means = []
        for step in range(self.dampings if "gptq" in options else 1):
            values = []
            for number in range(1, draws + 1):
                known = run_name(key, number, step)
                if self.known.get(known) is None:
                    self.known[known] = make(number, step)
                    self.kept.write_text(json.dumps(self.known))
                values.append(self.known[known])
            if None in values:
                return None
            means.append(statistics.mean(values))
        spread = f" ± {statistics.stdev(means):.3f}" if len(means) > 1 else ""
        return f"{statistics.mean(means):.3f}{spread}"


def run_name(name, number, step):
    return f"{name}.{number}.{step}" if step else f"{name}.{number}"


# Runs where GPTQModel is installed: model, folder of the work, and for each run its name, draw and settings.
PEER = """
import json, pathlib, shutil, sys, torch
from gptqmodel import GPTQModel, QuantizeConfig
model, work = sys.argv[1], pathlib.Path(sys.argv[2])
for name, number, settings in json.loads(sys.argv[3]):
    folder = work / "peer" / name
    if folder.exists(): continue
    windows = json.loads((work / f"draw-{number}.json").read_text())
    data = [{"input_ids": ids, "attention_mask": [1] * len(ids)} for ids in windows]
    config = QuantizeConfig(format="gptq_v2", offload_to_disk=False, **settings)
    made = GPTQModel.load(model, config, dtype=torch.float16, device="cpu")
    made.quantize(data, batch_size=1)
    made.save(str(folder))
    for file in pathlib.Path(model).glob("*token*.json"): shutil.copy(file, folder)
"""


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--goldens", required=True)
    parser.add_argument("--nibble", default=".build/release/nibble")
    parser.add_argument("--python-gptq")
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--dampings", type=int, default=1)
    parser.add_argument("--work")
    parser.add_argument("names", nargs="*")
    arguments = parser.parse_args()
    wanted = [row for row in rows() if not arguments.names or row[0] in arguments.names]
    with tempfile.TemporaryDirectory() as scratch:
        work = pathlib.Path(arguments.work or scratch)
        work.mkdir(parents=True, exist_ok=True)
        measures = Measures(arguments, work)
        if arguments.python_gptq:
            runs = [
                (run_name(name, number, step), number, theirs | {"damp_percent": damping(step)})
                for name, _, theirs in wanted if theirs
                for step in range(arguments.dampings) for number in range(1, arguments.draws + 1)]
            command = [arguments.python_gptq, "-c", PEER, str(measures.model), str(work)]
            environment = os.environ | {"GPTQMODEL_CPU_WORKERS": "2", "OMP_NUM_THREADS": "1"}
            subprocess.run(
                [*command, json.dumps(runs)], env=environment, stdout=subprocess.DEVNULL, check=True)
        print("| settings | nibble | GPTQModel |\n|---|---|---|")
        print(f"| dense | {measures.perplexity(measures.model):.3f} | |")
        for name, options, theirs in wanted:
            ours = measures.measured(name, options, lambda *run: measures.ours(options, *run))
            peer = theirs and measures.measured(
                f"peer-{name}", options, lambda *run: measures.theirs(name, *run))
            print(f"| {name} | {ours} | {peer or ''} |")


if __name__ == "__main__":
    main()
