"""Compiles kernels of a dtype and a layout, in an order of its own, and checks every result.

Run as ``python tests/cache_racer.py DTYPE LAYOUT SEED``, several at once on one cache.
"""

import random
import sys

import numpy as np

import numbaconv as nbc

ALGORITHMS = ("im2col", "direct", "winograd", "depthwise")


def patches(kind, dtype, layout, rng):
    """Check that col2im sums each position as often as im2col reads it."""
    x = rng.integers(-3, 4, (2, 3, 4, 5)).astype(dtype)
    size = x.shape[1:3] if layout == "channels_last" else x.shape[2:]
    options = {"layout": layout, "patches": kind, "parallel": False}
    columns = nbc.im2col(x, 2, **options)
    count = nbc.col2im(np.ones_like(columns), size, 2, **options)
    assert np.array_equal(nbc.col2im(columns, size, 2, **options), x * count)


def convolution(ndim, algorithm, dtype, layout, rng):
    """Check a convolution against sums that NumPy forms of small integers."""
    size, taps = (7, 9, 8)[:ndim], (3,) * ndim
    x, w = rng.integers(-3, 4, (2, 4, *size)), rng.integers(-3, 4, (5, 4, *taps))
    windows = np.lib.stride_tricks.sliding_window_view(x, taps, tuple(range(2, 2 + ndim)))
    windows = np.moveaxis(windows, 1, 1 + ndim).reshape(2, *(n - 2 for n in size), -1)
    expected = windows @ w.reshape(5, -1).T
    if layout == "channels_last":
        x, w = np.moveaxis(x, 1, -1), np.moveaxis(w, (0, 1), (-1, -2))
    else:
        expected = np.moveaxis(expected, -1, 1)
    x, w = x.astype(dtype), w.astype(dtype)
    if algorithm in nbc.algorithms(x.shape, w.shape, layout=layout, dtype=dtype):
        conv = getattr(nbc, f"conv{ndim}d")
        y = conv(x, w, layout=layout, algorithm=algorithm, parallel=False)
        tolerance = 1e-2 if algorithm == "winograd" else 0
        assert y.dtype == dtype
        assert np.allclose(y, expected, atol=tolerance), (dtype, layout, ndim, algorithm)


def main(dtype, layout, seed):
    """Check everything once."""
    work = [(patches, kind) for kind in ("columns", "rows")]
    work += [(convolution, ndim, name) for ndim in (1, 2, 3) for name in ALGORITHMS]
    random.Random(seed).shuffle(work)
    for check, *arguments in work:
        check(*arguments, dtype, layout, np.random.default_rng(seed))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
