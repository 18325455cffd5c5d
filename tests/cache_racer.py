"""Compiles kernels of a dtype and a layout, in an order of its own, and checks every result.

Run as ``python tests/cache_racer.py DTYPE LAYOUT SEED``, several at once on one cache.
"""

import random
import sys

import numpy as np

import numbaconv as nbc

dtype, layout, seed = sys.argv[1], sys.argv[2], int(sys.argv[3])
last = layout == "channels_last"
rng = np.random.default_rng(seed)


def patches(patches):
    x = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5).astype(dtype)
    cols = nbc.im2col(x, 2, layout=layout, patches=patches, parallel=False)
    size = (x.transpose(0, 3, 1, 2) if last else x).shape[2:]
    options = {"layout": layout, "patches": patches, "parallel": False}
    count = nbc.col2im(np.ones_like(cols), size, 2, **options)
    assert np.array_equal(nbc.col2im(cols, size, 2, **options), x * count), (dtype, layout, patches)


def convolution(ndim, algorithm):
    size = (7, 9, 8)[:ndim]
    x, w = rng.integers(-3, 4, (2, 4, *size)), rng.integers(-3, 4, (5, 4, *(3,) * ndim))
    windows = np.lib.stride_tricks.sliding_window_view(x, (3,) * ndim, tuple(range(2, 2 + ndim)))
    windows = np.moveaxis(windows, 1, 1 + ndim).reshape(*(2, *(n - 2 for n in size)), -1)
    expected = np.moveaxis(windows @ w.reshape(5, -1).T, -1, 1)
    if last:
        x, w = np.moveaxis(x, 1, -1), np.moveaxis(w, (0, 1), (-1, -2))
        expected = np.moveaxis(expected, 1, -1)
    x, w = x.astype(dtype), w.astype(dtype)
    if algorithm not in nbc.algorithms(x.shape, w.shape, layout=layout, dtype=dtype):
        return
    conv = getattr(nbc, f"conv{ndim}d")
    y = conv(x, w, layout=layout, algorithm=algorithm, parallel=False)
    tolerance = 1e-2 if algorithm in ("winograd", "fft") else 0
    assert y.dtype == dtype
    assert np.allclose(y, expected, atol=tolerance), (dtype, ndim, algorithm)


NAMES = ("im2col", "direct", "winograd", "depthwise")
work = [(patches, (p,)) for p in ("columns", "rows")]
work += [(convolution, (n, a)) for n in (1, 2, 3) for a in NAMES]
random.Random(seed).shuffle(work)
for function, arguments in work:
    function(*arguments)
