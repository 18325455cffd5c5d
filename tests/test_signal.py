"""SciPy's doors: the same results, signatures and errors as scipy.signal; SciPy patched."""

import inspect

import numpy as np
import pytest
import scipy.ndimage
import scipy.signal
from hypothesis import given, settings
from hypothesis import strategies as st
from test_ndimage import assert_same

import numbaconv as nbc
from numbaconv import ndimage, signal

DTYPES = ("f4", "f8", "u1", "i2", "i4", "i8", "u4", "c8", "c16", ">f8")
NAMES = ("convolve", "correlate", "convolve2d", "correlate2d")


def both(name, *args, **kwargs):
    """Return the results of ours and of SciPy's, or the errors."""
    found = []
    for module in (signal, scipy.signal):
        try:
            found.append(getattr(module, name)(*args, **kwargs))
        except Exception as error:
            found.append(error)
    return found


def draw_array(data, ndim, most):
    shape = tuple(data.draw(st.integers(1, most)) for _ in range(ndim))
    dtype = np.dtype(data.draw(st.sampled_from(DTYPES)))
    rng = np.random.default_rng(data.draw(st.integers(0, 999)))
    x = rng.integers(0, 9, shape).astype(dtype)
    return x + 1j * rng.integers(0, 9, shape).astype(dtype) if dtype.kind == "c" else x


@settings(max_examples=150)
@given(st.data())
def test_images(data):
    x, w = draw_array(data, 2, 12), draw_array(data, 2, 6)
    mode = data.draw(st.sampled_from(["full", "same", "valid"]))
    boundary = data.draw(st.sampled_from(["fill", "wrap", "symm"]))
    fill = data.draw(st.sampled_from([0, 0, 3]))
    for name in ("convolve2d", "correlate2d"):
        assert_same(*both(name, x, w, mode, boundary, fill), units=0)
        assert_same(*both(name, w, x, mode, boundary, fill), units=0)


@settings(max_examples=150)
@given(st.data())
def test_arrays(data):
    ndim = data.draw(st.integers(1, 4))
    x, w = draw_array(data, ndim, 9), draw_array(data, ndim, 5)
    mode = data.draw(st.sampled_from(["full", "same", "valid"]))
    for name in ("convolve", "correlate"):
        assert_same(*both(name, x, w, mode, "direct"), units=0)
        # SciPy may transform each array in its own precision, whatever the result's is.
        own = [np.finfo(a.dtype).eps for a in (x, w) if a.dtype.kind in "fc"]
        units = 8 * max(own, default=np.finfo("f8").eps) / np.finfo("f8").eps
        ours, theirs = both(name, w, x, mode)
        single = getattr(theirs, "dtype", None) in ("f4", "c8")
        assert_same(ours, theirs, units=8 if single else units)


def test_random_floats_and_long_arrays():
    rng = np.random.default_rng(0)
    for dtype in ("f4", "f8"):
        x, w = rng.standard_normal(30_000).astype(dtype), rng.standard_normal(99).astype(dtype)
        expected = scipy.signal.convolve(x.astype("f8"), w.astype("f8"), method="direct")
        found = signal.convolve(x, w)
        assert found.dtype == dtype
        scale = np.abs(w).sum() * 5 * np.finfo(dtype).eps
        np.testing.assert_allclose(found, expected, rtol=0, atol=scale)
    image, kernel = rng.standard_normal((90, 80)), rng.standard_normal((15, 12))
    assert_same(*both("convolve2d", image, kernel, "same", "symm"), units=30)


