"""Direct convolution by tiles of pixels: any problem, taps left out, what is not finite."""

from unittest import mock

import numba
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from problems import Case, cases, noise, small_integers

import numbaconv as nbc
from numbaconv.problem.geometry import ConvGeometry
from numbaconv.problem.options import ConvOptions
from numbaconv.routes.direct import pixel_cut, pixels
from numbaconv.routes.direct import plan as direct

LAYOUTS = ("channels_first", "channels_last")


@pytest.fixture
def always():
    """Let direct convolution take tiles of pixels wherever they run."""
    nbc.release_memory()  # plans are remembered
    with mock.patch.object(direct, "_LEAST_GAIN", 1e-9), mock.patch.object(
        direct, "_LEAST_GAIN_LAST", 1e-9
    ):  # fmt: skip
        yield
    nbc.release_memory()


def arrays(case, layout, dtype, rng, draw=small_integers):
    x, w = draw(rng, case.x_shape, dtype), draw(rng, case.weight_shape, dtype)
    b = draw(rng, (case.outputs,), dtype)
    if layout == "channels_last":
        x = np.ascontiguousarray(np.moveaxis(x, 1, -1))
        w = np.ascontiguousarray(np.moveaxis(w, (0, 1), (-1, -2)))
    return x, w, b


def run(case, layout, x, w, b, **more):
    function = {1: nbc.conv1d, 2: nbc.conv2d, 3: nbc.conv3d}[len(case.size)]
    return function(x, w, b, **case.window, groups=case.groups, layout=layout, **more)


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("layout", LAYOUTS)
@given(case=cases(), seed=st.integers(0, 2**32 - 1), dtype=st.sampled_from(("f4", "f8", "i1")))
def test_any_problem(layout, case, seed, dtype):
    if case.mode != "zeros":
        return
    x, w, b = arrays(case, layout, dtype, np.random.default_rng(seed))
    expected = run(case, layout, x, w, b, algorithm="im2col")
    for parallel in (True, False):
        found = run(case, layout, x, w, b, algorithm="direct", parallel=parallel)
        np.testing.assert_array_equal(found, expected)


# Small maps, wide dilation, long kernels: most taps meet padding. Then strides, groups, few
# channels, and more outputs than a tile holds by a little.
CASES = [
    Case(2, 20, 40, 1, (13, 7), (3, 3), (1, 1), ((6, 6), (6, 6)), (6, 6)),
    Case(1, 9, 33, 1, (5, 17), (1, 21), (1, 1), ((0, 0), (10, 10)), (1, 1)),
    Case(1, 9, 17, 1, (38, 7), (21, 1), (1, 1), ((10, 9), (0, 0)), (1, 1)),
    Case(2, 3, 35, 1, (31, 45), (7, 5), (2, 3), ((3, 2), (1, 4)), (1, 1)),
    Case(1, 12, 20, 4, (9, 10), (3, 3), (2, 1), ((1, 1), (0, 3)), (1, 2)),
    Case(1, 1, 48, 1, (32, 24), (8, 4), (8, 4), ((0, 0), (0, 0)), (1, 1)),
    Case(3, 20, 18, 1, (130,), (9,), (2,), ((8, 8),), (2,)),
    Case(1, 3, 16, 1, (6, 9, 8), (3, 2, 3), (1, 2, 1), ((2, 0), (1, 1), (1, 2)), (2, 1, 1)),
    Case(1, 2, 3, 1, (4, 4), (2, 2), (1, 1), ((9, 9), (9, 9)), (3, 3)),
]


