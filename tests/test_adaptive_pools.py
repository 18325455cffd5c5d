"""Adaptive pools, against the oracle and each other."""

from unittest import mock

import naive
import numba
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from problems import AWKWARD
from test_pooling import LAYOUTS, back, in_layout, values

import numbaconv as nbc
from numbaconv.native.pool import MAXIMUM_AND_INDEX, MEAN
from numbaconv.pooling import adaptive
from numbaconv.problem.pool_geometry import AdaptiveGeometry

MAX = {1: nbc.adaptive_max_pool1d, 2: nbc.adaptive_max_pool2d, 3: nbc.adaptive_max_pool3d}
AVG = {1: nbc.adaptive_avg_pool1d, 2: nbc.adaptive_avg_pool2d, 3: nbc.adaptive_avg_pool3d}
BACK = {
    1: nbc.adaptive_avg_pool1d_backward,
    2: nbc.adaptive_avg_pool2d_backward,
    3: nbc.adaptive_avg_pool3d_backward,
}
UNPOOL = {1: nbc.max_pool1d_backward, 2: nbc.max_pool2d_backward, 3: nbc.max_pool3d_backward}
DTYPES = ("float32", "float64", "float16", "int8", "uint8", "int64", "uint64")

#: (shape, output): windows that overlap and that do not, more windows than elements, plain pools.
CASES = [
    ((2, 3, 13, 10), (7, 3)),
    ((1, 2, 5, 7), (8, 20)),
    ((2, 2, 12, 9), (4, 3)),
    ((1, 3, 11, 17), (1, 1)),
    ((3, 1, 37), (5,)),
    ((2, 2, 7, 9, 8), (3, 2, 5)),
    ((1, 2, 6, 5, 33), (6, 4, 32)),
    ((1, 1, 40, 70), (39, 11)),
    ((2, 3, 1, 5, 7), (3, 2, 3)),
    ((1, 2, 4, 5, 7), (1, 2, 3)),
    ((2, 2, 1, 9, 7), (1, 4, 3)),
]


@pytest.fixture
def rng():
    return np.random.default_rng(20261128)


def naive_max(x, output):
    size = x.shape[2:]
    found = np.zeros((*x.shape[:2], *output), x.dtype)
    places = np.zeros(found.shape, np.int64)
    for n, c in np.ndindex(x.shape[:2]):
        for position, taps in naive.adaptive_windows(size, output):
            seen = [x[(n, c, *tap)] for tap in taps]
            nans = [i for i, v in enumerate(seen) if v != v]
            best = nans[0] if nans else seen.index(max(seen))
            found[(n, c, *position)] = seen[best]
            places[(n, c, *position)] = np.ravel_multi_index(taps[best], size)
    return found, places


def naive_mean(x, output):
    if x.dtype.kind == "c":
        return naive_mean(x.real, output) + 1j * naive_mean(x.imag, output)
    found = np.zeros((*x.shape[:2], *output), x.dtype)
    for n, c in np.ndindex(x.shape[:2]):
        for position, taps in naive.adaptive_windows(x.shape[2:], output):
            seen = [x[(n, c, *tap)] for tap in taps]
            if x.dtype.kind in "iu":
                total = sum(int(v) for v in seen)
                mean = abs(total) // len(seen) * (1 if total >= 0 else -1)
            else:
                mean = np.sum(seen, dtype=np.float64) / len(seen)
            found[(n, c, *position)] = mean
    return found


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("shape", "output"), CASES)
class TestAgainstTheOracle:
    def test_maxima(self, shape, output, dtype, layout, parallel, rng):
        x = values(rng, shape, dtype)
        if x.dtype.kind == "f":
            x[rng.random(shape) < 0.02] = np.nan
        expected, places = naive_max(x, output)
        pool, given = MAX[len(output)], in_layout(layout, x)
        options = {"layout": layout, "parallel": parallel}
        found, indices = pool(given, output, True, **options)
        assert found.dtype == dtype
        np.testing.assert_array_equal(back(layout, found), expected)
        np.testing.assert_array_equal(back(layout, indices), places)
        np.testing.assert_array_equal(pool(given, output, **options), found)

    def test_means(self, shape, output, dtype, layout, parallel, rng):
        x = values(rng, shape, dtype)
        if dtype in ("int64", "uint64"):
            x //= 1000  # sums are formed in 64 bits
        pool = AVG[len(output)]
        found = pool(in_layout(layout, x), output, layout=layout, parallel=parallel)
        assert found.dtype == dtype
        np.testing.assert_array_equal(back(layout, found), naive_mean(x, output))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "complex64", "complex128"])
