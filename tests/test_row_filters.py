"""Filters of planes as they lie, against SciPy and conv2d."""

import numpy as np
import pytest
from scipy import ndimage

import numbaconv as nbc
from numbaconv.filtering import planes
from numbaconv.filtering.planes import PlaneWindow, Taps, filter_planes, sums_dtype
from numbaconv.filtering.rounding import rounded, unwrapped
from numbaconv.kernels import threads

# How SciPy calls what lies beyond an edge.
MODES = {
    "zeros": "constant", "reflect": "mirror", "replicate": "nearest", "circular": "wrap",
    "symmetric": "reflect",
}  # fmt: skip


@pytest.fixture
def rng():
    return np.random.default_rng(20261127)


def taps_of(rng, separable, magnitude, size=(3, 4)):
    count = 2 if magnitude else 1
    if separable:
        return Taps(
            rng.integers(-3, 4, (count, size[0], 1)).astype(float),
            rng.integers(-3, 4, (count, 1, size[1])).astype(float), magnitude,
        )  # fmt: skip
    return Taps(rng.integers(-3, 4, (count, *size)).astype(float), None, magnitude)


def expected_of(x, taps, mode):
    """Correlate each channel of each plane with SciPy, whose even kernels lie one later."""
    found = np.empty((len(taps.kernels), *x.shape))
    origin = [-1 if n % 2 == 0 else 0 for n in taps.size]
    for m, kernel in enumerate(taps.kernels):
        for p, c in np.ndindex(x.shape[0], x.shape[3]):
            found[m, p, ..., c] = ndimage.correlate(
                x[p, ..., c].astype(float), kernel, mode=MODES[mode], origin=origin
            )
    return np.sqrt(np.square(found).sum(axis=0)) if taps.magnitude else found[0]


@pytest.mark.parametrize(
    ("dtype", "parallel"),
    [("uint8", False), ("uint8", True), ("int16", False), ("float32", False), ("uint32", False),
     ("float64", False)], indirect=["parallel"],
)  # fmt: skip
@pytest.mark.parametrize("mode", MODES)
def test_borders_and_types(dtype, mode, parallel, rng):
    for separable in (False, True):
        for magnitude in (False, True):
            x = rng.integers(0, 100, (2, 37, 23, 3)).astype(dtype)
            taps = taps_of(rng, separable, magnitude)
            sums = sums_dtype(x.dtype, taps)
            y = filter_planes(x, taps, PlaneWindow(padding_mode=mode), sums, parallel=parallel)
            assert y.dtype == dtype
            expected = expected_of(x, taps, mode)
            if x.dtype.kind in "iu":
                info = np.iinfo(dtype)
                expected = np.rint(expected).clip(info.min, info.max)
            np.testing.assert_allclose(y, expected, rtol=2e-6)


@pytest.mark.parametrize(
    ("stride", "padding", "dilation"),
    [(2, 1, 2), (3, "same", 1), (2, "valid", 3), (1, 9, 1), (3, "same_lower", 2), (5, 0, 1)],
)
def test_windows_are_those_of_conv2d(stride, padding, dilation, parallel, rng):
    x = rng.integers(0, 100, (3, 21, 26, 2)).astype("uint8")
    for size in ((3, 3), (4, 2), (1, 5)):
        taps = taps_of(rng, False, False, size)
        for mode in MODES:
            y = filter_planes(
                x,
                taps,
                PlaneWindow(stride, padding, mode, dilation),
                np.dtype("f4"),
                parallel=parallel,
            )
            weight = np.tile(taps.kernels.transpose(1, 2, 0)[:, :, None], (1, 1, 1, 2))
            expected = nbc.conv2d(
                x.astype(float), weight, stride=stride, padding=padding, dilation=dilation,
                padding_mode=mode, groups=2, layout="channels_last",
            )  # fmt: skip
            np.testing.assert_array_equal(y, expected.clip(0, 255))


def test_bands_are_the_whole(rng, monkeypatch):
    monkeypatch.setattr(planes, "_LEAST_ROWS", 2)
    monkeypatch.setattr(threads, "_SERIAL_WORK", 0)
    x = rng.integers(0, 256, (1, 101, 15, 3)).astype("uint8")
    taps = taps_of(rng, True, False, (9, 5))
    for stride in (1, 2, 12):
        found = [
            filter_planes(x, taps, PlaneWindow(stride), np.dtype("f4"), parallel=parallel)
            for parallel in (False, True)
        ]
        np.testing.assert_array_equal(*found)


def test_long_rows_are_summed_in_pieces(rng):
    x = rng.integers(0, 256, (1, 3, 5000, 1)).astype("uint8")
    for separable in (False, True):
        taps = taps_of(rng, separable, False, (3, 7))
        y = filter_planes(x, taps, PlaneWindow(), np.dtype("f4"), parallel=False)
        np.testing.assert_array_equal(y, expected_of(x, taps, "replicate").clip(0, 255))


def test_nan_and_infinity_meet_taps_of_zero():
    x = np.zeros((1, 5, 5, 1), "f4")
    x[0, 2, 2] = np.inf
    taps = Taps(np.array([[[0, 0, 0], [0, 1, 0], [0, 0, 0.0]]]))
    y = filter_planes(x, taps, PlaneWindow(), np.dtype("f4"), parallel=False)[0, ..., 0]
    assert np.isnan(y[1:4, 1:4]).sum() == 8
    assert y[2, 2] == np.inf


@pytest.mark.parametrize(
    ("dtype", "weights", "sums"),
    [
        ("uint8", [1, -2], "float32"), ("uint16", [1, -2], "float32"),
        ("uint16", [200, 200], "float64"), ("uint16", [0.1, 200], "float32"),
        ("float16", [1, 1], "float32"), ("float32", [1, 1], "float32"),
        ("int32", [1, 1], "float64"), ("float64", [1, 1], "float64"), ("bool", [1, 1], "float32"),
    ],
)  # fmt: skip
def test_sums_are_exact_where_that_is_promised(dtype, weights, sums):
    assert sums_dtype(np.dtype(dtype), Taps(np.array([[weights]], float))) == sums


def test_a_kernel_that_does_not_fit():
    with pytest.raises(ValueError, match=r"a kernel of 9 .* does not fit into 4 pixels"):
        PlaneWindow(1, 0).outputs(4, 9)


class TestRounding:
    def test_bools_have_a_threshold(self):
        found = rounded(np.array([-3.0, 0.49, 0.5, 2]), np.dtype(bool))
        np.testing.assert_array_equal(found, [False, False, True, True])

    def test_halves_go_to_even_and_far_values_to_the_bounds(self):
        for dtype in ("uint8", "int16", "int64", "uint64"):
            info = np.iinfo(dtype)
            found = rounded(np.array([0.5, 1.5, 2.5, -1e30, 1e30]), np.dtype(dtype))
            assert found.tolist() == [0, 2, 2, info.min, info.max]

    @pytest.mark.parametrize("dtype", ["int64", "uint64"])
    def test_sums_that_wrapped_around(self, dtype):
        info = np.iinfo(dtype)
        sums = [
            info.max, info.max - 1, info.max + 1, info.max + 12345, info.max * 5, info.min,
            info.min - 1, info.min * 7 - 99, 0, 5,
        ]  # fmt: skip
        wrapped = np.array([(s - info.min) % 2**64 + info.min for s in sums], dtype)
        found = unwrapped(wrapped, np.array(sums, float))
        assert found.tolist() == [min(max(s, int(info.min)), int(info.max)) for s in sums]
