"""How much of the machine's peak does the direct algorithm reach?

Run as ``python -m benchmarks.peak``. The peak is a register tile of 14 rows by 2 vectors whose
operands lie in the L1 cache, on 2 threads. Each layer, float32, weights prepared, output given,
takes turns with it; the figure is the median of the ratios of neighbouring turns, because the
machine's clock drifts. Then the same for register tiles of other shapes, on 1 thread. Writes
``benchmarks/results/peak.json``.
"""

import argparse
import statistics
import time

import numba
import numpy as np

import numbaconv as nbc
from benchmarks import engines
from benchmarks.layers import BY_NAME, NETWORKS
from numbaconv.kernels.workspace import Workspace
from numbaconv.native.isa import host
from numbaconv.native.link import call
from numbaconv.native.tile import tile

_THREADS = 2
_K = 128
_SHAPES = [(14, 2), (13, 2), (12, 2), (9, 3), (6, 4), (28, 1), (8, 2)]


@numba.njit(parallel=True, nogil=True)
def _multiply(threads, count, function, memory, stride, offsets, row, rows, columns):
    for worker in numba.prange(threads):
        own = memory + worker * stride
        for _ in range(count):
            call(
                function,
                (_K, own, own + 32768, offsets, own + 65536, row, own, 0, rows, columns),
            )


class Peak:
    def __init__(self, rows, vectors):
        dtype = np.dtype("f4")
        self.function = tile(rows, vectors, dtype, masked=False, terms=1)
        self.rows, self.columns = rows, vectors * host().lanes(dtype)
        self.stride = 1 << 18
        self.space = Workspace(_THREADS * self.stride)
        self.space._memory[:] = 0
        self.offsets = np.arange(_K + 32) * self.columns * 4

    def rate(self, threads, count=400):
        """Return GFLOP/s."""
        start = time.perf_counter()
        _multiply(
            threads, count, self.function, self.space.address, self.stride,
            self.offsets.ctypes.data, self.columns * 4, self.rows, self.columns,
        )  # fmt: skip
        seconds = time.perf_counter() - start
        return threads * count * 2 * _K * self.rows * self.columns / seconds / 1e9


def shares(convolve, flops, peak, seconds):
    """Return the rates of a call over the peak's, in neighbouring turns."""
    found = []
    begin = time.perf_counter()
    while len(found) < 9 or time.perf_counter() - begin < seconds:
        before = peak.rate(_THREADS)
        start = time.perf_counter()
        convolve()
        rate = flops / (time.perf_counter() - start) / 1e9
        found.append(rate / ((before + peak.rate(_THREADS)) / 2))
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=0.5)
    parser.add_argument("layers", nargs="*", help="[default: all of the networks]")
    options = parser.parse_args()
    numba.set_num_threads(_THREADS)
    peak = Peak(*host().tile)
    peak.rate(_THREADS)
    table = {}
    for layer in NETWORKS:
        if layer.groups > 1 or (options.layers and layer.name not in options.layers):
            continue
        x, weight = layer.arrays(options.batch)
        convolution = nbc.Conv2d(weight, algorithm="direct", **layer.keywords)
        out = convolution(x)
        found = shares(
            lambda convolution=convolution, x=x, out=out: convolution(x, out=out),
            BY_NAME[layer.name].flops(options.batch), peak, options.seconds,
        )  # fmt: skip
        table[layer.name] = round(statistics.median(found), 2)
        print(f"{layer.name:22} {table[layer.name]:.2f} of the peak", flush=True)
    shapes = {}
    peaks = {shape: Peak(*shape) for shape in _SHAPES}
    for shape in _SHAPES:
        ratios = [peaks[shape].rate(1) / peaks[14, 2].rate(1) for _ in range(15)]
        shapes[f"{shape[0]} x {shape[1]}"] = round(statistics.median(ratios), 2)
    rates = sorted(peak.rate(_THREADS) for _ in range(30))
    engines.save(
        "peak",
        {
            "batch": options.batch, "peak of 2 threads, GFLOP/s, median": round(rates[15]),
            "share of the peak": table, "one thread, tile over 14 x 2": shapes,
        },
    )  # fmt: skip


if __name__ == "__main__":
    main()
