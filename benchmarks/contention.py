"""How long calls take while other processes keep the cores busy: ours and other engines.

Run as ``python -m benchmarks.contention [--python PYTHON] [--save]``, PYTHON being an interpreter
that has PyTorch and ONNX Runtime. Prepared layers, float32, batch 1, channels first, 2 threads;
each engine in a process of its own, one at a time, beside 0, 1 and 2 processes that do nothing but
count. Prints and saves the mean, the median, the 99.9th percentile and the largest time of the
calls of some seconds. "numbaconv alone" is the same layer with ``parallel=False``: what a call
costs in the same state if it asks nobody for help. Writes ``benchmarks/results/contention.json``
and, with matplotlib, ``.png``.
"""

import argparse
import contextlib
import json
import multiprocessing
import subprocess
import sys
import time

from benchmarks import engines

#: Layers of some 5 microseconds to 50 milliseconds on one thread.
LAYERS = (
    "tiny.4@8x8-8.3x3s1x1p1x1", "dense.16@14x14-16.3x3s1x1p1x1", "dense.32@28x28-32.3x3s1x1p1x1",
    "dense.64@56x56-64.3x3s1x1p1x1", "dense.128@56x56-128.3x3s1x1p1x1",
    "dense.256@112x112-256.3x3s1x1p1x1",
)  # fmt: skip
BUSY = (0, 1, 2)
ENGINES = ("numbaconv alone", "numbaconv", "torch", "onnxruntime")
_SOURCE = """
import sys, time, json
import numpy as np
from numbaconv.bench import engine, kinds
name, layer, seconds = sys.argv[1], kinds.find(sys.argv[2]), float(sys.argv[3])
x, weight = layer.arrays(1)
if name == "numbaconv alone":
    import numbaconv as nbc
    prepared = nbc.Conv2d(weight, **layer.keywords)
    call = lambda: prepared(x, parallel=False)
else:
    call = engine.ENGINES[name](layer, x, weight)
for _ in range(5):
    call()
print("ready", flush=True)
sys.stdin.readline()
times, begin = [], time.perf_counter()
while time.perf_counter() - begin < seconds or len(times) < 20:
    start = time.perf_counter()
    call()
    times.append(time.perf_counter() - start)
t = 1000 * np.array(times)
print(json.dumps({"mean": t.mean(), "median": np.median(t), "99.9 %": np.percentile(t, 99.9),
                  "largest": t.max(), "calls": t.size}))
"""


def _count():
    n = 0
    while True:
        n += 1


@contextlib.contextmanager
def beside(busy):
    """Keep so many processes busy."""
    others = [multiprocessing.Process(target=_count, daemon=True) for _ in range(busy)]
    try:
        for other in others:
            other.start()
        time.sleep(0.2)
        yield
    finally:
        for other in others:
            other.terminate()
            other.join()


def measure(engine, layer, busy, seconds, python):
    """Return the milliseconds of an engine's calls beside so many busy processes."""
    python = sys.executable if engine.startswith("numbaconv") else python
    child = subprocess.Popen(
        [python, "-c", _SOURCE, engine, layer, str(seconds)], text=True, stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, env=engines.environment(),
    )  # fmt: skip
    child.stdout.readline()
    with beside(busy):
        answer, _ = child.communicate("go\n")
    return {k: round(v, 4) for k, v in json.loads(answer).items()}


def draw(result, path):
    """Draw the mean time over that of one thread alone, a panel for each number of others."""
    from matplotlib.figure import Figure

    figure = Figure((13, 4), layout="constrained")
    for axis, busy in zip(figure.subplots(1, len(BUSY), sharey=True), BUSY, strict=True):
        table = result[f"{busy} busy"]
        alone = [table[layer]["numbaconv alone"]["mean"] for layer in table]
        for engine in ENGINES:
            means = [table[layer].get(engine, {}).get("mean") for layer in table]
            if None not in means:
                axis.plot(alone, [m / a for m, a in zip(means, alone, strict=True)], "o-",
                          label=engine)  # fmt: skip
        axis.set_xscale("log")
        axis.set_yscale("log")
        axis.grid(alpha=0.4)
        axis.set_title(f"{busy} other busy processes")
        axis.set_xlabel("milliseconds of one thread alone, in the same state")
    figure.axes[0].set_ylabel("mean time of a call over that")
    figure.axes[0].legend()
    figure.savefig(path, dpi=90)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--python", help="an interpreter that has the other engines")
    parser.add_argument("--seconds", type=float, default=2.0, help="of each measurement")
    parser.add_argument("--save", action="store_true")
    options = parser.parse_args()
    chosen = ENGINES if options.python else ENGINES[:2]
    result = {}
    for busy in BUSY:
        table = result.setdefault(f"{busy} busy", {})
        for layer in LAYERS:
            row = table.setdefault(layer, {})
            for engine in chosen:
                row[engine] = measure(engine, layer, busy, options.seconds, options.python)
            cells = [
                f"{engine} {t['mean']:.3f} ({t['99.9 %']:.2f})" for engine, t in row.items()
            ]  # fmt: skip
            print(f"{busy} busy  {layer:34}", " | ".join(cells), flush=True)
    if options.save:
        engines.save("contention", {"milliseconds": result}, quiet=True)
        draw(result, engines.RESULTS / "contention.png")


if __name__ == "__main__":
    main()