@pytest.mark.parametrize(("shape", "output"), CASES)
def test_gradients_are_adjoints(shape, output, dtype, layout, rng):
    """<pool(x), g> equals <x, backward(g)>, computed in double from the result of each."""
    x, g = values(rng, shape, dtype), values(rng, (*shape[:2], *output), dtype)
    y = AVG[len(output)](in_layout(layout, x), output, layout=layout)
    given = in_layout(layout, g)
    d = BACK[len(output)](given, in_layout(layout, x).shape, layout=layout)
    assert d.dtype == dtype
    wide = np.complex128
    left = np.vdot(back(layout, y).astype(wide), g.astype(wide))
    right = np.vdot(x.astype(wide), back(layout, d).astype(wide))
    size = np.abs(x).astype(float).sum() * 4
    assert abs(left - np.conj(right) if np.dtype(dtype).kind != "c" else left - right) <= (
        size * np.finfo(dtype).eps
    )


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("shape", "output"), CASES)
def test_each_share_of_a_mean_comes_back(shape, output, layout, rng):
    g = rng.integers(-8, 9, (*shape[:2], *output)).astype("f8")
    expected = np.zeros(shape)
    for position, taps in naive.adaptive_windows(shape[2:], output):
        for tap in taps:
            expected[(..., *tap)] += g[(..., *position)] / len(taps)
    asked = in_layout(layout, expected).shape
    found = BACK[len(output)](in_layout(layout, g), asked, layout=layout)
    np.testing.assert_allclose(back(layout, found), expected, rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize(("shape", "output"), CASES)
def test_maxima_send_gradients_to_their_places(shape, output, rng):
    x = rng.permutation(np.prod(shape)).reshape(shape).astype("f4")
    largest, indices = MAX[len(output)](x, output, True)
    found = UNPOOL[len(output)](np.ones_like(largest), indices, shape)
    for n, c in np.ndindex(shape[:2]):
        counts = np.bincount(indices[n, c].ravel(), minlength=found[n, c].size)
        np.testing.assert_array_equal(found[n, c].ravel(), counts)


@given(
    size=st.tuples(st.integers(1, 60), st.integers(1, 60)), layout=st.sampled_from(LAYOUTS),
    output=st.tuples(st.integers(1, 40), st.integers(1, 40)), seed=st.integers(0, 99),
)  # fmt: skip
def test_any_size(size, output, layout, seed):
    x = np.random.default_rng(seed).integers(-9, 9, (1, 2, *size)).astype("f4")
    found = nbc.adaptive_avg_pool2d(in_layout(layout, x), output, layout=layout)
    np.testing.assert_array_equal(back(layout, found), naive_mean(x, output))
    largest = nbc.adaptive_max_pool2d(in_layout(layout, x), output, layout=layout)
    np.testing.assert_array_equal(back(layout, largest), naive_max(x, output)[0])


@pytest.mark.parametrize("name", AWKWARD)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_awkward_arrays(name, layout, rng):
    hold = AWKWARD[name]
    x = in_layout(layout, rng.standard_normal((2, 3, 13, 10), dtype="f4"))
    for pool in (nbc.adaptive_max_pool2d, nbc.adaptive_avg_pool2d):
        plain = pool(x, (5, 4), layout=layout)
        np.testing.assert_array_equal(pool(hold(x), (5, 4), layout=layout), plain)
        if name not in ("read-only", "byte-swapped"):
            out = hold(np.full_like(plain, np.nan))
            assert pool(x, (5, 4), layout=layout, out=out) is out
            np.testing.assert_array_equal(out, plain)
    grad = rng.standard_normal((2, 3, 5, 4), dtype="f4")
    plain = nbc.adaptive_avg_pool2d_backward(grad, (2, 3, 13, 10))
    held = nbc.adaptive_avg_pool2d_backward(hold(grad), (2, 3, 13, 10))
    np.testing.assert_array_equal(held, plain)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_rows_in_pieces(layout, rng):
    x = rng.integers(-9, 9, (2, 3, 5, 97)).astype("f4")
    given = in_layout(layout, x)
    nbc.release_memory()
    with mock.patch.object(adaptive, "_ROW_BYTES", 160), mock.patch.object(adaptive, "_SMALL", 1):
        for output in ((4, 31), (3, 96), (2, 130)):
            values, places = nbc.adaptive_max_pool2d(given, output, True, layout=layout)
            expected = naive_max(x, output)
            np.testing.assert_array_equal(back(layout, values), expected[0])
            np.testing.assert_array_equal(back(layout, places), expected[1])
            found = nbc.adaptive_avg_pool2d(given, output, layout=layout)
            np.testing.assert_array_equal(back(layout, found), naive_mean(x, output))
    nbc.release_memory()


def test_memory_does_not_grow_with_what_is_pooled():
    plans = [
        adaptive.Plan(geometry, np.dtype("f4"), kind)
        for kind in (MEAN, MAXIMUM_AND_INDEX)
        for geometry in (
            AdaptiveGeometry(1, 512, (3, 1024), (2, 511), True, True),
            AdaptiveGeometry(1, 2, (10_000_000,), (999_999,), False, True),
        )
    ]
    assert all(plan.worker_bytes < 12 << 20 for plan in plans)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_large_batches_that_must_be_copied(layout, rng):
    with mock.patch.object(adaptive, "_COPIED_BYTES", 5000):
        whole = rng.standard_normal((7, 3, 14, 12, 13), dtype="f4")
        x = whole[:, :, 0, 1:, 1:] if layout == "channels_first" else whole[:, 0, :, ::2, 1:]
        expected = nbc.adaptive_avg_pool2d(x.copy(), (5, 3), layout=layout)
        found = nbc.adaptive_avg_pool2d(x, (5, 3), layout=layout)
        np.testing.assert_array_equal(found, expected)
        maxima, places = nbc.adaptive_max_pool2d(x, (5, 3), True, layout=layout)
        again = nbc.adaptive_max_pool2d(x.copy(), (5, 3), True, layout=layout)
        np.testing.assert_array_equal(maxima, again[0])
        np.testing.assert_array_equal(places, again[1])


@pytest.mark.usefixtures("threads_restored")
@pytest.mark.parametrize("layout", LAYOUTS)
def test_threads_change_no_bit(layout, rng):
    x = in_layout(layout, rng.standard_normal((2, 3, 93, 71), dtype="f4"))
    found = []
    for count in (1, numba.config.NUMBA_NUM_THREADS):
        numba.set_num_threads(count)
        found.append(nbc.adaptive_avg_pool2d(x, (8, 9), layout=layout))
    np.testing.assert_array_equal(*found)


def test_unbatched_and_sizes_that_stay(rng):
    x = rng.standard_normal((3, 13, 10))
    y = nbc.adaptive_avg_pool2d(x, (None, 4))
    np.testing.assert_array_equal(y, nbc.adaptive_avg_pool2d(x[None], (13, 4))[0])
    np.testing.assert_array_equal(nbc.adaptive_max_pool2d(x, None), x)
    np.testing.assert_array_equal(
        nbc.adaptive_max_pool2d(x, [7, None])[..., 0, 0], x[:, :2, 0].max(1)
    )


def test_sizes_that_stay_in_jitted_code(rng):
    x = rng.standard_normal((2, 3, 13, 10))

    @numba.njit
    def pooled(x, out):
        nbc.adaptive_avg_pool2d(x, (2, None), out=out)
        return (
            nbc.adaptive_avg_pool2d(x, (None, 4)),
            nbc.adaptive_max_pool2d(x, None, return_indices=True),
        )

    for _ in range(3):  # by Python, recorded, and without Python
        out = np.empty((2, 3, 2, 10))
        mean, (values, places) = pooled(x, out)
        np.testing.assert_array_equal(out, nbc.adaptive_avg_pool2d(x, (2, 10)))
        np.testing.assert_array_equal(mean, nbc.adaptive_avg_pool2d(x, (13, 4)))
        np.testing.assert_array_equal(values, x)
        np.testing.assert_array_equal(places[1, 2].ravel(), np.arange(130))

    @numba.njit
    def refused(x):
        return nbc.max_unpool2d(x, x.astype(np.int64), 2, output_size=(None, 4))

    with pytest.raises(numba.TypingError, match="output_size must be an int or a tuple of ints"):
        refused(x)


def test_empty_batches():
    assert nbc.adaptive_avg_pool2d(np.ones((0, 3, 7, 5)), 2).shape == (0, 3, 2, 2)
    values, places = nbc.adaptive_max_pool1d(np.ones((2, 0, 7)), 3, True)
    assert values.shape == places.shape == (2, 0, 3)
    assert nbc.adaptive_avg_pool1d_backward(np.ones((0, 2, 3)), (0, 2, 7)).shape == (0, 2, 7)


def test_jitted(rng):
    @numba.njit
    def pools(x):
        largest, places = nbc.adaptive_max_pool2d(x, (5, 4), return_indices=True)
        mean = nbc.adaptive_avg_pool2d(x, 7, layout="channels_first")
        return largest, places, mean, nbc.adaptive_avg_pool2d_backward(mean, x.shape)

    x = rng.standard_normal((2, 3, 13, 10), dtype="f4")
    for _ in range(4):
        found = pools(x)
        for a, b in zip(found, pools.py_func(x), strict=True):
            np.testing.assert_array_equal(a, b)
        x = x * 2


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x: nbc.adaptive_avg_pool2d(x, 0), ValueError, "output_size must be"),
        (lambda x: nbc.adaptive_avg_pool2d(x, (2, 3, 4)), ValueError, "for each of 2 spatial axes"),
        (lambda x: nbc.adaptive_avg_pool2d(x, 2.5), TypeError, "output_size must be an int"),
        (lambda x: nbc.adaptive_max_pool2d(x, True), TypeError, "output_size must be an int"),
        (lambda x: nbc.adaptive_max_pool2d(x[0, 0], 2), ValueError, "x must have 4 axes"),
        (lambda x: nbc.adaptive_max_pool2d(x * 1j, 2), TypeError, "complex numbers have no max"),
        (lambda x: nbc.adaptive_max_pool2d(x, 2, 1), TypeError, "return_indices must be True"),
        (lambda x: nbc.adaptive_max_pool2d(x[:, :, :0], 2), ValueError, "no empty spatial axis"),
        (lambda x: nbc.adaptive_max_pool2d(x, 2, layout="NHWC"), ValueError, "layout must be"),
        (
            lambda x: nbc.adaptive_avg_pool2d_backward(x, (2, 3, 4, 4)),
            ValueError,
            "grad_output must",
        ),
        (
            lambda x: nbc.adaptive_avg_pool2d_backward(x.astype(int), (1, 2, 9, 9)),
            TypeError,
            "float or complex",
        ),
    ],
)
def test_wrong_arguments(call, error, message):
    with pytest.raises(error, match=message):
        call(np.ones((1, 2, 5, 6)))
