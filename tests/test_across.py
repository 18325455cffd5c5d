"""Direct convolution by tiles across images: any problem of several, the same bits as of one."""

from dataclasses import replace
from unittest import mock

import numba
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from problems import Case, cases, noise
from test_pixel_tiles import CASES, LAYOUTS, arrays, run

import numbaconv as nbc
from numbaconv.problem.geometry import ConvGeometry
from numbaconv.problem.options import ConvOptions
from numbaconv.routes.direct import across, pixels
from numbaconv.routes.direct import plan as direct

#: Of one or two axes, padded, of more images than a tile has; the number of images is a prime.
SEVERAL = [
    replace(case, batch=17)
    for case in CASES
    if len(case.size) < 3 and any(map(any, case.padding)) and case.channels > 3
]
SEVERAL[1] = replace(SEVERAL[1], channels=22)


@pytest.fixture
def always():
    """Let direct convolution go across images wherever it can; yields what was run."""
    nbc.release_memory()  # plans are remembered
    with (
        mock.patch.object(direct, "_LEAST_GAIN", 1e-9),
        mock.patch.object(direct, "_LEAST_GAIN_LAST", 1e-9),
        mock.patch.object(across, "LEAST_GAIN", 0),
        mock.patch.object(across, "LEAST_IMAGES", 2),
        mock.patch.object(
            across.Across, "run", autospec=True, side_effect=across.Across.run
        ) as ran,
    ):
        yield ran
    nbc.release_memory()


@pytest.mark.parametrize("layout", LAYOUTS)
@given(
    case=cases(), images=st.integers(2, 20), seed=st.integers(0, 2**32 - 1),
    dtype=st.sampled_from(("f4", "f8", "i1", "i8")),
)  # fmt: skip
def test_any_problem(layout, case, images, seed, dtype, always):
    if case.mode != "zeros" or len(case.size) > 2:
        return
    x, w, b = arrays(replace(case, batch=images), layout, dtype, np.random.default_rng(seed))
    expected = run(case, layout, x, w, b, algorithm="im2col")
    for parallel in (True, False):
        found = run(case, layout, x, w, b, algorithm="direct", parallel=parallel)
        np.testing.assert_array_equal(found, expected)


@pytest.mark.usefixtures("threads_restored")
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("case", SEVERAL)
class TestCases:
    def test_exact_and_run(self, case, layout, always):
        x, w, b = arrays(case, layout, "float32", np.random.default_rng(0))
        expected = run(case, layout, x, w, b, algorithm="im2col")
        np.testing.assert_array_equal(run(case, layout, x, w, b, algorithm="direct"), expected)
        assert always.call_count == 1

    def test_passes_of_fewer_images(self, case, layout, always, monkeypatch):
        x, w, b = arrays(case, layout, "float32", np.random.default_rng(1))
        expected = run(case, layout, x, w, b, algorithm="im2col")
        window = 4 * (x.size + expected.size) // len(x)
        monkeypatch.setattr(across, "_MOST_BYTES", 6 * window)
        nbc.release_memory()
        found = run(case, layout, x, w, b, algorithm="direct")
        np.testing.assert_array_equal(found, expected)
        assert [call.args[0].images for call in always.call_args_list] == [6, 6, 5]

    def test_neither_threads_nor_images_change_a_bit(self, case, layout, always):
        x, w, b = arrays(case, layout, "float32", np.random.default_rng(2), noise)
        found = []
        for count in (1, numba.config.NUMBA_NUM_THREADS):
            numba.set_num_threads(count)
            found.append(run(case, layout, x, w, b, algorithm="direct"))
        np.testing.assert_array_equal(*found)
        assert always.call_count == 2
        for first, stop in ((0, 1), (3, 5), (4, 17)):
            some = run(case, layout, x[first:stop], w, b, algorithm="direct")
            np.testing.assert_array_equal(some, found[0][first:stop])

    def test_awkward_arrays(self, case, layout, always):
        x, w, b = arrays(case, layout, "float32", np.random.default_rng(3))
        expected = run(case, layout, x, w, b, algorithm="im2col")
        padded = np.full([n + 2 for n in x.shape], np.nan, x.dtype)
        inner = padded[tuple(slice(1, -1) for _ in x.shape)]
        inner[...] = x
        spread = np.full((2 * len(x), *x.shape[1:]), np.nan, x.dtype)[::2]
        spread[...] = x
        for other in (inner, spread, x[::-1].copy()[::-1], x.astype(">f4"), np.asfortranarray(x)):
            found = run(case, layout, other, w, b, algorithm="direct")
            np.testing.assert_array_equal(found, expected)

    def test_prepared_and_jitted(self, case, layout, always):
        x, w, b = arrays(case, layout, "float32", np.random.default_rng(4))
        expected = run(case, layout, x, w, b, algorithm="im2col")
        make = nbc.Conv1d if len(case.size) == 1 else nbc.Conv2d
        function = nbc.conv1d if len(case.size) == 1 else nbc.conv2d
        options = dict(case.window, groups=case.groups, layout=layout, algorithm="direct")
        layer = make(w, b, **options)
        stride, padding, dilation = (options[n] for n in ("stride", "padding", "dilation"))
        groups = case.groups

        @numba.njit
        def jitted(x, w, b):
            return function(
                x, w, b, stride, padding, dilation, groups, layout=layout, algorithm="direct"
            )

        for n in (17, 4, 17, 1):  # what was recorded of one number of images is not another's
            for _ in range(4):
                np.testing.assert_array_equal(layer(x[:n]), expected[:n])
                np.testing.assert_array_equal(jitted(x[:n], w, b), expected[:n])
        assert always.called


