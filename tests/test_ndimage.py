"""SciPy's doors: the same results, signatures and errors as scipy.ndimage."""

import inspect
import sys
import warnings
from pathlib import Path

import children
import numpy as np
import pytest
import scipy
import scipy.ndimage
from hypothesis import given, settings
from hypothesis import strategies as st
from problems import AWKWARD

from numbaconv import ndimage
from numbaconv.filtering import strips

NAMES = [name for name in ndimage.__all__ if name != "route"]
MODES = (
    "reflect", "mirror", "nearest", "wrap", "constant", "grid-mirror", "grid-wrap",
    "grid-constant",
)  # fmt: skip
DTYPES = ("f4", "f8", "u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8")
SCIPY = tuple(map(int, scipy.__version__.split(".")[:2]))


def both(name, *args, parallel=True, **kwargs):
    """Return the results of ours and of SciPy's, or the errors."""
    found = []
    for function, more in (
        (getattr(ndimage, name), {"parallel": parallel}),
        (getattr(scipy.ndimage, name), {}),
    ):
        copied = [a.copy() if isinstance(a, np.ndarray) else a for a in args]
        output = kwargs.get("output")
        given = kwargs | ({"output": output.copy()} if isinstance(output, np.ndarray) else {})
        try:
            found.append(function(*copied, **given, **more))
        except Exception as error:
            found.append(error)
    return found


def assert_same(ours, theirs, units=2):
    """Compare: whole numbers exactly, floats to some units in the last place of sums."""
    assert type(ours) is type(theirs)
    if isinstance(theirs, Exception):
        assert str(ours) == str(theirs)
        return
    assert (ours.shape, ours.dtype) == (theirs.shape, theirs.dtype)
    if ours.dtype.kind in "iub" or units == 0:
        np.testing.assert_array_equal(ours, theirs)
        return
    part = ours.real.dtype
    size = np.abs(theirs[np.isfinite(theirs)]).max(initial=1)
    np.testing.assert_allclose(
        ours, theirs, rtol=units * np.finfo(part).eps, atol=units * np.finfo(part).eps * float(size)
    )


@st.composite
def images(draw, ndim=(1, 3)):
    """Draw an array of any of SciPy's dtypes, some of them small, empty or one element long."""
    shape = tuple(
        draw(st.lists(st.one_of(st.integers(1, 24), st.integers(0, 2)), min_size=ndim[0],
                      max_size=ndim[1]))
    )  # fmt: skip
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    dtype = np.dtype(draw(st.sampled_from(DTYPES)))
    if dtype.kind == "f":
        return (rng.standard_normal(shape) * 50).astype(dtype)
    low = 0 if dtype.kind == "u" else -100
    return rng.integers(low, 100 if dtype.itemsize == 1 else 1000, shape).astype(dtype)


def output_of(draw, x):
    """Draw what the result is, within what the results of these tests can be."""
    return draw(st.sampled_from([None, None, x.dtype, "f8", np.float32, np.zeros(x.shape, "f8")]))


