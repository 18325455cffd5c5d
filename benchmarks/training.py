"""Gradients, transposed convolution and pools against PyTorch's: one table.

Run as ``python -m benchmarks.training --python PYTHON``, PYTHON having torch. float32, channels
first, batch 8, 2 threads, packing of weights inside the timing, results allocated by each engine.
The engines are processes of their own and take turns with pauses; least times of all rounds. Writes
``benchmarks/results/training.json`` with ``--save``.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import time

from benchmarks import engines
from benchmarks.training_cases import CASES

_PAUSE = 0.1
ENGINES = ("numbaconv", "torch")


def start(name, python):
    environment = os.environ | {"NUMBA_NUM_THREADS": "2", "OMP_NUM_THREADS": "2"}
    return subprocess.Popen(
        [python, "-m", "benchmarks.training_engine", name], env=environment, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip


def ask(process, name, seconds):
    process.stdin.write(json.dumps([name, seconds]) + "\n")
    process.stdin.flush()
    return json.loads(process.stdout.readline())[0]


def summary(times):
    """Return geometric means and least ratios by kind, and for gradients by network."""
    kinds = {}
    for name, found in times.items():
        case = CASES[name]
        keys = [case.kind]
        if case.kind.endswith("_grad"):
            mobile = "mobilenet" in name
            keys = [f"{case.kind}, mobilenet" if mobile else case.kind]
        for key in keys:
            kinds.setdefault(key, []).append(found["ratio"])
    return {
        kind: {
            "geomean": round(math.exp(sum(map(math.log, ratios)) / len(ratios)), 2),
            "least": min(ratios), "under 1": sum(r < 1 for r in ratios), "cases": len(ratios),
        }
        for kind, ratios in kinds.items()
    }  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--python", required=True)
    parser.add_argument("--only", action="append", help="cases whose names contain this")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=0.1)
    parser.add_argument("--save", action="store_true")
    options = parser.parse_args()
    processes = {
        name: start(name, sys.executable if name == "numbaconv" else options.python)
        for name in ENGINES
    }
    times = {}
    for name in CASES:
        if options.only and not any(part in name for part in options.only):
            continue
        least = dict.fromkeys(ENGINES, math.inf)
        for turn in range(options.rounds):
            for i in range(len(ENGINES)):
                engine = ENGINES[(i + turn) % len(ENGINES)]
                time.sleep(_PAUSE)
                least[engine] = min(least[engine], ask(processes[engine], name, options.seconds))
        ratio = least["torch"] / least["numbaconv"]
        times[name] = {
            **{engine: round(1000 * t, 4) for engine, t in least.items()}, "ratio": round(ratio, 2)
        }  # fmt: skip
        speed = {e: round(CASES[name].flops / t / 1e9, 1) for e, t in least.items()}
        print(f"{name:36} {times[name]}  G/s {speed}", flush=True)
    for process in processes.values():
        process.communicate()
    found = summary(times)
    print(json.dumps(found, indent=1))
    if options.save:
        engines.save("training", {"summary": found, "least milliseconds": times}, quiet=True)


if __name__ == "__main__":
    main()
