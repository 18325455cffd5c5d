"""Weight gradients of few channels: every window, chunks, parts of sums, threads."""

import numba
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from problems import Case, noise
from test_gradients import arrays, weight_grad

import numbaconv as nbc
from numbaconv.problem.geometry import ConvGeometry
from numbaconv.problem.options import ConvOptions
from numbaconv.weight_grad import direct, rows

NONE = ((0, 0), (0, 0))
#: All axes differ; strides that `copier` steps by and those it looks up, dilations that share
#: divisors with them, several outputs a channel, more taps than one call sums, no taps that count.
CASES = [
    Case(3, 5, 5, 5, (15, 30), (5, 3), (2, 2), ((2, 2), (1, 1)), (1, 1)),
    Case(2, 3, 6, 3, (14, 21), (3, 5), (1, 4), ((9, 2), (4, 5)), (3, 2)),
    Case(2, 4, 4, 4, (33, 18), (7, 6), (1, 1), ((3, 3), (2, 4)), (1, 1)),
    Case(2, 2, 6, 2, (40,), (5,), (3,), ((2, 4),), (2,)),
    Case(2, 3, 3, 3, (5, 6, 7), (2, 3, 2), (2, 1, 2), ((1, 0), (2, 1), (0, 1)), (1, 2, 1)),
    Case(1, 2, 2, 2, (9, 8), (3, 2), (4, 3), NONE, (2, 5)),
    Case(2, 2, 4, 2, (130, 90), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1)),
    Case(1, 2, 2, 2, (3, 4), (3, 3), (1, 1), ((7, 7), (7, 7)), (6, 6)),
    # Several channels of a group, and more outputs of one than are summed at a time.
    Case(2, 9, 15, 3, (24, 29), (3, 2), (1, 2), ((1, 0), (2, 1)), (2, 1)),
    Case(2, 16, 14, 2, (11, 20), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1)),
    Case(2, 6, 10, 2, (9, 8, 13), (2, 3, 2), (2, 1, 2), ((1, 0), (2, 1), (0, 1)), (1, 2, 1)),
    # One group: a stem, kernels of time alone, squares that share nothing, a signal, one output.
    Case(2, 3, 40, 1, (30, 27), (7, 5), (2, 2), ((3, 3), (2, 2)), (1, 1)),
    Case(2, 3, 17, 1, (9, 14, 13), (3, 1, 1), (1, 1, 1), ((1, 1), (0, 0), (0, 0)), (1, 1, 1)),
    Case(3, 1, 50, 1, (32, 48), (4, 8), (4, 8), NONE, (1, 1)),
    Case(2, 2, 33, 1, (3000,), (9,), (1,), ((8, 8),), (2,)),
    Case(2, 1, 1, 1, (70, 61), (7, 7), (1, 1), ((3, 3), (3, 3)), (1, 1)),
]


def plan_of(case, dtype="f4"):
    options = ConvOptions(ndim=case.ndim, **case.window, groups=case.groups)
    geometry = ConvGeometry.parse(options, case.x_shape, case.weight_shape)
    return direct.plan(geometry, np.dtype(dtype))


@pytest.fixture
def rng():
    return np.random.default_rng(20261129)


@pytest.fixture
def chosen(monkeypatch):
    """Let rows be the cheapest; plans are remembered."""
    nbc.release_memory()
    monkeypatch.setattr(rows, "cycles", lambda *_: 0.0)
    yield
    nbc.release_memory()


@pytest.mark.usefixtures("threads_restored", "chosen")
@pytest.mark.parametrize("case", CASES)
class TestCases:
    @pytest.mark.parametrize("dtype", ["float32", "float64", "int8", "int64", "uint16", "float16"])
    def test_exact(self, case, dtype, rng):
        x, weight, grad = arrays(case, dtype, rng)
        expected = weight_grad(case, x, grad, algorithm="im2col")
        assert isinstance(plan_of(case), rows.Plan)
        for parallel in (True, False):
            found = weight_grad(case, x, grad, algorithm="direct", parallel=parallel)
            np.testing.assert_array_equal(found, expected)
        assert found.shape == weight.shape

    def test_within_the_bound(self, case, rng):
        x, _, grad = arrays(case, "float32", rng, noise)
        exact = weight_grad(case, x.astype("f8"), grad.astype("f8"), algorithm="im2col")
        scale = weight_grad(case, abs(x).astype("f8"), abs(grad).astype("f8"), algorithm="im2col")
        found = weight_grad(case, x, grad)
        terms = grad[:, 0].size
        assert (abs(found - exact) <= 2 * terms * np.finfo("f4").eps * scale).all()

    def test_threads_change_no_bit(self, case, rng):
        x, _, grad = arrays(case, "float32", rng, noise)
        found = []
        for count in (1, numba.config.NUMBA_NUM_THREADS):
            numba.set_num_threads(count)
            found.append(weight_grad(case, x, grad))
        np.testing.assert_array_equal(*found)

    def test_awkward_arrays(self, case, rng):
        x, weight, grad = arrays(case, "float32", rng)
        expected = weight_grad(case, x, grad, algorithm="im2col")
        wide = np.full([2 * n for n in x.shape], np.nan, "f4")
        view = wide[tuple(slice(None, None, 2) for _ in x.shape)]
        view[...] = x
        out = np.full((*weight.shape, 2), 7.0)[..., 0].astype("f4")[::-1]
        found = weight_grad(case, view, grad[::-1].copy()[::-1], out=out)
        assert found is out
        np.testing.assert_array_equal(found, expected)
        np.testing.assert_array_equal(weight_grad(case, x.astype(">f4"), grad), expected)

    def test_sums_in_parts(self, case, rng, monkeypatch):
        """After so many vectors sums begin anew, and are added in the end."""
        x, _, grad = arrays(case, "float32", rng)
        expected = weight_grad(case, x, grad, algorithm="im2col")
        nbc.release_memory()
        monkeypatch.setattr(rows, "_PART", 3)
        np.testing.assert_array_equal(weight_grad(case, x, grad), expected)
        nbc.release_memory()

    @pytest.mark.parametrize("rows_of", [1, 3])
    @pytest.mark.parametrize("flat", [True, False])
    def test_chunks(self, case, rows_of, flat, rng, monkeypatch):
        x, _, grad = arrays(case, "float32", rng)
        expected = weight_grad(case, x, grad, algorithm="im2col")
        nbc.release_memory()
        monkeypatch.setattr(rows, "_PART", 5)

        def chosen(geometry, dtype):
            *_, height, width = (1, *geometry.window.output)
            count = min(rows_of, height)
            piece = width if flat and count > 1 else min(16, width)
            units = case.channels // case.groups * (1, 1, *geometry.window.kernel)[-3]
            together = max(n for n in range(1, 4) if units % n == 0)
            return rows.Chunks(geometry, dtype, count, piece, together, flat=flat)

        monkeypatch.setattr(rows, "chunks_of", chosen)
        np.testing.assert_array_equal(weight_grad(case, x, grad), expected)
        nbc.release_memory()