@st.composite
def windows(draw, size):
    """Draw an origin that leaves a tap in the middle of so many."""
    return draw(st.integers(-(size // 2), (size - 1) // 2))


@settings(max_examples=150)
@given(st.data())
def test_sums_along_one_axis(data):
    x = data.draw(images())
    size = data.draw(st.integers(1, 9))
    w = np.random.default_rng(size).standard_normal(size)
    shape = data.draw(st.sampled_from(["any", "symmetric", "antisymmetric", "whole"]))
    if shape == "whole":
        w = np.round(w * 3)
    elif shape != "any":
        w = (w + w[::-1] if shape == "symmetric" else w - w[::-1]) / 4
    options = {
        "axis": data.draw(st.integers(-x.ndim, x.ndim - 1)),
        "output": output_of(data.draw, x), "mode": data.draw(st.sampled_from(MODES)),
        "cval": data.draw(st.sampled_from([0.0, 3.0, 0.5, -1.0])),
        "origin": data.draw(windows(size)),
    }  # fmt: skip
    parallel = data.draw(st.booleans())
    for name in ("correlate1d", "convolve1d"):
        assert_same(*both(name, x, w, **options, parallel=parallel), units=0)


@settings(max_examples=150)
@given(st.data())
def test_sums_over_windows(data):
    x = data.draw(images())
    sizes = [data.draw(st.integers(1, 5)) for _ in range(x.ndim)]
    rng = np.random.default_rng(data.draw(st.integers(0, 999)))
    w = rng.standard_normal(sizes)
    w[rng.random(sizes) < 0.2] = 0
    options = {
        "output": output_of(data.draw, x), "mode": data.draw(st.sampled_from(MODES)),
        "cval": data.draw(st.sampled_from([0.0, 3.0, 0.5])),
        "origin": [data.draw(windows(n)) for n in sizes],
    }  # fmt: skip
    parallel = data.draw(st.booleans())
    for name in ("correlate", "convolve"):
        assert_same(*both(name, x, w, **options, parallel=parallel), units=0)


@settings(max_examples=150)
@given(st.data())
def test_gaussians(data):
    x = data.draw(images())
    sigma = [data.draw(st.sampled_from([0, 0.4, 1, 2.5])) for _ in range(x.ndim)]
    order = [data.draw(st.sampled_from([0, 0, 0, 1, 2, 3])) for _ in range(x.ndim)]
    options = {
        "order": order, "mode": [data.draw(st.sampled_from(MODES)) for _ in range(x.ndim)],
        "cval": data.draw(st.sampled_from([0.0, 3.0])), "output": output_of(data.draw, x),
        "truncate": data.draw(st.sampled_from([4.0, 2.0])),
    }  # fmt: skip
    assert_same(*both("gaussian_filter", x, sigma, **options), units=4)
    one = {**options, "order": order[0], "mode": options["mode"][0]}
    assert_same(*both("gaussian_filter1d", x, 1.3, **one), units=4)


@settings(max_examples=150)
@given(st.data())
def test_means_and_extremes(data):
    x = data.draw(images())
    sizes = [data.draw(st.integers(1, 9)) for _ in range(x.ndim)]
    options = {
        "mode": [data.draw(st.sampled_from(MODES)) for _ in range(x.ndim)],
        "cval": data.draw(st.sampled_from([0.0, 3.0])),
        "origin": [data.draw(windows(n)) for n in sizes],
    }  # fmt: skip
    parallel = data.draw(st.booleans())
    for name in ("maximum_filter", "minimum_filter"):
        assert_same(*both(name, x, sizes, **options, parallel=parallel), units=0)
    options["output"] = output_of(data.draw, x)
    assert_same(*both("uniform_filter", x, sizes, **options, parallel=parallel), units=8)
    one = {
        "mode": options["mode"][-1], "origin": options["origin"][-1], "cval": options["cval"],
    }  # fmt: skip
    for name in ("maximum_filter1d", "minimum_filter1d"):
        assert_same(*both(name, x, sizes[-1], **one), units=0)
    assert_same(*both("uniform_filter1d", x, sizes[-1], **one), units=8)


@settings(max_examples=100)
@given(st.data())
def test_derivatives(data):
    x = data.draw(images())
    options = {
        "mode": data.draw(st.sampled_from(MODES)), "cval": data.draw(st.sampled_from([0.0, 3.0])),
        "output": output_of(data.draw, x),
    }  # fmt: skip
    for axis in range(x.ndim):
        for name in ("prewitt", "sobel"):
            assert_same(*both(name, x, axis, **options), units=2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # roots of what has wrapped
        assert_same(*both("laplace", x, **options), units=2)
        assert_same(*both("gaussian_laplace", x, 1.2, **options), units=8)
        assert_same(*both("gaussian_gradient_magnitude", x, 1.2, **options), units=8)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype", ["f4", "f8", "u1", "i2", "u8"])
def test_rows_that_are_summed_several_at_once(dtype, mode):
    """Blocks of rows, the rows that are left, and every kind of sum that has blocks."""
    rng = np.random.default_rng(7)
    images = [(rng.random(shape) * 200).astype(dtype) for shape in ((131, 83), (9, 131, 21))]
    for x in images:
        for size in (2, 3, 4, 5, 6, 9, 12, 25):
            w = rng.standard_normal(size)
            for weights in (w, w + w[::-1], w - w[::-1]):
                for origin in (0, size // 2 - 1):
                    assert_same(
                        *both("correlate1d", x, weights, axis=-2, mode=mode, origin=origin, cval=2),
                        units=0,
                    )
        sizes = [(1, 5), (2, 3), (3, 3), (4, 2), (5, 1), (7, 6)]
        for size in sizes:
            weights = rng.standard_normal((2, *size)[-x.ndim :])
            origin = [0] * x.ndim
            for origin[-2] in (0, -(size[0] // 2)):
                assert_same(
                    *both("correlate", x, weights, mode=mode, origin=origin, cval=2), units=0
                )
        assert_same(*both("gaussian_filter", x, 2.5, mode=mode, cval=2), units=0)


@pytest.mark.parametrize("size", [11, 15, 16, 17, 23, 31, 32, 63, 64, 100])
@pytest.mark.parametrize("dtype", ["f4", "f8", "u1", "i4"])
def test_long_means(dtype, size):
    """Sums of equal weights along a row are doubled; of cells of a last axis, too."""
    rng = np.random.default_rng(size)
    # SciPy's running sums have lost some units in float64 by the end of a row.
    units = 40 if dtype == "f8" else 2
    for shape in ((70, 131), (70, 60, 3), (300,), (5, 40, 131)):
        x = (rng.random(shape) * 200).astype(dtype)
        axes = {"axes": (0, 1)} if len(shape) == 3 and SCIPY >= (1, 16) else {}
        options = {"size": size, "mode": "mirror"} | axes
        assert_same(*both("uniform_filter", x, **options), units=units)
        for axis in range(x.ndim):
            options = {"size": size, "axis": axis, "origin": 3 - size // 3, "mode": "wrap"}
            assert_same(*both("uniform_filter1d", x, **options), units=units)


@pytest.mark.skipif(SCIPY < (1, 16), reason="axes of all filters are new")
@pytest.mark.parametrize("axes", [(0, 1), (1,), (2, 0), (-1, 1), 0, ()])
def test_some_axes(axes):
    x = np.random.default_rng(0).integers(0, 99, (12, 9, 3)).astype("f4")
    count = len(np.atleast_1d(axes)) if axes != () else 0
    assert_same(*both("gaussian_filter", x, 1.5, axes=axes), units=2)
    assert_same(*both("uniform_filter", x, 3, axes=axes), units=4)
    assert_same(*both("maximum_filter", x, 3, axes=axes), units=0)
    if count:
        w = np.arange(1.0, 1 + 3**count).reshape((3,) * count)
        for name in ("correlate", "convolve"):
            assert_same(*both(name, x, w, axes=axes), units=0)
            assert_same(*both(name, x, w[:2], axes=axes, origin=-1), units=0)
        assert_same(*both("gaussian_laplace", x, 1.5, axes=axes), units=4)
        assert_same(*both("laplace", x, axes=axes), units=2)


@pytest.mark.parametrize("name", AWKWARD)
def test_awkward_arrays(name):
    hold = AWKWARD[name]
    x = np.random.default_rng(0).standard_normal((31, 23)).astype("f4")
    for call in (
        lambda x, **kw: ndimage.gaussian_filter(x, 2, **kw),
        lambda x, **kw: ndimage.correlate(x, np.arange(9).reshape(3, 3), **kw),
        lambda x, **kw: ndimage.maximum_filter(x, 5, **kw),
        lambda x, **kw: ndimage.sobel(x, 0, **kw),
    ):
        plain = call(x)
        np.testing.assert_array_equal(call(hold(x)), plain)
        if name != "read-only":
            out = hold(np.zeros_like(x))
            assert call(x, output=out) is out
            np.testing.assert_array_equal(out, plain)


@pytest.mark.parametrize("dtype", ["c8", "c16"])
def test_complex_arrays(dtype):
    rng = np.random.default_rng(0)
    x = (rng.standard_normal((13, 17)) + 1j * rng.standard_normal((13, 17))).astype(dtype)
    for name, arguments in (
        ("gaussian_filter", (1.5,)), ("correlate", (rng.random((3, 5)),)), ("sobel", (0,)),
        ("convolve1d", ([1, 2, 4],)), ("uniform_filter", ((3, 4),)), ("laplace", ()),
    ):  # fmt: skip
        for mode in ("reflect", "constant"):
            options = {"mode": mode, "cval": 2.0 if name == "laplace" else 2 + 1j}
            assert_same(*both(name, x, *arguments, **options), units=4)
        out = np.zeros_like(x)
        assert getattr(ndimage, name)(x, *arguments, output=out) is out
        assert_same(out, getattr(scipy.ndimage, name)(x, *arguments), units=4)
    assert ndimage.route(ndimage.gaussian_filter, x, 2) == "numbaconv"


def test_crops_are_read_where_they_are():
    """Rows far apart, planes further: no copy of an input is made."""
    code = """
import tracemalloc
import numpy as np
from numbaconv import ndimage
x = np.random.default_rng(0).random((9, 900, 1100), "f4")
tracemalloc.start()
for part, out in (
    (x[:, 5:-5, 7:-9], np.zeros((9, 890, 1084), "f4")), (x[4, 5:, 3:], np.zeros((895, 1097), "f4")),
    (x[::2, ::-3, :-1], np.zeros((5, 300, 1099), "f4")),
    (x.reshape(8100, 1100).T, np.zeros((1100, 8100), "f4")),
    (x.reshape(8100, 1100).astype(">f4"), np.zeros((8100, 1100), "f4")),
):
    axes = (0, 1) if part.ndim == 2 else (1, 2)
    sigma = [0] * (part.ndim - 2) + [2, 2]
    size = [1] * (part.ndim - 2) + [3, 5]
    for call in (
        lambda a, **k: ndimage.gaussian_filter(a, sigma, **k),
        lambda a, **k: ndimage.correlate(a, np.ones(size), **k),
        lambda a, **k: ndimage.maximum_filter(a, size, **k),
    ):
        call(part, output=out)  # compiles
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        call(part, output=out)
        peak = tracemalloc.get_traced_memory()[1] - before
        assert peak < 16 << 20, peak
        assert np.array_equal(out, call(part.copy()))
print("good")
"""
    assert children.code(code).strip() == "good"


@pytest.mark.parametrize("mode", MODES)
def test_copied_some_rows_at_a_time(mode, monkeypatch):
    """What cannot be read as it lies: Fortran's order, every other element, another byte order."""
    monkeypatch.setattr(strips, "MOST_COPIED", 4000)
    rng = np.random.default_rng(1)
    for shape in ((60, 50), (4, 60, 11), (3, 1, 40, 9), (50, 1, 1)):
        x = (rng.random(shape) * 200).astype("f4")
        for other in (
            np.asfortranarray(x), np.repeat(x, 2, axis=-1)[..., ::2], x.astype(">f4"),
            x[..., ::-1].copy()[..., ::-1],
        ):  # fmt: skip
            options = {"mode": mode, "cval": 3}
            for axis in range(x.ndim):
                for w in (rng.standard_normal(5), [1, 2, 1]):
                    assert_same(*both("correlate1d", other, w, axis=axis, **options), units=0)
            w = rng.standard_normal((2, 3, 4, 2)[-x.ndim :])
            assert_same(*both("correlate", other, w, **options), units=0)
            assert_same(*both("gaussian_filter", other, 1.5, **options), units=0)
            assert_same(*both("uniform_filter", other, 4, **options), units=2)
            assert_same(*both("maximum_filter", other, 3, **options), units=0)


def test_in_place():
    x = np.random.default_rng(0).integers(0, 200, (40, 30)).astype("u1")
    for name, arguments in (
        ("gaussian_filter", (2,)), ("correlate", (np.ones((3, 3)) / 9,)), ("sobel", ()),
        ("uniform_filter", (5,)), ("maximum_filter", (5,)), ("convolve1d", ([1, 2, 1],)),
    ):  # fmt: skip
        expected = getattr(scipy.ndimage, name)(x, *arguments)
        y = x.copy()
        assert getattr(ndimage, name)(y, *arguments, output=y) is y
        np.testing.assert_array_equal(y, expected)
        whole = np.concatenate([x, x])
        getattr(ndimage, name)(whole[:40], *arguments, output=whole[5:45])
        np.testing.assert_array_equal(whole[5:45], expected)


def test_large_and_long(parallel):
    """Pieces of rows, strips, trailing axes, and more axes than there are kernels for."""
    rng = np.random.default_rng(0)
    for shape, name, argument in (
        ((20_001,), "gaussian_filter1d", 30),
        ((20_001,), "uniform_filter1d", 501),
        ((3, 9001), "correlate1d", rng.random(8)),
        ((9001, 3), "gaussian_filter", (4, 1)),
        ((300, 201, 3), "gaussian_filter", (2, 3, 0)),
        ((400, 301), "convolve", rng.random((7, 9))),
        ((40, 50, 30), "correlate", rng.random((3, 5, 4))),
        ((4, 5, 6, 7), "gaussian_filter", 1),
        ((4, 5, 6, 7), "correlate", rng.random((2, 3, 2, 3))),
        ((70, 60, 50), "uniform_filter", 4),
        ((3, 4, 5, 6, 7), "maximum_filter", 3),
        ((60, 50, 40), "sobel", 1),
    ):
        for dtype in ("f4", "u1"):
            x = (rng.random(shape) * 200).astype(dtype)
            assert_same(*both(name, x, argument, parallel=parallel), units=4)


@pytest.mark.skipif(SCIPY < (1, 16), reason="axes of all filters are new")
@pytest.mark.parametrize("axes", [(1, 0), (2, 0), (1, 0, 2), (0, 1)])
def test_axes_in_another_order(axes):
    ndim = 3 if len(axes) == 3 or 2 in axes else 2
    x = np.random.default_rng(0).integers(0, 255, (12, 9, 7)[:ndim]).astype("u1")
    sigma, origin = [1, 2.5, 0.7][: len(axes)], [0, 1, -1][: len(axes)]
    w = np.arange(1.0, 1 + 3 ** len(axes)).reshape((3,) * len(axes))
    for name in ("correlate", "convolve"):
        assert_same(*both(name, x, w, axes=axes, origin=origin), units=0)
        assert_same(*both(name, x, w, axes=axes, origin=origin, output="f8"), units=0)
    for dtype in ("u1", "f8"):
        y = x.astype(dtype)
        for name in ("gaussian_filter", "gaussian_laplace"):
            assert_same(*both(name, y, sigma, axes=axes), units=4)
        with np.errstate(all="ignore"):
            for deviations in (sigma, 1.5, [1, 2, 3][:ndim]):
                assert_same(*both("gaussian_gradient_magnitude", y, deviations, axes=axes), units=8)
        assert_same(*both("maximum_filter", y, [3, 4, 5][: len(axes)], axes=axes), units=0)
    reach = (3,) * ndim
    assert_same(*both("gaussian_laplace", x, 1.5, axes=axes[:1], radius=reach), units=4)


def test_scalars_of_all_kinds():
    x = np.random.default_rng(0).random((9, 11))
    for name, argument in (
        ("gaussian_filter", np.array(1.5)), ("maximum_filter", np.array(3)),
        ("uniform_filter", np.int16(3)), ("gaussian_filter", np.float32(1.5)),
    ):  # fmt: skip
        ours, theirs = both(name, x, argument)
        if not (isinstance(theirs, TypeError) and SCIPY < (1, 16)):  # of arrays without axes
            assert_same(ours, theirs, units=4)
    assert_same(*both("uniform_filter", x, np.int64(3), origin=np.int8(0)), units=4)


@pytest.mark.skipif(SCIPY < (1, 16), reason="names of dtypes were few")
def test_byte_order_of_the_output():
    ours, theirs = both("correlate1d", np.arange(5.0), [1, 2], output=">f4")
    assert ours.dtype.str == theirs.dtype.str == ">f4"
    np.testing.assert_array_equal(ours, theirs)


def test_constants_that_the_input_cannot_hold():
    x = np.arange(20, dtype="u1").reshape(4, 5)
    w = np.ones((3, 3))
    assert_same(*both("correlate", x, w, mode="constant", cval=np.nan, output="f8"))
    assert_same(*both("correlate1d", x.astype("f4"), [1, 2, 1], mode="constant", cval=1e300))


def test_the_sign_of_zero():
    for weights in ([1.0, 1.0], [1.0, 2.0, 1.0]):
        found, expected = both("correlate1d", np.full(4, -0.0), weights)
        np.testing.assert_array_equal(np.signbit(found), np.signbit(expected))
    found, expected = both("correlate", np.full(4, -0.0), [1.0, 1.0])
    np.testing.assert_array_equal(np.signbit(found), np.signbit(expected))


def test_a_nan_is_an_extreme():
    x = np.arange(60.0).reshape(6, 10)
    x[2, 3] = np.nan
    expected = np.zeros(x.shape, bool)
    expected[1:4, 2:5] = True
    for function in (ndimage.maximum_filter, ndimage.minimum_filter):
        np.testing.assert_array_equal(np.isnan(function(x, 3)), expected)


def test_what_is_beside_a_nan():
    """SciPy's running sums carry a NaN along; ours do not."""
    x = np.ones((5, 50))
    x[2, 9] = np.nan
    y = ndimage.uniform_filter(x, 3)
    assert np.isnan(y[1:4, 8:11]).all()
    y[1:4, 8:11] = 1
    np.testing.assert_array_equal(y, np.ones_like(x))
    assert_same(*both("gaussian_filter", x, 2))


WRONG = [
    ("correlate1d", (np.ones(5), np.ones((2, 2)))),
    ("correlate1d", (np.ones(5), [])),
    ("correlate1d", (np.ones(5), [1, 2], 0, None, "reflect", 0.0, 5)),
    ("correlate1d", (np.ones(5), [1, 2], 3)),
    ("correlate", (np.ones(5), np.ones((2, 2)))),
    ("correlate", (np.ones((5, 5)), np.ones((2, 2)), None, "mirrored")),
    ("gaussian_filter", (np.ones((5, 5)), (1, 2, 3))),
    ("gaussian_filter", (np.ones((5, 5)), 1, 0, np.ones((2, 2)))),
    ("gaussian_filter", (np.ones((5, 5)), 1, -1)),
    ("gaussian_filter1d", (np.ones(5), 1, 0, 0, "nothing")),
    ("uniform_filter1d", (np.ones(5), 0)),
    ("maximum_filter", (np.ones((5, 5)),)),
    ("minimum_filter", (np.ones((5, 5), complex), 3)),
    ("sobel", (np.ones((5, 5)), 2)),
    ("gaussian_filter", ("text", 1)),
    ("correlate1d", (np.ones(5), [1, 2], None)),
    ("correlate1d", (np.ones(5), [1, 2], 0, None, None)),
    ("correlate1d", (np.ones(5), [1, 2], 0, None, "constant", None)),
    ("correlate1d", (np.ones(5), [1, 2], 0, None, "reflect", "a")),
    ("gaussian_laplace", (np.ones((5, 5)), (1, 2, 3))),
]


@pytest.mark.parametrize(("name", "arguments"), WRONG)
def test_errors_are_scipys(name, arguments):
    ours, theirs = both(name, *arguments)
    assert isinstance(theirs, Exception)
    assert_same(ours, theirs)


def test_parallel_must_be_a_flag():
    with pytest.raises(TypeError, match="parallel must be True or False, got 1"):
        ndimage.sobel(np.ones((3, 3)), parallel=1)


HANDED = [
    (ndimage.correlate, (np.ones((2, 2, 2, 2, 2)), np.ones((2, 2, 2, 2, 2))), "over 5 axes"),
    (ndimage.correlate1d, (np.ones(4, bool), [1]), "dtype bool"),
    (ndimage.correlate1d, (np.ones(4, complex), [1j]), "weights are no real numbers"),
    (ndimage.correlate1d, (np.ones(4), [1j]), "weights are no real numbers"),
    (ndimage.correlate1d, (np.ones(4, complex), [1], 0, "f8"), "input is complex"),
    (ndimage.minimum_filter1d, (np.ones(4, "c8"), 2), "input is complex"),
    (ndimage.gaussian_filter, (np.ones(4, np.longdouble), 1), "dtype"),
    (ndimage.correlate1d, (np.ones(4, "u1"), [1, 2], 0, None, "constant", 0.5), "does not hold"),
    (ndimage.maximum_filter, (np.ones((4, 4)), None, [[1, 0], [1, 1]]), "no box"),
    (ndimage.maximum_filter, (np.ones((4, 4)), 3, None, "f4"), "output is of float32"),
]


@pytest.mark.parametrize(("function", "arguments", "why"), HANDED)
def test_what_is_handed_to_scipy(function, arguments, why, caplog):
    assert why in ndimage.route(function, *arguments)
    with caplog.at_level("DEBUG", "numbaconv.ndimage"):
        ours, theirs = both(function.__name__, *arguments)
    assert_same(ours, theirs, units=0)
    assert why in caplog.text


def test_route_takes_filters():
    assert ndimage.route(ndimage.sobel, np.ones((3, 3))) == "numbaconv"
    with pytest.raises(ValueError, match="a filter of numbaconv"):
        ndimage.route(scipy.ndimage.sobel, np.ones((3, 3)))


@pytest.mark.parametrize("name", NAMES)
def test_signatures(name):
    """Ours are the installed SciPy's, and `parallel`; older ones lack some keywords."""
    ours = dict(inspect.signature(getattr(ndimage, name)).parameters)
    theirs = inspect.signature(getattr(scipy.ndimage, name)).parameters
    last = ours.pop("parallel")
    assert (last.kind, last.default) == (inspect.Parameter.KEYWORD_ONLY, True)
    for key, parameter in theirs.items():
        assert ours[key].kind == parameter.kind
        assert ours[key].default == parameter.default
    assert [key for key in ours if key in theirs] == list(theirs)
    if SCIPY >= (1, 17):
        assert list(ours) == list(theirs)


@pytest.mark.usefixtures("threads_restored")
def test_threads_change_no_bit():
    import numba

    x = np.random.default_rng(0).standard_normal((201, 133)).astype("f4")
    found = []
    for count in (1, numba.config.NUMBA_NUM_THREADS):
        numba.set_num_threads(count)
        found.append([
            ndimage.gaussian_filter(x, 3), ndimage.correlate(x, np.ones((5, 3))),
            ndimage.uniform_filter(x, 9), ndimage.sobel(x), ndimage.minimum_filter(x, 7),
        ])  # fmt: skip
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_example_draws_its_picture(tmp_path):
    sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))
    import scipy_filters as example
    from PIL import Image

    example.main(tmp_path / "four.png")
    found = np.asarray(Image.open(tmp_path / "four.png"))
    assert found.shape == (600, 720)
    image = example.photograph()
    expected = scipy.ndimage.gaussian_filter(image, sigma=4)
    np.testing.assert_allclose(example.results(image)[0], expected, rtol=1e-6)
    assert found[300:, 360:].std() > 10