def gathered(case, images, layout="channels_first", dtype="f4"):
    shapes = case.x_shape, case.weight_shape
    options = ConvOptions(ndim=len(case.size), **case.window, groups=case.groups)
    geometry = replace(ConvGeometry.parse(options, *shapes), batch=images)
    plan = pixels.Plan(geometry, np.dtype(dtype))
    return plan.across(images, 2)


def test_neighbours_that_need_other_taps_are_not_in_a_tile():
    """Of 9 taps, on 13x7 with a dilation of 6, a position needs 2.67 on average."""
    case = SEVERAL[0]
    made = gathered(case, 8)
    assert made.gain > 1.05
    form = made.tiles.form(True)
    assert form.pixels == 8
    assert form.terms / case.channels == pytest.approx((9 / 7) * (27 / 13))


def test_what_does_not_pay_is_left_alone():
    large = Case(1, 64, 64, 1, (56, 56), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1))
    assert gathered(large, 8) is None
    assert gathered(SEVERAL[0], 3) is None  # too few images


def test_long_sums_keep_their_parts():
    """Sums of parts depend on which taps are left out, so images must not share tiles there."""
    long = Case(8, 512, 20, 1, (7, 7), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1))
    with mock.patch.object(across, "LEAST_GAIN", 0):
        assert gathered(long, 8) is None
        assert gathered(long, 8, dtype="i4") is not None


def test_runs_along_rows_stay_so():
    """They sum in another order than those along channels."""
    strip = Case(8, 9, 33, 1, (5, 17), (1, 21), (1, 1), ((0, 0), (10, 10)), (1, 1))
    with mock.patch.object(across, "LEAST_GAIN", 0):
        assert gathered(strip, 8) is None
        assert gathered(replace(strip, channels=21), 8) is not None


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("value", [np.inf, np.nan])
def test_weights_that_are_not_finite(value, layout, always):
    """Infinity times padding is NaN, so no tap is left out."""
    case = SEVERAL[0]
    x, w, b = arrays(case, layout, "float32", np.random.default_rng(5))
    w[w == w.max()] = value
    expected = run(case, layout, x, w, b, algorithm="im2col")
    found = run(case, layout, x, w, b, algorithm="direct")
    np.testing.assert_array_equal(found, expected)
    assert not always.called


@pytest.mark.parametrize("layout", LAYOUTS)
def test_input_gradients(layout, always):
    """Their phases read, and write, parts of arrays."""
    case = SEVERAL[0]
    x, w, _ = arrays(case, layout, "float32", np.random.default_rng(6))
    y = run(case, layout, x, w, None, algorithm="im2col")
    options = {**case.window, "layout": layout}
    found = nbc.conv2d_input_grad(x.shape, w, y, **options, algorithm="direct")
    expected = nbc.conv2d_input_grad(x.shape, w, y, **options, algorithm="im2col")
    np.testing.assert_array_equal(found, expected)
    assert always.called
