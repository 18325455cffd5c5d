"""float16 beside float32: how much longer a prepared layer takes.

Run as ``python -m benchmarks.halves [--save]``: channels first, 2 threads, the least time of a
call, the types taking turns. Writes ``benchmarks/results/halves.json``.
"""

import argparse
import math
import time

import numpy as np

import numbaconv as nbc
from benchmarks import engines

#: (x shape, weight shape, options)
PROBLEMS = [
    ((8, 64, 56, 56), (64, 64, 3, 3), {"padding": 1}),
    ((1, 64, 56, 56), (64, 64, 3, 3), {"padding": 1}),
    ((1, 3, 224, 224), (64, 3, 7, 7), {"stride": 2, "padding": 3}),
    ((1, 256, 56, 56), (64, 256, 1, 1), {}),
    ((1, 1, 1024, 1024), (1, 1, 5, 5), {"padding": 2}),
    ((8, 128, 28, 28), (128, 1, 3, 3), {"padding": 1, "groups": 128}),
    ((1, 16, 16, 16), (16, 16, 3, 3), {"padding": 1}),
]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--save", action="store_true")
    options = parser.parse_args()
    rng, table, ratios = np.random.default_rng(0), {}, []
    for x_shape, w_shape, keywords in PROBLEMS:
        x, weight = (rng.random(shape, dtype="f4") for shape in (x_shape, w_shape))
        inputs = {t: x.astype(t) for t in ("f4", "f2")}
        layers = {t: nbc.Conv2d(weight.astype(t), **keywords) for t in inputs}
        least = dict.fromkeys(inputs, math.inf)
        for _ in range(20):
            for kind, layer in layers.items():
                layer(inputs[kind])
                start = time.perf_counter()
                layer(inputs[kind])
                least[kind] = min(least[kind], time.perf_counter() - start)
        ratios.append(least["f2"] / least["f4"])
        name = f"{'x'.join(map(str, x_shape))} by {'x'.join(map(str, w_shape))}"
        table[name] = {
            "float32 ms": round(1e3 * least["f4"], 4),
            "float16 ms": round(1e3 * least["f2"], 4), "ratio": round(ratios[-1], 2),
        }  # fmt: skip
        print(f"{name:36} {table[name]}", flush=True)
    mean = round(math.exp(sum(map(math.log, ratios)) / len(ratios)), 2)
    print("geometric mean", mean)
    if options.save:
        engines.save("halves", {"geometric mean": mean, "layers": table}, quiet=True)


if __name__ == "__main__":
    main()