@given(
    channels=st.integers(2, 4), kernel=st.tuples(*[st.integers(1, 5)] * 2),
    stride=st.tuples(*[st.integers(1, 4)] * 2), dilation=st.tuples(*[st.integers(1, 3)] * 2),
    low=st.integers(0, 4), high=st.integers(0, 4), rows=st.integers(13, 40),
    columns=st.integers(13, 40), seed=st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_any_window(channels, kernel, stride, dilation, low, high, rows, columns, seed):
    padding = ((low, high), (high, low))
    case = Case(
        2, channels, channels, channels, (rows, columns), kernel, stride, padding, dilation
    )  # fmt: skip
    x, _, grad = arrays(case, "float32", np.random.default_rng(seed))
    found = weight_grad(case, x, grad, algorithm="direct")
    np.testing.assert_array_equal(found, weight_grad(case, x, grad, algorithm="im2col"))


def test_what_others_compute():
    many = Case(1, 18, 4, 2, (20, 20), (3, 3), (1, 1), NONE, (1, 1))
    point = Case(1, 2, 2, 2, (30, 30), (1, 1), (1, 1), NONE, (1, 1))
    small = Case(1, 6, 8, 2, (7, 7), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1))
    sums = Case(1, 8, 1024, 1, (30, 30), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1))
    table = Case(1, 1, 1, 1, (600_000,), (9,), (3,), ((4, 4),), (1,))
    for case in (many, small, point, sums, table):
        assert not isinstance(plan_of(case), rows.Plan)


@pytest.mark.parametrize(("shape", "bound"), [((112, 112), 4e-6), ((400_000,), 1e-5)])
def test_terms_of_a_lane_are_few(shape, bound, rng):
    """A lane adds no more terms than a sum may have: a mean of ones would drift."""
    ndim = len(shape)
    case = Case(
        40 // ndim**2, 2, 2, 2, shape, (3,) * ndim, (1,) * ndim, ((1, 1),) * ndim, (1,) * ndim
    )  # fmt: skip
    plan = plan_of(case)
    assert isinstance(plan, rows.Plan)
    assert plan.start(case.batch).values.shape[1] == 3
    x = np.full(case.x_shape, 0.1, "f4")
    found = weight_grad(case, x, np.ones_like(x))
    exact = weight_grad(case, x[:1].astype("f8"), np.ones(x[:1].shape)) * case.batch
    assert (abs(found - exact) <= bound * exact).all()


def test_memory_does_not_grow_with_a_row():
    case = Case(1, 1, 1, 1, (1_000_000,), (31,), (1,), ((15, 15),), (1,))
    plan = plan_of(case)
    assert isinstance(plan, rows.Plan)
    assert plan.chunks.nbytes < 1 << 20
    assert plan.columns.nbytes < 1 << 16


def test_gradients_that_are_not_finite_meet_padding(rng):
    case = CASES[0]
    x, _, grad = arrays(case, "float32", rng)
    grad[1, 2, 0, 0], grad[1, 2, 3, 10] = np.inf, -np.inf
    expected = weight_grad(case, x, grad, algorithm="im2col")
    np.testing.assert_array_equal(weight_grad(case, x, grad), expected)
    assert np.isnan(expected).any()


def test_jitted_and_empty(rng):
    case = CASES[0]
    x, weight, grad = arrays(case, "float32", rng)
    shape, window = weight.shape, (case.stride, case.padding)
    groups = case.groups

    @numba.njit
    def jitted(x, grad):
        return nbc.conv2d_weight_grad(x, shape, grad, window[0], window[1], 1, groups)

    expected = weight_grad(case, x, grad, algorithm="im2col")
    np.testing.assert_array_equal(jitted(x, grad), expected)
    np.testing.assert_array_equal(jitted(x[:0], grad[:0]), np.zeros_like(weight))
