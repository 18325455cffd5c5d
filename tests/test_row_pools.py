"""Pools that combine whole rows, against the oracle and each window by itself."""

from unittest import mock

import naive
import numba
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_pooling import AVG, CASES, LAYOUTS, MAX, back, in_layout, naive_avg, values

import numbaconv as nbc
from numbaconv.pooling import planes, rows
from numbaconv.problem.options import PoolOptions
from numbaconv.problem.pool_geometry import PoolGeometry

LARGE = [
    ((2, 2, 23, 31), (9, 7), (1, 1), ((4, 4), (3, 3)), (1, 1), False),
    ((1, 3, 29, 20), (8, 5), (3, 2), ((0, 3), (2, 1)), (1, 2), True),
    ((1, 2, 30, 17), (6, 17), (2, 1), ((3, 2), (0, 0)), (1, 1), False),
    ((3, 2, 7, 9), (7, 9), (1, 1), ((0, 0), (0, 0)), (1, 1), False),
    ((2, 3, 100), (33,), (1,), ((16, 16),), (1,), False),
    ((1, 2, 9, 16, 11), (3, 5, 4), (2, 1, 3), ((1, 1), (2, 2), (0, 1)), (1, 1, 1), True),
]


def by_rows(chosen):
    """Return an estimate that has whole rows combined, or each window reduced by itself."""
    return (-1.0 if chosen else np.inf), 0.0


@pytest.fixture
def always():
    """Combine whole rows wherever every window meets the input."""
    nbc.release_memory()  # plans are remembered
    with mock.patch.object(rows, "nanoseconds", lambda g, *_: by_rows(rows.all_reach(g))):
        yield
    nbc.release_memory()


@pytest.fixture
def rng():
    return np.random.default_rng(20261128)


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "int8", "uint8", "uint64"])
@pytest.mark.parametrize("case", [*LARGE, *CASES])
class TestAgainstTheOracle:
    def test_maxima(self, case, dtype, layout, rng):
        shape, kernel, stride, padding, dilation, ceil = case
        x = values(rng, shape, dtype)
        expected, places = naive.max_pool(x, kernel, stride, padding, dilation, ceil)
        options = {"ceil_mode": ceil, "layout": layout}
        arguments = (in_layout(layout, x), kernel, stride, padding, dilation)
        found, indices = MAX[len(kernel)](*arguments, **options, return_indices=True)
        np.testing.assert_array_equal(back(layout, found), expected)
        np.testing.assert_array_equal(back(layout, indices), places)
        np.testing.assert_array_equal(MAX[len(kernel)](*arguments, **options), found)

    def test_means(self, case, dtype, layout, rng):
        shape, kernel, stride, padding, dilation, ceil = case
        x = values(rng, shape, dtype)
        if dtype == "uint64":
            x //= 1000  # sums are formed in 64 bits
        for include_pad, divisor in ((True, None), (False, None), (True, 7)):
            expected = naive_avg(x, kernel, stride, padding, dilation, ceil, include_pad, divisor)
            found = AVG[len(kernel)](
                in_layout(layout, x), kernel, stride, padding, dilation=dilation, ceil_mode=ceil,
                count_include_pad=include_pad, divisor_override=divisor, layout=layout,
            )  # fmt: skip
            np.testing.assert_array_equal(back(layout, found), expected)


