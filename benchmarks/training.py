"""Gradients, transposed convolution and pools against PyTorch's: one table.

Run as ``python -m benchmarks.training --python PYTHON``, PYTHON having torch and numba; with
``--suite kinds --seed N`` over gradients and transposed layers drawn at random. float32, channels
first, batch 8, 2 threads, packing of weights inside the timing, results allocated by each engine.
The engines are processes of their own and take turns with pauses; least times of all rounds. Writes
``benchmarks/results/training.json``, or ``training_kinds_b8.json``, with ``--save``.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import time

from benchmarks import engines
from benchmarks.training_cases import BATCH, by_kind, lists
from numbaconv.bench.kinds import Sample

_PAUSE = 0.1
ENGINES = ("numbaconv", "torch")


def start(name, python):
    environment = os.environ | {"NUMBA_NUM_THREADS": "2", "OMP_NUM_THREADS": "2"}
    return subprocess.Popen(
        [python, "-m", "benchmarks.training_engine", name], env=environment, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip


def ask(process, name, seconds):
    """Return the least time of a case, or None where the engine has died of it."""
    process.stdin.write(json.dumps([name, seconds]) + "\n")
    process.stdin.flush()
    line = process.stdout.readline()
    return json.loads(line)[0] if line else None


def summary(cases, times):
    """Return geometric means and least ratios: by function, and by kind of layer or network."""
    groups = {}
    for case in cases:
        if case.name in times:
            family = case.layer.name.split(".")[0]
            for key in (case.kind, f"{case.kind}, {family}"):
                groups.setdefault(key, []).append(times[case.name]["ratio"])
    return {
        key: {
            "geomean": round(math.exp(sum(map(math.log, ratios)) / len(ratios)), 2),
            "least": min(ratios), "under 1": sum(r < 1 for r in ratios), "cases": len(ratios),
        }
        for key, ratios in groups.items()
    }  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--python", required=True)
    parser.add_argument("--suite", choices=("lists", "kinds"), default="lists")
    parser.add_argument("--seed", type=int, default=0, help="of the layers drawn")
    parser.add_argument("--per-kind", type=int, default=3)
    parser.add_argument("--batch", type=int, default=BATCH, help="of the layers drawn")
    parser.add_argument("--only", action="append", help="cases whose names contain this")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=0.1)
    parser.add_argument("--save", action="store_true")
    options = parser.parse_args()
    cases = lists()
    if options.suite == "kinds":
        cases = by_kind(Sample(options.seed, options.per_kind), options.batch)
    pythons = {"numbaconv": sys.executable, "torch": options.python}
    processes = {name: start(name, pythons[name]) for name in ENGINES}
    times = {}
    for case in cases:
        if options.only and not any(part in case.name for part in options.only):
            continue
        least = dict.fromkeys(ENGINES, math.inf)
        for turn in range(options.rounds):
            for i in range(len(ENGINES)):
                engine = ENGINES[(i + turn) % len(ENGINES)]
                time.sleep(_PAUSE)
                found = ask(processes[engine], case.name, options.seconds)
                if found is None:
                    processes[engine] = start(engine, pythons[engine])
                else:
                    least[engine] = min(least[engine], found)
        if math.inf in least.values():
            print(f"{case.name:60} ended the process of one: {least}", flush=True)
            continue
        ratio = least["torch"] / least["numbaconv"]
        times[case.name] = {
            **{engine: round(1000 * t, 4) for engine, t in least.items()}, "ratio": round(ratio, 2)
        }  # fmt: skip
        speed = {e: round(case.flops / t / 1e9, 1) for e, t in least.items()}
        print(f"{case.name:60} {times[case.name]}  G/s {speed}", flush=True)
    for process in processes.values():
        process.communicate()
    found = summary(cases, times)
    print(json.dumps(found, indent=1))
    if options.save:
        name = "training" if options.suite == "lists" else f"training_kinds_b{options.batch}"
        result = {"seed": options.seed} if options.suite == "kinds" else {}
        engines.save(name, {**result, "summary": found, "least milliseconds": times}, quiet=True)


if __name__ == "__main__":
    main()
