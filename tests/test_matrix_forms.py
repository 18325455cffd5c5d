"""im2col and col2im in every form: how strips are read, written, turned and summed."""

from unittest import mock

import naive
import numpy as np
import pytest
from problems import Case, noise, small_integers
from test_im2col import FORMS, folded, oracle, to_form, unfolded

from numbaconv.reference import fold_strips, gather

# (channels, size, kernel, stride, padding, dilation)
WINDOWS = {
    "wide rows are cut": (2, (2300,), (5,), (1,), ((2, 1),), (1,)),
    "wide rows are cut, stride 3": (3, (4001,), (4,), (3,), ((1, 2),), (1,)),
    "taps far apart": (2, (60,), (4,), (1,), ((0, 0),), (13,)),
    "same size": (17, (19, 33), (3, 5), (1, 1), ((1, 1), (2, 2)), (1, 1)),
    "no padding": (9, (20, 37), (5, 4), (1, 1), ((0, 0), (0, 0)), (1, 1)),
    "stride 2": (40, (21, 38), (3, 3), (2, 2), ((1, 1), (1, 0)), (1, 1)),
    "strides of their own": (3, (25, 40), (3, 5), (3, 2), ((2, 0), (1, 3)), (1, 1)),
    "stride and dilation": (5, (25, 41), (3, 3), (4, 6), ((2, 1), (3, 0)), (2, 4)),
    "pairs": (6, (12, 34), (2, 2), (2, 2), ((0, 0), (0, 0)), (1, 1)),
    "quadruples of a part": (3, (13, 30), (4, 4), (4, 4), ((0, 0), (0, 0)), (1, 1)),
    "patches": (3, (48, 65), (16, 16), (16, 16), ((0, 0), (0, 0)), (1, 1)),
    "patches, padded": (3, (40, 50), (16, 16), (16, 16), ((8, 8), (7, 7)), (1, 1)),
    "holes": (9, (23, 45), (2, 1), (5, 3), ((1, 0), (0, 0)), (1, 1)),
    "narrow": (33, (7, 7), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1)),
    "column": (4, (30, 20), (7, 1), (1, 1), ((3, 3), (0, 0)), (1, 1)),
    "runs": (2, (12, 40), (2, 17), (1, 1), ((1, 0), (3, 2)), (1, 1)),
    "volume": (4, (6, 7, 18), (3, 3, 3), (1, 1, 1), ((1, 1), (1, 0), (1, 1)), (1, 1, 1)),
    "volume, stride 2": (9, (6, 8, 20), (2, 2, 2), (2, 2, 2), ((0, 0),) * 3, (1, 1, 1)),
    "volume, narrow": (3, (5, 4, 5), (3, 2, 3), (2, 1, 1), ((1, 1), (0, 1), (1, 1)), (1, 2, 1)),
}


@pytest.fixture
def rng():
    return np.random.default_rng(11)


def case_of(name, mode="zeros"):
    channels, size, kernel, stride, padding, dilation = WINDOWS[name]
    return Case(2, channels, 1, 1, size, kernel, stride, padding, dilation, mode)


def check(case, dtype, rng, parallel=True):
    x = small_integers(rng, case.x_shape, dtype)
    plain = oracle(x, case)
    values = small_integers(rng, plain.shape, dtype)
    sums = naive.col2im(values, case.size, case.kernel, case.stride, case.padding, case.dilation)
    for layout, patches in FORMS:
        keywords = {"patches": patches, "parallel": parallel}
        cols = unfolded(np.ascontiguousarray(x), case, layout, **keywords)
        np.testing.assert_array_equal(cols, to_form(plain, case, layout, patches))
        if case.mode == "zeros":
            given = np.ascontiguousarray(to_form(values, case, layout, patches))
            np.testing.assert_array_equal(folded(given, case, layout, **keywords), sums)


@pytest.mark.parametrize("name", WINDOWS)
def test_windows_of_every_kind(name, rng):
    check(case_of(name), "float32", rng)


@pytest.mark.parametrize("name", ["stride 2", "pairs"])
def test_elements_of_another_size(name, rng):
    check(case_of(name), "int8", rng, parallel=False)


@pytest.mark.parametrize("mode", ["reflect", "symmetric"])
def test_padding_that_is_read(mode, rng):
    for name in ("strides of their own", "stride 2", "same size", "runs"):
        check(case_of(name, mode), "float32", rng)


def test_matrices_beyond_the_caches(rng, monkeypatch):
    monkeypatch.setattr(gather, "_STREAMED_BYTES", 1)
    for name in ("same size", "stride 2", "pairs", "narrow", "runs", "volume", "wide rows are cut"):
        channels, size, kernel, stride, padding, dilation = WINDOWS[name]
        size = (*size[:-1], size[-1] + 4)  # a size whose plan is not remembered yet
        check(
            Case(2, channels, 1, 1, size, kernel, stride, padding, dilation), "float32", rng
        )  # fmt: skip


def test_sums_have_the_bits_of_the_plain_loops(rng):
    for name in WINDOWS:
        case = case_of(name)
        cols = noise(rng, oracle(np.zeros(case.x_shape), case).shape, "float32")
        cols[cols < -0.9] = -0.0
        for layout, patches in FORMS:
            given = np.ascontiguousarray(to_form(cols, case, layout, patches))
            sums = folded(given, case, layout, patches=patches)
            with mock.patch.object(fold_strips, "fits", return_value=False):
                plain = folded(given, case, layout, patches=patches)
            assert sums.tobytes() == plain.tobytes(), (name, layout, patches)


def test_one_thread_writes_what_two_write(rng):
    for name in ("same size", "stride 2", "patches", "volume"):
        case = case_of(name)
        x = noise(rng, case.x_shape, "float32")
        for layout, patches in FORMS:
            two, one = (
                unfolded(x, case, layout, patches=patches, parallel=parallel)
                for parallel in (True, False)
            )
            assert two.tobytes() == one.tobytes()
            sums = [
                folded(two, case, layout, patches=patches, parallel=parallel)
                for parallel in (True, False)
            ]
            assert sums[0].tobytes() == sums[1].tobytes()