@pytest.mark.usefixtures("always", "threads_restored")
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("case", CASES)
class TestCases:
    def test_exact(self, case, layout):
        x, w, b = arrays(case, layout, "float32", np.random.default_rng(0))
        expected = run(case, layout, x, w, b, algorithm="im2col")
        np.testing.assert_array_equal(run(case, layout, x, w, b, algorithm="direct"), expected)

    def test_within_the_bound(self, case, layout):
        x, w, b = arrays(case, layout, "float32", np.random.default_rng(1), noise)
        exact = run(case, layout, *(a.astype("f8") for a in (x, w, b)), algorithm="im2col")
        scale = run(case, layout, *(abs(a).astype("f8") for a in (x, w, b)), algorithm="im2col")
        found = run(case, layout, x, w, b, algorithm="direct")
        terms = case.channels // case.groups * int(np.prod(case.kernel)) + 1
        assert (abs(found - exact) <= 2 * terms * np.finfo("f4").eps * scale).all()

    def test_threads_change_no_bit(self, case, layout):
        x, w, b = arrays(case, layout, "float32", np.random.default_rng(2), noise)
        found = []
        for count in (1, numba.config.NUMBA_NUM_THREADS):
            numba.set_num_threads(count)
            found.append(run(case, layout, x, w, b, algorithm="direct"))
        np.testing.assert_array_equal(*found)
        alone = run(case, layout, x[:1], w, b, algorithm="direct")
        np.testing.assert_array_equal(alone, found[0][:1])

    def test_awkward_arrays(self, case, layout):
        x, w, b = arrays(case, layout, "float32", np.random.default_rng(3))
        expected = run(case, layout, x, w, b, algorithm="im2col")
        padded = np.full([n + 2 for n in x.shape], np.nan, x.dtype)
        inner = padded[tuple(slice(1, -1) for _ in x.shape)]
        inner[...] = x
        for other in (inner, x[..., ::-1].copy()[..., ::-1], x.astype(">f4"), np.asfortranarray(x)):
            np.testing.assert_array_equal(run(case, layout, other, w, b, algorithm="direct"),
                                          expected)  # fmt: skip


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("layout", LAYOUTS)
class TestNotFinite:
    """Infinity times the zeros of padding is not zero, so then no tap is left out."""

    CASE = CASES[0]

    @pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
    @pytest.mark.parametrize("prepared", [False, True])
    def test_a_weight(self, layout, value, prepared):
        x, w, b = arrays(self.CASE, layout, "float32", np.random.default_rng(4))
        w[(0,) * 4] = value
        expected = run(self.CASE, layout, x, w, b, algorithm="im2col")
        if prepared:
            layer = nbc.Conv2d(w, b, **self.CASE.window, layout=layout, algorithm="direct")
            found = layer(x)
        else:
            found = run(self.CASE, layout, x, w, b, algorithm="direct")
        np.testing.assert_array_equal(found, expected)
        assert np.isnan(found).any()

    def test_an_input_reaches_its_windows_alone(self, layout):
        x, w, b = arrays(self.CASE, layout, "float32", np.random.default_rng(5))
        x[(0,) * 4] = np.nan
        expected = run(self.CASE, layout, x, w, b, algorithm="im2col")
        found = run(self.CASE, layout, x, w, b, algorithm="direct")
        np.testing.assert_array_equal(found, expected)

    def test_a_weight_in_a_call_that_was_recorded(self, layout):
        padding, dilation = (6, 6), (6, 6)

        @numba.njit
        def call(x, w):
            return nbc.conv2d(x, w, padding=padding, dilation=dilation, layout=layout,
                              algorithm="direct")  # fmt: skip

        x, w, _ = arrays(self.CASE, layout, "float32", np.random.default_rng(6))
        for _ in range(4):
            call(x, w)
        w[(0,) * 4] = np.inf
        expected = nbc.conv2d(x, w, padding=padding, dilation=dilation, layout=layout,
                              algorithm="im2col")  # fmt: skip
        np.testing.assert_array_equal(call(x, w), expected)


def test_taps_that_are_needed():
    axis = {"size": 7, "kernel": 3, "stride": 1, "dilation": 6, "low": 6, "outputs": 7}
    needed = pixel_cut.Needed(**axis, skip=True)
    spans = [tuple(needed.by(pixel_cut.Span(o, o + 1))) for o in range(7)]
    assert spans == [(1, 3), *[(1, 2)] * 5, (0, 2)]
    assert needed.by(pixel_cut.Span(0, 7)) == (0, 3)
    assert needed.count == 9
    assert pixel_cut.Needed(**axis, skip=False).count == 21


def test_lists_that_grow_too_long_leave_out_nothing(always):
    with mock.patch.object(pixels, "_MOST_WORDS", 10):
        case = CASES[0]
        x, w, b = arrays(case, "channels_last", "float32", np.random.default_rng(7))
        expected = run(case, "channels_last", x, w, b, algorithm="im2col")
        found = run(case, "channels_last", x, w, b, algorithm="direct")
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("x_shape", "w_shape", "options", "expected"),
    [
        ((1, 160, 13, 7), (320, 160, 3, 3), {"padding": 6, "dilation": 6}, True),
        ((1, 64, 56, 56), (64, 64, 3, 3), {"padding": 1}, False),
        ((1, 224, 224, 3), (7, 7, 3, 64), {"stride": 2, "layout": "channels_last"}, True),
    ],
)
def test_what_is_chosen_where(x_shape, w_shape, options, expected):
    geometry = ConvGeometry.parse(ConvOptions(2, **options), x_shape, w_shape)
    found = direct.plan(geometry, np.dtype("float32"))
    assert isinstance(found, pixels.Plan) == expected
