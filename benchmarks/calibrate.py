"""Does ``algorithm="auto"`` choose well? Times every algorithm on every layer.

Run as ``python -m benchmarks.calibrate [--suite kinds --seed N --per-kind N] [--layout last]
[--save NAME]``. For each layer, batch 1 and 8, weights prepared or packed in the call, all
algorithms whose estimate is within 6 times the least take turns; the figure is the least time of
each. Prints the estimate over the time for each algorithm (a constant of `numbaconv.routes.cycles`
is off where these differ between algorithms) and the regret: the time of the chosen algorithm over
that of the fastest.
Writes ``benchmarks/results/regret.json``, or ``NAME.json``.
"""

import argparse
import math
import statistics
import time

import numpy as np

import numbaconv as nbc
from benchmarks import engines
from benchmarks.layers import BY_NAME
from numbaconv.bench import kinds

_IN_A_ROW = 3
_FUNCTIONS = {1: nbc.conv1d, 2: nbc.conv2d, 3: nbc.conv3d}
_LAYERS = {1: nbc.Conv1d, 2: nbc.Conv2d, 3: nbc.Conv3d}


def calls(layer, batch, prepared, layout):
    """Return the plan and a call for each algorithm worth timing."""
    x, weight = layer.arrays(batch)
    if layout == "last":
        x = np.ascontiguousarray(np.moveaxis(x, 1, -1))
        weight = np.ascontiguousarray(np.moveaxis(weight, (0, 1), (-1, -2)))
    keywords = {**layer.keywords, "layout": f"channels_{layout}"}
    plan = nbc.explain(x.shape, weight.shape, dtype=layer.dtype, prepared=prepared, **keywords)
    least = plan.candidates[0][1]
    made = {}
    for name, cost in plan.candidates:
        if cost > 6 * least:
            continue
        if prepared:
            convolution = _LAYERS[layer.ndim](weight, algorithm=name, **keywords)
            made[name] = lambda convolution=convolution: convolution(x)
        else:
            made[name] = lambda name=name: _FUNCTIONS[layer.ndim](
                x, weight, algorithm=name, **keywords
            )
    return plan, made


def least_times(made, seconds):
    for call in made.values():
        call()
        call()
    times = {name: [] for name in made}
    begin = time.perf_counter()
    while time.perf_counter() - begin < seconds or len(next(iter(times.values()))) < 4:
        for name, call in made.items():
            # Several in a row: threads that the one before left spinning delay the first.
            for _ in range(_IN_A_ROW):
                start = time.perf_counter()
                call()
                times[name].append(time.perf_counter() - start)
    return {name: min(values) for name, values in times.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=0.25)
    parser.add_argument("--suite", choices=("layers", "kinds"), default="layers")
    parser.add_argument("--seed", type=int, default=0, help="of the suite kinds")
    parser.add_argument("--per-kind", type=int, default=2)
    parser.add_argument("--save", default="regret", help="name of the result to write")
    parser.add_argument("--layout", choices=("first", "last"), default="first")
    options = parser.parse_args()
    layers = BY_NAME
    if options.suite == "kinds":
        drawn = kinds.draw(kinds.Sample(options.seed, options.per_kind))
        layers = {layer.name: layer for layer in drawn}
    table, scales = {}, {}
    for prepared in (True, False):
        for batch in (1, 8):
            for name, layer in layers.items():
                if layer.name == "others.image 5x5" and batch > 1:
                    continue
                plan, made = calls(layer, batch, prepared, options.layout)
                times = least_times(made, options.seconds)
                costs = dict(plan.candidates)
                for algorithm, t in times.items():
                    scales.setdefault(algorithm, []).append(costs[algorithm] / t / 1e9)
                regret = times[plan.algorithm] / min(times.values())
                key = f"{name}, batch {batch}, {'prepared' if prepared else 'plain'}"
                table[key] = {
                    "chosen": plan.algorithm, "regret": round(regret, 3),
                    **{n: round(1000 * t, 4) for n, t in times.items()},
                }  # fmt: skip
                estimates = {n: round(costs[n] / t / 1e9, 2) for n, t in times.items()}
                print(f"{key:45} {plan.algorithm:9} regret {regret:.2f}  GHz {estimates}")
    regrets = [row["regret"] for row in table.values()]
    summary = {
        "geomean regret": round(math.exp(np.mean(np.log(regrets))), 4),
        "largest": max(regrets),
        "median estimate over time, GHz": {
            n: round(statistics.median(v), 2) for n, v in scales.items()
        },
    }
    engines.save(options.save, {"summary": summary, "milliseconds": table}, quiet=True)
    print(summary)


if __name__ == "__main__":
    main()