@pytest.mark.parametrize("layout", LAYOUTS)
@given(
    seed=st.integers(0, 2**32 - 1), kernel=st.integers(1, 40), stride=st.integers(1, 4),
    height=st.integers(1, 60), width=st.integers(1, 60),
)  # fmt: skip
def test_as_each_window_by_itself(layout, seed, kernel, stride, height, width):
    rng = np.random.default_rng(seed)
    kernel = min(kernel, height), min(kernel, width)
    padding = tuple((k // 2, (k - 1) // 2) for k in kernel)
    x = in_layout(
        layout, rng.choice(np.array([-np.inf, 0, 1, 2, np.nan], "f4"), (1, 2, height, width))
    )
    found = []
    for chosen in (True, False):
        nbc.release_memory()
        with mock.patch.object(rows, "nanoseconds", return_value=by_rows(chosen)):
            found.append(
                nbc.max_pool2d(x, kernel, stride, padding, layout=layout, return_indices=True)
            )
    nbc.release_memory()
    for row, each in zip(*found, strict=True):
        np.testing.assert_array_equal(row, each)


@pytest.mark.usefixtures("threads_restored")
@pytest.mark.parametrize("layout", LAYOUTS)
def test_threads_change_no_bit(layout, rng):
    x = rng.standard_normal((2, 3, 90, 70), dtype="f4")
    found = []
    for count in (1, numba.config.NUMBA_NUM_THREADS):
        numba.set_num_threads(count)
        found.append(nbc.avg_pool2d(in_layout(layout, x), (31, 21), 1, (15, 10), layout=layout))
    np.testing.assert_array_equal(*found)


def test_means_do_not_drift(rng):
    """A running sum of what has been beside 1e30 would never be rid of it."""
    x = rng.random((1, 1, 200, 200), dtype="f4")
    x[0, 0, 5, 5] = 1e30
    found = nbc.avg_pool2d(x, 21, 1, 10)
    clean = x.copy()
    clean[0, 0, 5, 5] = 0
    far = np.s_[:, :, 40:, 40:]
    np.testing.assert_array_equal(found[far], nbc.avg_pool2d(clean, 21, 1, 10)[far])


def test_jitted(rng):
    @numba.njit
    def pools(x):
        return nbc.max_pool2d(x, (15, 9), 1, (7, 4)), nbc.avg_pool2d(x, (15, 9), 2, (7, 4))

    x = rng.standard_normal((2, 3, 40, 50), dtype="f4")
    for _ in range(4):
        largest, mean = pools(x)
        np.testing.assert_array_equal(largest, nbc.max_pool2d(x, (15, 9), 1, (7, 4)))
        np.testing.assert_array_equal(mean, nbc.avg_pool2d(x, (15, 9), 2, (7, 4)))
        x = x * 2


class TestPieces:
    """Long signals, cut."""

    @pytest.mark.parametrize("layout", LAYOUTS)
    @pytest.mark.parametrize(
        ("size", "kernel", "stride", "padding", "dilation", "ceil"),
        [
            (60000, 40, 1, (20, 7), 1, False),
            (50001, 33, 3, (5, 16), 1, True),
            (40000, 9, 2, (0, 0), 5, False),
            (45000, 4500, 1, (0, 2000), 1, False),
        ],
    )
    def test_as_a_whole(self, size, kernel, stride, padding, dilation, ceil, layout, rng):
        shape = (2, 2, size)
        options = PoolOptions(1, kernel, stride, (padding,), dilation, ceil_mode=ceil)
        x = rng.integers(-99, 99, shape).astype("f4")
        x[0, 1, 777:40000:5000] = np.nan
        common = {"dilation": dilation, "ceil_mode": ceil, "layout": layout}
        arguments = (in_layout(layout, x), kernel, stride, (padding,))
        means = {"count_include_pad": False, **common}
        geometry = PoolGeometry.parse(options, shape)
        chosen = mock.patch.object(rows, "nanoseconds", return_value=by_rows(True))
        found = []
        for piece in (rows._PIECE, size):
            nbc.release_memory()
            with chosen, mock.patch.object(rows, "_PIECE", piece):
                plan = rows.planned(geometry, np.dtype("f4"), rows.MEAN, False, None)
                assert isinstance(plan, rows.Pieces if piece < size else rows.Plan)
                found.append(
                    (*nbc.max_pool1d(*arguments, return_indices=True, **common),
                     nbc.avg_pool1d(*arguments, **means))
                )  # fmt: skip
        nbc.release_memory()
        for cut, whole in zip(*found, strict=True):
            np.testing.assert_array_equal(cut, whole)

    def test_in_jitted_code(self, rng):
        @numba.njit
        def pools(x):
            return nbc.max_pool1d(x, 100, 1, 50), nbc.avg_pool1d(x, 100, 1, 50)

        for _ in range(4):
            x = rng.standard_normal((1, 2, 50000), dtype="f4")
            largest, mean = pools(x)
            np.testing.assert_array_equal(largest, nbc.max_pool1d(x, 100, 1, 50))
            np.testing.assert_array_equal(mean, nbc.avg_pool1d(x, 100, 1, 50))
            places = nbc.max_pool1d(x, 100, 1, 50, return_indices=True)[1]
            np.testing.assert_array_equal(np.take_along_axis(x, places, -1), largest)


@pytest.mark.parametrize(
    ("shape", "kernel", "stride", "expected"),
    [
        ((1, 1, 500, 500), 51, 1, True),
        ((1, 64, 56, 56), 3, 2, False),
        ((8, 512, 7, 7), 7, 7, False),
        ((1, 64, 56, 56), 2, 2, False),
    ],
)
def test_where_it_pays(shape, kernel, stride, expected):
    geometry = PoolGeometry.parse(PoolOptions(2, kernel, stride), shape)
    whole, each = rows.nanoseconds(geometry, np.dtype("f4"), rows.MEAN)
    assert (whole < each) == expected


class TestWholePlanes:
    """One window for each plane: sums of pieces, as many whatever the threads."""

    @pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "int16", "uint8"])
    @pytest.mark.parametrize("shape", [(2, 3, 5, 7), (1, 1, 300, 301), (3, 2, 11)])
    def test_values(self, shape, dtype, rng):
        x = rng.integers(0, 9, shape).astype(dtype)
        axes, pools = tuple(range(2, len(shape))), (MAX[len(shape) - 2], AVG[len(shape) - 2])
        geometry = PoolGeometry.parse(PoolOptions(len(axes), shape[2:]), shape)
        assert planes.takes(geometry, rows.MEAN)
        largest, mean = (pool(x, shape[2:]) for pool in pools)
        np.testing.assert_array_equal(largest.squeeze(axes), x.max(axes))
        exact = x.sum(axes, np.int64) / np.prod(shape[2:])
        expected = np.trunc(exact) if x.dtype.kind in "iu" else exact
        np.testing.assert_array_equal(mean.squeeze(axes), expected.astype(dtype))

    @pytest.mark.usefixtures("threads_restored")
    def test_threads_change_no_bit(self, rng):
        x = rng.standard_normal((1, 2, 400, 500), dtype="f4")
        found = []
        for count in (1, numba.config.NUMBA_NUM_THREADS):
            numba.set_num_threads(count)
            found.append(nbc.avg_pool2d(x, (400, 500)))
        np.testing.assert_array_equal(*found)

    def test_a_nan_and_a_divisor(self, rng):
        x = rng.standard_normal((1, 2, 30, 40), dtype="f4")
        x[0, 1, 3, 4] = np.nan
        assert np.isnan(nbc.max_pool2d(x, (30, 40))).ravel().tolist() == [False, True]
        total = nbc.avg_pool2d(x[:, :1], (30, 40), divisor_override=1)
        np.testing.assert_allclose(total.ravel(), x[0, 0].sum(dtype="f8"), rtol=1e-6)
