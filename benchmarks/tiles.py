"""The im2col route's constants: times its block sizes against each other.

Run as ``python -m benchmarks.tiles [LAYER ...]``. Prints the GFLOP/s of products of few output
channels; GFLOP/s (least time of several rounds,
taking turns) per layer and cut (positions a tile, MiB of a block of columns, elements of a patch);
then, channels last, per layer with few channels a group: patches as rows and as columns.
"""

import sys
import time

import numba
import numpy as np

import numbaconv as nbc
from benchmarks.layers import BY_NAME
from numbaconv.reference import blas
from numbaconv.reference import forward as route

SHAPES = (
    (2304, 96), (576, 512), (512, 256), (256, 512), (256, 256), (128, 256), (128, 512), (64, 256),
    (27, 512), (9, 512),
)  # fmt: skip
LAYERS = ("resnet50.conv1", "resnet50.2b", "resnet50.3b", "resnet50.4b", "vgg19.3_2", "vgg19.5_1")
CUTS = [
    (positions, megabytes, elements)
    for positions in (256, 512, 1024)
    for megabytes in (0.5, 1, 2)
    for elements in (144, 288, 576, 1152, 2304)
]
ROUNDS = 7


FEW_CHANNELS = ("resnet50.conv1", "mobilenet.dw1", "mobilenet.dw6")


def compare_cuts(names):
    for name in names:
        layer = BY_NAME[name]
        x, weight = layer.arrays(2)
        best = dict.fromkeys(CUTS, float("inf"))
        for _ in range(ROUNDS):
            for cut in CUTS:
                route._MOST_POSITIONS, route._COLUMN_BYTES = cut[0], int(cut[1] * 2**20)
                route._LONGEST_BLOCK = route._SMALL_BLOCK = cut[2]
                nbc.release_memory()
                layered = nbc.Conv2d(weight, algorithm="im2col", **layer.keywords)
                layered(x)
                start = time.perf_counter()
                layered(x)
                best[cut] = min(best[cut], time.perf_counter() - start)
        ranked = sorted(best, key=best.get)
        rates = [f"{c}: {layer.flops(2) / best[c] / 1e9:.0f}" for c in ranked]
        print(name, *rates[:6], "...", *rates[-2:], sep="  ")


def compare_orientations(names):
    for name in names:
        layer = BY_NAME[name]
        x, weight = layer.arrays(1)
        x = np.ascontiguousarray(np.moveaxis(x, 1, -1))
        weight = np.ascontiguousarray(np.moveaxis(weight, (0, 1), (-1, -2)))
        best = {"rows": float("inf"), "columns": float("inf")}
        for _ in range(ROUNDS):
            for orientation in best:
                route._LEAST_CHANNEL_RUN = 1 if orientation == "rows" else layer.channels + 1
                nbc.release_memory()
                layered = nbc.Conv2d(
                    weight, layout="channels_last", algorithm="im2col", **layer.keywords
                )
                layered(x)
                start = time.perf_counter()
                layered(x)
                best[orientation] = min(best[orientation], time.perf_counter() - start)
        rates = [f"{o} {layer.flops(1) / best[o] / 1e9:.1f}" for o in best]
        print(
            name, "channels last", *rates, f"ratio {best['rows'] / best['columns']:.1f}", sep="  "
        )


@numba.njit
def _multiply(a, b, out, times):
    for _ in range(times):
        np.dot(a, b, out)


def compare_products():
    """Print the GFLOP/s of one thread, for few output channels and blocks of columns."""
    rng = np.random.default_rng(0)
    with blas.single_threaded():
        for outputs in (1, 4, 9, 16, 32, 48, 64, 128, 256):
            cells = []
            for elements, positions in SHAPES:
                a, b = (
                    rng.random((outputs, elements), "f4"),
                    rng.random((elements, positions), "f4"),
                )
                out = np.empty((outputs, positions), "f4")
                products = outputs * elements * positions
                times, best = max(1, 20_000_000 // products), float("inf")
                for _ in range(ROUNDS):
                    start = time.perf_counter()
                    _multiply(a, b, out, times)
                    best = min(best, (time.perf_counter() - start) / times)
                cells.append(f"{elements}x{positions} {2 * products / best / 1e9:.0f}")
            print(f"{outputs} output channels", *cells, sep="  ")


if __name__ == "__main__":
    compare_products()
    compare_cuts(sys.argv[1:] or LAYERS)
    compare_orientations(FEW_CHANNELS)
