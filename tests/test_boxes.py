"""Means of windows that share little, and their gradients: each window, and each element, alone."""

import math
from unittest import mock

import naive
import numba
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_pooling import AVG, AVG_BACK, LAYOUTS, back, in_layout, naive_avg, values

import numbaconv as nbc
from numbaconv.pooling import adaptive, boxes, forward, spread
from numbaconv.problem.options import AdaptiveOptions, PoolOptions
from numbaconv.problem.pool_geometry import AdaptiveGeometry, PoolGeometry

#: (shape, kernel, stride, padding, ceil_mode)
CASES = [
    ((2, 3, 9, 11), (3, 2), (2, 1), ((0, 0), (0, 0)), False),
    ((2, 2, 30, 40), (8, 5), (7, 9), ((0, 0), (0, 0)), False),
    ((1, 3, 61, 70), (20, 33), (20, 12), ((3, 7), (1, 0)), True),
    ((3, 2, 7, 7), (7, 7), (1, 1), ((0, 0), (0, 0)), False),
    ((2, 3, 100), (17,), (19,), ((4, 2),), True),
    ((1, 1, 12, 5), (1, 1), (3, 2), ((0, 0), (0, 0)), False),
]
#: (kernel, stride, padding, dilation) of gradients alone.
SPREAD = [
    ((9, 11), (9, 11), 0, (1, 1)),
    ((4, 7), (1, 2), (1, 3), (1, 1)),
    ((3, 3), (9, 12), 1, (1, 1)),
    ((12, 13), (3, 2), (0, 5), (1, 1)),
    ((3, 2), (4, 3), (2, 1), (2, 5)),
    ((2, 3), (1, 1), (0, 2), (4, 1)),
]


@pytest.fixture
def rng():
    return np.random.default_rng(20261129)


@pytest.fixture
def boxed():
    """Take each mean by itself wherever that is possible."""
    nbc.release_memory()  # plans are remembered
    found = boxes.nanoseconds
    with mock.patch.object(boxes, "nanoseconds", lambda *a: min(found(*a), math.inf) - 1e9):
        yield
    nbc.release_memory()


@pytest.mark.usefixtures("boxed")
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "complex64", "int8", "uint64"])
@pytest.mark.parametrize("case", CASES)
def test_means(case, dtype, parallel, rng):
    shape, kernel, stride, padding, ceil = case
    x = values(rng, shape, dtype)
    if dtype == "uint64":
        x //= 1000  # sums are formed in 64 bits
    override = 7 if np.dtype(dtype).kind in "iu" else -7
    for include_pad, divisor in ((True, None), (False, None), (True, override)):
        dilation = (1,) * len(kernel)
        expected = naive_avg(x, kernel, stride, padding, dilation, ceil, include_pad, divisor)
        found = AVG[len(kernel)](
            x, kernel, stride, padding, ceil_mode=ceil, count_include_pad=include_pad,
            divisor_override=divisor, parallel=parallel,
        )  # fmt: skip
        np.testing.assert_array_equal(found, expected)


def test_which_pools_are_boxes():
    def plan(shape, kernel, stride, padding=0, layout="channels_first"):
        asked = PoolOptions(2, kernel, stride, padding, layout=layout)
        return forward.mean_plan(PoolGeometry.parse(asked, shape), np.dtype("f4"), True, None)

    assert isinstance(plan((1, 64, 56, 56), 8, 8), boxes.Plan)
    assert isinstance(plan((8, 64, 7, 7), 7, 7), boxes.Plan)
    assert not isinstance(plan((1, 64, 56, 56), 2, 2), boxes.Plan)
    assert not isinstance(plan((1, 56, 56, 64), 8, 8, layout="channels_last"), boxes.Plan)
    asked = AdaptiveGeometry.parse(AdaptiveOptions(2, 6, "channels_first"), (2, 3, 13, 13))
    assert isinstance(adaptive.mean_plan(asked, np.dtype("f4")), boxes.Plan)
    assert isinstance(adaptive.gradient_plan(asked, np.dtype("f4")), boxes.Gradient)


@pytest.mark.usefixtures("boxed")
def test_of_strided_images(rng):
    whole = rng.integers(-9, 9, (3, 6, 20, 31)).astype("f4")
    for x in (whole[:, ::2], whole[:, 1:4, ::3], whole[::2, :, 4:], whole.swapaxes(0, 1)):
        expected = nbc.avg_pool2d(x.copy(), (3, 5), (4, 6))
        np.testing.assert_array_equal(nbc.avg_pool2d(x, (3, 5), (4, 6)), expected)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", ["float32", "float64", "complex128", "float16"])
@pytest.mark.parametrize("case", SPREAD)
def test_gradients(case, dtype, layout, parallel, rng):
    kernel, stride, padding, dilation = case
    shape = (2, 5, 29, 33)
    pairs = [(p, p) for p in ((padding,) * 2 if isinstance(padding, int) else padding)]
    for include_pad, divisor in ((True, None), (False, None), (True, -3)):
        _check(
            rng, shape, kernel, stride, pairs, dilation, include_pad, divisor, layout, dtype,
            parallel,
        )  # fmt: skip


