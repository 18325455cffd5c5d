"""The error of winograd, of its interpolation points, and where fft pays.

Run as ``python -m benchmarks.winograd_error``. For each layer of the suites that winograd takes, on
N(0,1) data: the relative L2 norm of the error of direct and winograd, against float64. Then the
times of direct and fft over the size of the kernel. Writes
``benchmarks/results/winograd_error.json``.
"""

import time

import numpy as np

import numbaconv as nbc
from benchmarks import engines
from benchmarks.layers import NETWORKS


def relative(y, reference):
    return float(f"{np.linalg.norm(y - reference) / np.linalg.norm(reference):.2g}")


def least(call):
    call()
    times = []
    for _ in range(5):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return round(1000 * min(times), 2)


def main():
    errors = {}
    for layer in NETWORKS:
        x, weight = layer.arrays(1)
        if "winograd" not in nbc.algorithms(x.shape, weight.shape, **layer.keywords):
            continue
        exact = nbc.conv2d(x.astype("f8"), weight.astype("f8"), **layer.keywords)
        errors[layer.name] = {
            name: relative(nbc.conv2d(x, weight, algorithm=name, **layer.keywords), exact)
            for name in ("direct", "winograd")
        }
        print(layer.name, errors[layer.name], flush=True)
    kernels = {}
    rng = np.random.default_rng(0)
    for channels, outputs, size in ((1, 1, 1024), (3, 8, 256), (16, 16, 128)):
        x = rng.standard_normal((1, channels, size, size), "float32")
        for k in (9, 15, 21, 31, 63):
            weight = rng.standard_normal((outputs, channels, k, k), "float32")
            row = {"chosen": nbc.explain(x.shape, weight.shape).algorithm}
            for name in ("direct", "fft"):
                layer = nbc.Conv2d(weight, algorithm=name)
                row[f"{name}, ms"] = least(lambda layer=layer, x=x: layer(x))
            if channels <= 8:
                layer = nbc.Conv2d(weight, algorithm="depthwise")
                row["depthwise, ms"] = least(lambda layer=layer, x=x: layer(x))
            kernels[f"{channels} -> {outputs} @{size}, {k}x{k}"] = row
            print(f"{channels} -> {outputs} @{size}, {k}x{k}", row, flush=True)
    engines.save(
        "winograd_error", {"relative L2 error": errors, "large kernels": kernels}, quiet=True
    )


if __name__ == "__main__":
    main()