@pytest.mark.parametrize(
    ("name", "arguments", "why"),
    [
        ("convolve2d", (np.ones((3, 3)), np.ones((2, 2)), "full", "fill", 1), "fillvalue is 1"),
        ("convolve2d", (np.ones((3, 3)), np.ones((4, 4)), "same"), "longer"),
        ("convolve", (np.ones(9), np.ones(3), "full", "fft"), "method is 'fft'"),
        ("convolve", (np.ones(9999), np.ones(9000)), "method 'auto' is 'fft'"),
        ("correlate", (np.ones((2,) * 4), np.ones((2,) * 4)), "shape"),
        ("convolve", (np.ones(9, bool), np.ones(3)), "dtype bool"),
        ("correlate", (np.arange(4.0), np.array([np.inf, 1]), "same"), "not finite"),
    ],
)
def test_what_is_handed_to_scipy(name, arguments, why, caplog):
    assert why in signal.route(getattr(signal, name), *arguments)
    with caplog.at_level("DEBUG", "numbaconv.signal"):
        assert_same(*both(name, *arguments), units=30)
    assert why in caplog.text


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("convolve", (np.ones(3), np.ones((2, 2)))),
        ("convolve", (np.ones(3), np.ones(2), "middle")),
        ("correlate", (np.ones(3), np.ones(2), "full", "quick")),
        ("convolve2d", (np.ones(3), np.ones(2))),
        ("convolve2d", (np.ones((3, 3)), np.ones((2, 2)), "full", "mirror")),
        ("correlate2d", (np.ones((3, 6)), np.ones((5, 4)), "valid")),
    ],
)
def test_errors_are_scipys(name, arguments):
    ours, theirs = both(name, *arguments)
    assert isinstance(theirs, Exception)
    assert_same(ours, theirs)


@pytest.mark.parametrize("name", [*NAMES, "choose_conv_method"])
def test_signatures(name):
    ours = dict(inspect.signature(getattr(signal, name)).parameters)
    theirs = inspect.signature(getattr(scipy.signal, name)).parameters
    last = ours.pop("parallel")
    assert (last.kind, last.default) == (inspect.Parameter.KEYWORD_ONLY, True)
    assert [(p.name, p.kind, p.default) for p in ours.values()] == [
        (p.name, p.kind, p.default) for p in theirs.values()
    ]


def test_the_choice_is_scipys():
    x = np.ones(99)
    assert signal.choose_conv_method(x, x) == scipy.signal.choose_conv_method(x, x)
    assert signal.route(signal.convolve, x, x[:9]) == "numbaconv"
    with pytest.raises(ValueError, match="function must be one of"):
        signal.route(scipy.signal.convolve, x, x)


class TestPatched:
    def test_there_and_back(self):
        before = {name: getattr(scipy.ndimage, name) for name in ndimage.__all__ if name != "route"}
        with nbc.patch_scipy():
            for name in before:
                assert getattr(scipy.ndimage, name) is getattr(ndimage, name)
            for name in NAMES:
                assert getattr(scipy.signal, name) is getattr(signal, name)
            # What is SciPy's still reaches SciPy.
            footprint = np.array([[1, 0], [1, 1]])
            found = scipy.ndimage.maximum_filter(np.eye(4), footprint=footprint)
            large = scipy.signal.convolve(np.ones(9000), np.ones(9000))
        assert {name: getattr(scipy.ndimage, name) for name in before} == before
        np.testing.assert_array_equal(
            found, scipy.ndimage.maximum_filter(np.eye(4), footprint=footprint)
        )
        np.testing.assert_allclose(large, scipy.signal.convolve(np.ones(9000), np.ones(9000)))

    def test_one_inside_another(self):
        own = scipy.ndimage.sobel
        nbc.patch_scipy()
        with nbc.patch_scipy():
            pass
        assert scipy.ndimage.sobel is ndimage.sobel
        nbc.unpatch_scipy()
        assert scipy.ndimage.sobel is own

    def test_it_ends_after_an_error(self):
        own = scipy.ndimage.sobel
        with pytest.raises(RuntimeError, match="on purpose"), nbc.patch_scipy():
            raise RuntimeError("on purpose")
        assert scipy.ndimage.sobel is own
        nbc.unpatch_scipy()
        assert scipy.ndimage.sobel is own