@given(
    seed=st.integers(0, 2**32 - 1), ndim=st.integers(1, 3), layout=st.sampled_from(LAYOUTS),
    include_pad=st.booleans(), dtype=st.sampled_from(["float32", "float64"]),
)  # fmt: skip
def test_gradients_of_any_windows(seed, ndim, layout, include_pad, dtype):
    rng = np.random.default_rng(seed)
    size = tuple(int(n) for n in rng.integers(1, (120, 24, 9)[ndim - 1], ndim))
    dilation = tuple(int(d) for d in rng.choice([1, 1, 1, 2, 3], ndim))
    most = [(n - 1) // d + 1 for n, d in zip(size, dilation, strict=True)]
    kernel = tuple(int(rng.integers(1, k + 1)) for k in most)
    stride = tuple(int(s) for s in rng.integers(1, 15, ndim))
    spans = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    pairs = [tuple(int(p) for p in rng.integers(0, span, 2)) for span in spans]
    shape = (*(int(n) for n in rng.integers(1, 4, 2)), *size)
    _check(rng, shape, kernel, stride, pairs, dilation, include_pad, None, layout, dtype, True)


def _check(
    rng, shape, kernel, stride, pairs, dilation, include_pad, divisor, layout, dtype, parallel
):
    """Compare a gradient with what the oracle's windows bring to their taps."""
    shares = list(
        naive.avg_shares(shape[2:], kernel, stride, pairs, dilation, False, include_pad, divisor)
    )
    counts = [max(p[axis] for p, *_ in shares) + 1 for axis in range(len(kernel))]
    grad = rng.integers(-99, 99, (*shape[:2], *counts)).astype(dtype)
    expected = naive.avg_backward(grad, shape, shares)
    like = in_layout(layout, np.empty(shape, np.int8))
    found = AVG_BACK[len(kernel)](
        in_layout(layout, grad), like.shape, kernel, stride, tuple(pairs), dilation=dilation,
        count_include_pad=include_pad, divisor_override=divisor, layout=layout, parallel=parallel,
    )  # fmt: skip
    unit, taps = np.finfo(dtype).eps, math.prod(kernel)
    np.testing.assert_allclose(
        back(layout, found), expected, rtol=2 * unit, atol=99 * 2 * taps * unit
    )


@pytest.mark.parametrize("layout", LAYOUTS)
def test_rows_are_cut_for_threads(layout, parallel, rng):
    for size, kernel, stride in ((9000, 5, 5), (20000, 9000, 100), (70001, 40, 37)):
        grad = rng.integers(-9, 9, (1, 2, (size - kernel) // stride + 1)).astype("f4")
        expected = np.zeros((1, 2, size))
        for o in range(grad.shape[-1]):
            expected[..., o * stride : o * stride + kernel] += grad[..., [o]] / kernel
        like = in_layout(layout, expected)
        found = nbc.avg_pool1d_backward(
            in_layout(layout, grad), like.shape, kernel, stride, layout=layout, parallel=parallel
        )
        np.testing.assert_allclose(found, like, rtol=1e-6, atol=1e-6)
        x = rng.integers(-9, 9, (1, 2, size)).astype("f4")
        means = [x[..., o * stride : o * stride + kernel].mean(-1, dtype="f8")
                 for o in range(grad.shape[-1])]  # fmt: skip
        found = nbc.avg_pool1d(in_layout(layout, x), kernel, stride, layout=layout,
                               parallel=parallel)  # fmt: skip
        np.testing.assert_allclose(back(layout, found), np.stack(means, -1), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_sums_of_many_shares(dtype, rng):
    """An element in a hundred thousand windows."""
    grad = (rng.random((1, 1, 400, 251)) - 0.5).astype(dtype)
    found = nbc.adaptive_avg_pool2d_backward(grad, (1, 1, 1, 1))
    expected = math.fsum(grad.ravel().tolist())
    assert abs(float(found[0, 0, 0, 0]) - expected) <= 2 * np.finfo(dtype).eps * abs(expected)


def test_infinite_shares_stay_where_they_are(rng):
    for dtype in ("f4", "f8"):
        grad = rng.random((1, 1, 3, 4)).astype(dtype)
        grad[0, 0, 1, 2] = np.inf
        found = nbc.adaptive_avg_pool2d_backward(grad, (1, 1, 6, 8))[0, 0]
        assert np.isinf(found[2:4, 4:6]).all()
        found[2:4, 4:6] = 0
        assert np.isfinite(found).all()


@pytest.mark.usefixtures("threads_restored")
def test_threads_change_no_bit(rng):
    x = rng.standard_normal((2, 3, 90, 77), dtype="f4")
    found = []
    for count in (1, numba.config.NUMBA_NUM_THREADS):
        numba.set_num_threads(count)
        mean = nbc.adaptive_avg_pool2d(x, (7, 5))
        found.append((mean, nbc.adaptive_avg_pool2d_backward(mean, x.shape)))
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)


def test_one_window_for_all(rng):
    """NumPy repeats what is small; what is large has kernels."""
    for side in (5, 300):
        grad = rng.integers(-9, 9, (1, 8, 1, 1)).astype("f4")
        expected = np.broadcast_to(grad / np.float32(side * side), (1, 8, side, side))
        for layout in LAYOUTS:
            like = in_layout(layout, expected)
            found = nbc.avg_pool2d_backward(
                in_layout(layout, grad), like.shape, side, layout=layout
            )
            np.testing.assert_array_equal(found, like)


def test_what_the_gradient_of_a_pool_is(rng):
    """Few windows for each element are found one by one, else shares are pooled."""

    def plan(kernel, stride, dilation=1):
        asked = PoolOptions(2, kernel, stride, 0, dilation)
        geometry = PoolGeometry.parse(asked, (1, 1, 60, 60), "input_shape")
        return spread.planned(geometry, np.dtype("f4"), True, None)

    assert isinstance(plan(8, 8), boxes.Gradient)
    for pooled in (plan(3, 1), plan(30, 3), plan(3, 3, 2)):
        assert isinstance(pooled, spread.Plan)
