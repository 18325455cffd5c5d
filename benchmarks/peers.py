"""numbaconv against other engines, layer by layer: one table and one picture.

Run as ``python -m benchmarks.peers --python PYTHON``, PYTHON being an interpreter that has the
peers (``benchmarks/requirements-peers.txt``). float32 (or the layer's own dtype), channels first,
NumPy arrays in and out, 2 threads, batch 1 and 8, weights in the cache. Each engine is a process of its
own; they take turns, layer by layer and round by round, and the figure is the least time of all
rounds. "numbaconv" has its weights prepared, as onnxruntime, openvino and ncnn have; "numbaconv
plain" and torch pack them in every call. Writes ``benchmarks/results/NAME.json`` and ``.png``.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import time

from benchmarks import engines
from benchmarks.layers import BY_NAME, FAMILIES
from benchmarks.peer import ENGINES

# Seconds between two engines, in which the threads of the first go to sleep.
_PAUSE = 0.1
PREPARED_PEERS = ("torch", "onnxruntime", "openvino", "ncnn")


class Process:
    """An engine that answers on its standard output."""

    def __init__(self, name, python):
        environment = os.environ | {"NUMBA_NUM_THREADS": "2", "OMP_NUM_THREADS": "2"}
        self.name = name
        self.pipe = subprocess.Popen(
            [python, "-m", "benchmarks.peer", name], env=environment, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip

    def time(self, layer, batch, seconds):
        self.pipe.stdin.write(f"{layer} {batch} {seconds}\n")
        self.pipe.stdin.flush()
        answer = self.pipe.stdout.readline()
        if not answer:
            raise SystemExit(f"{self.name} failed on {layer}, batch {batch}")
        return json.loads(answer)


def run(names, batches, chosen, python, rounds, seconds, report=print):
    """Return {batch: {layer: {engine: least milliseconds}}}."""
    processes = [
        Process(name, sys.executable if name.startswith("numbaconv") else python) for name in chosen
    ]
    result = {}
    for batch in batches:
        for name in names:
            least = {}
            for turn in range(rounds):
                for i in range(len(processes)):
                    # Another one begins each round, after a pause: pools spin for a while.
                    process = processes[(i + turn) % len(processes)]
                    time.sleep(_PAUSE)
                    answer = process.time(name, batch, seconds)
                    if answer is not None:
                        least[process.name] = min(answer[0], least.get(process.name, math.inf))
            result.setdefault(f"batch {batch}", {})[name] = {
                engine: round(1000 * t, 5) for engine, t in least.items()
            }
            report(line(name, batch, least))
    for process in processes:
        process.pipe.stdin.close()
        process.pipe.wait()
    return result


def line(name, batch, least):
    """Return a row of the table: GFLOP/s of the direct convolution, and the ratios."""
    flops = BY_NAME[name].flops(batch) / 1e9
    cells = [f"{engine} {flops / least[engine]:7.1f}" for engine in ENGINES if engine in least]
    return f"{name:22} b{batch} | {' | '.join(cells)} | {ratios(least)}"


def ratios(least):
    """Return how many times faster numbaconv is: prepared than the best peer, plain than torch."""
    found = {}
    peers = [least[p] for p in PREPARED_PEERS if p in least]
    if "numbaconv" in least and peers:
        found["best peer"] = round(min(peers) / least["numbaconv"], 2)
    if "numbaconv plain" in least and "torch" in least:
        found["plain"] = round(least["torch"] / least["numbaconv plain"], 2)
    for peer in ("ncnn", "onnxruntime"):
        if "numbaconv" in least and peer in least:
            found[peer] = round(least[peer] / least["numbaconv"], 2)
    return found


def summary(result):
    """Return the geometric means and the least of each ratio, by batch and family."""
    lines = {}
    for batch, layers in result.items():
        for family, members in [*FAMILIES.items(), ("networks", None)]:
            names = [
                n for n in layers
                if (n.split(".")[0] != "others" if members is None else BY_NAME[n] in members)
            ]  # fmt: skip
            table = [ratios(layers[n]) for n in names]
            for kind in ("best peer", "plain"):
                values = [row[kind] for row in table if kind in row]
                if values:
                    mean = math.exp(sum(map(math.log, values)) / len(values))
                    lines[f"{batch}, {family}, {kind}"] = {
                        "geomean": round(mean, 2), "least": min(values),
                        "under 1": sum(v < 1 for v in values), "layers": len(values),
                    }  # fmt: skip
    return lines


def draw(result, path):
    """Draw bars of the time of each engine over numbaconv's, a row a layer."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    batches = list(result)
    names = list(result[batches[0]])
    peers = [p for p in PREPARED_PEERS if any(p in t for t in result[batches[0]].values())]
    figure, axes = plt.subplots(
        1, len(batches), figsize=(7 * len(batches), 0.34 * len(names) + 2), sharey=True,
        squeeze=False, layout="constrained",
    )  # fmt: skip
    height = 0.8 / len(peers)
    for axis, batch in zip(axes[0], batches, strict=True):
        for i, peer in enumerate(peers):
            bars = [
                (row, result[batch][name][peer] / result[batch][name]["numbaconv"])
                for row, name in enumerate(names)
                if peer in result[batch].get(name, {})
            ]
            axis.barh(
                [row + (i - len(peers) / 2 + 0.5) * height for row, _ in bars],
                [ratio for _, ratio in bars], height, label=peer,
            )  # fmt: skip
        axis.axvline(1, color="black", linewidth=0.8)
        axis.set_xscale("log", base=2)
        axis.xaxis.set_major_formatter("{x:g}")
        axis.set_title(f"{batch}: times slower than numbaconv (prepared)")
        axis.set_yticks(range(len(names)), names)
        axis.invert_yaxis()
        axis.grid(axis="x", alpha=0.4)
    axes[0][0].legend(loc="lower right")
    figure.savefig(path, dpi=90)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--python", required=True, help="an interpreter that has the peers")
    parser.add_argument("--suite", action="append", choices=FAMILIES)
    parser.add_argument("--layer", action="append", help="names that contain this")
    parser.add_argument("--batch", type=int, action="append")
    parser.add_argument("--engines", default="numbaconv,numbaconv plain,torch,onnxruntime,"
                        "openvino,ncnn")  # fmt: skip
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=0.1)
    parser.add_argument("--save", help="name of the result to write")
    options = parser.parse_args()
    suites = options.suite or [name for name in FAMILIES if name != "others"]
    names = [layer.name for suite in suites for layer in FAMILIES[suite]]
    if options.layer:
        names = [n for n in names if any(part in n for part in options.layer)]
    chosen = options.engines.split(",")
    unknown = set(chosen) - set(ENGINES)
    if unknown:
        parser.error(f"unknown engines {sorted(unknown)}; there are {', '.join(ENGINES)}")
    result = run(
        names, options.batch or [1, 8], chosen, options.python, options.rounds, options.seconds
    )
    found = summary(result)
    print(json.dumps(found, indent=1))
    if options.save:
        engines.save(options.save, {"summary": found, "least milliseconds": result}, quiet=True)
        draw(result, engines.RESULTS / f"{options.save}.png")


if __name__ == "__main__":
    main()
