"""Every kernel, on small problems of awkward sizes: what ``compute-sanitizer`` looks into.

Run as ``compute-sanitizer --tool memcheck python -m benchmarks.cuda.small``, and with ``--tool
racecheck``. Nothing is kept between calls, so that what is written past the end of a block is
seen. ``--part I/N`` runs one part of N; parts compile at the same time.
"""

import argparse
import itertools

import numpy as np
from numba import cuda

import numbaconv.cuda as nbcuda
from numbaconv.cuda import launch

_RNG = np.random.default_rng(0)
_WINDOWS = [
    {"stride": 1, "padding": 0}, {"stride": (2, 1), "padding": ((1, 0), (0, 2))},
    {"stride": (1, 2), "padding": 1, "dilation": (2, 1)},
]  # fmt: skip


def array(shape, dtype):
    return cuda.to_device(_RNG.integers(-3, 4, shape).astype(dtype))


def convolutions(dtype):
    """Yield the calls of convolutions and gradients, over every tile."""
    for outputs, (channels, groups), kernel, window in itertools.product(
        (5, 40, 130), ((6, 1), (6, 2)), ((1, 1), (3, 2)), _WINDOWS
    ):
        if outputs % groups:
            continue
        x, w = (
            array((2, channels, 9, 11), dtype),
            array((outputs, channels // groups, *kernel), dtype),
        )
        options = {**window, "groups": groups}

        def call(x=x, w=w, options=options):
            y = nbcuda.conv2d(x, w, **options)
            nbcuda.conv2d(x, w, algorithm="im2col", **options)
            nbcuda.conv2d_backward(y, x, w, **options)

        yield call
    for kernel, window in itertools.product(((1, 1), (3, 3), (5, 3)), _WINDOWS):
        x, w = array((2, 6, 9, 11), dtype), array((6, 1, *kernel), dtype)

        def call(x=x, w=w, window=window):
            y = nbcuda.conv2d(x, w, groups=6, **window)
            nbcuda.conv2d_backward(y, x, w, groups=6, **window)

        yield call


def matrices(dtype):
    """Yield the calls of im2col and col2im in every form, and of the padding modes."""
    for layout, form, kernel, window in itertools.product(
        ("channels_first", "channels_last"), ("columns", "rows"), ((1, 1), (3, 2)), _WINDOWS
    ):
        shape = (2, 5, 9, 11) if layout == "channels_first" else (2, 9, 11, 5)
        x = array(shape, dtype)
        options = {**window, "layout": layout, "patches": form}

        def call(x=x, kernel=kernel, options=options):
            cols = nbcuda.im2col(x, kernel, **options)
            nbcuda.col2im(cols, (9, 11), kernel, **options)

        yield call
    for mode in ("reflect", "replicate", "circular", "symmetric"):
        x, w = array((2, 3, 9, 11), dtype), array((4, 3, 3, 2), dtype)

        def call(x=x, w=w, mode=mode):
            y = nbcuda.conv2d(x, w, padding=1, padding_mode=mode)
            nbcuda.conv2d_backward(y, x, w, padding=1, padding_mode=mode)

        yield call


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cuda.small", description=__doc__)
    parser.add_argument("--part", default="0/1", metavar="I/N")
    parser.add_argument("--dtypes", nargs="*", default=["float32", "float64", "complex64"])
    options = parser.parse_args(arguments)
    part, parts = map(int, options.part.split("/"))
    launch._MOST_KEPT = 0
    calls = [c for d in options.dtypes for c in (*convolutions(d), *matrices(d))]
    for call in calls[part::parts]:
        call()
    cuda.synchronize()
    print(f"{len(calls[part::parts])} problems of {len(calls)}")


if __name__ == "__main__":
    main()
