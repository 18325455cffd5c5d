"""Pools over dask arrays equal the one-array call, in any chunks."""

import dask.array as da
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lazy_arrays import assert_same, lazy
from problems import small_integers

import numbaconv as nbc
import numbaconv.dask as nbdask


@st.composite
def pools(draw):
    """Draw (ndim, shape, kernel, stride, padding, dilation, ceil_mode, layout)."""
    ndim = draw(st.sampled_from((1, 2, 2, 3)))
    largest = (20, 11, 6)[ndim - 1]
    kernel = [draw(st.integers(1, 4 if ndim < 3 else 2)) for _ in range(ndim)]
    dilation = [draw(st.integers(1, 2)) for _ in range(ndim)]
    spans = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    size = [draw(st.integers(span, max(span, largest))) for span in spans]
    padding = [(draw(st.integers(0, s - 1)), draw(st.integers(0, s - 1))) for s in spans]
    stride = [draw(st.integers(1, 4)) for _ in range(ndim)]
    layout = draw(st.sampled_from(["channels_first", "channels_last"]))
    image = (3, *size) if layout == "channels_first" else (*size, 3)
    batch = draw(st.integers(1, 2))
    return (
        ndim, (batch, *image), tuple(kernel), tuple(stride), tuple(padding), tuple(dilation),
        draw(st.booleans()), layout,
    )  # fmt: skip


@settings(max_examples=30)
@given(st.data(), pools())
def test_max_pools(data, pool):
    ndim, shape, kernel, stride, padding, dilation, ceil, layout = pool
    x = small_integers(np.random.default_rng(0), shape, "float32")
    options = {"dilation": dilation, "ceil_mode": ceil, "layout": layout, "return_indices": True}
    values, indices = getattr(nbc, f"max_pool{ndim}d")(x, kernel, stride, padding, **options)
    function = getattr(nbdask, f"max_pool{ndim}d")
    found, places = function(lazy(data, x), kernel, stride, padding, **options)
    assert_same(found, values)
    assert_same(places, indices)
    assert_same(
        function(lazy(data, x), kernel, stride, padding, **{**options, "return_indices": False}),
        values,
    )
    grad = small_integers(np.random.default_rng(1), values.shape, "float32")
    expected = getattr(nbc, f"max_pool{ndim}d_backward")(grad, indices, shape, layout=layout)
    back = getattr(nbdask, f"max_pool{ndim}d_backward")
    assert_same(back(lazy(data, grad), lazy(data, indices), shape, layout=layout), expected)


@settings(max_examples=30)
@given(st.data(), pools(), st.booleans(), st.sampled_from([None, 3]))
def test_average_pools(data, pool, include, divisor):
    ndim, shape, kernel, stride, padding, dilation, ceil, layout = pool
    x = small_integers(np.random.default_rng(0), shape, "float64")
    options = {
        "dilation": dilation, "ceil_mode": ceil, "layout": layout, "count_include_pad": include,
        "divisor_override": divisor,
    }  # fmt: skip
    expected = getattr(nbc, f"avg_pool{ndim}d")(x, kernel, stride, padding, **options)
    found = getattr(nbdask, f"avg_pool{ndim}d")(lazy(data, x), kernel, stride, padding, **options)
    assert_same(found, expected)
    grad = small_integers(np.random.default_rng(1), expected.shape, "float64")
    wanted = getattr(nbc, f"avg_pool{ndim}d_backward")(
        grad, shape, kernel, stride, padding, **options
    )
    back = getattr(nbdask, f"avg_pool{ndim}d_backward")(
        lazy(data, grad), shape, kernel, stride, padding, **options
    )
    # Windows come in another order where a block begins: the sums of a few quotients.
    assert_same(back, wanted, bound=1e-14 * (1 + abs(wanted)) * np.prod(kernel))


def test_unpooling():
    x = small_integers(np.random.default_rng(0), (2, 3, 9, 8), "float32")
    values, indices = nbc.max_pool2d(x, 2, return_indices=True)
    arrays = (da.from_array(a, chunks=(1, 2, 3, 2)) for a in (values, indices))
    found = nbdask.max_unpool2d(*arrays, 2, output_size=(9, 8))
    assert_same(found, nbc.max_unpool2d(values, indices, 2, output_size=(9, 8)))


def test_errors_come_with_the_call():
    x = da.ones((1, 1, 6, 6), chunks=3)
    with pytest.raises(TypeError, match="x must be a dask array"):
        nbdask.max_pool2d(np.ones((1, 1, 6, 6)), 2)
    with pytest.raises(ValueError, match="padding must be smaller"):
        nbdask.avg_pool2d(x, 2, padding=2)
    with pytest.raises(TypeError, match="complex numbers have no maximum"):
        nbdask.max_pool2d(x.astype(complex), 2)
    with pytest.raises(ValueError, match="indices must have the shape"):
        nbdask.max_pool2d_backward(x, da.ones((1, 1, 5, 6), dtype=int), (1, 1, 9, 9))
    with pytest.raises(TypeError, match="indices must be of an integer dtype"):
        nbdask.max_unpool2d(x, x, 2)
    with pytest.raises(TypeError, match="float or complex"):
        nbdask.avg_pool2d_backward(x.astype(int), (1, 1, 12, 12), 2)


@settings(max_examples=20)
@given(
    st.data(), st.tuples(st.integers(1, 9), st.integers(1, 14)),
    st.tuples(st.integers(1, 7), st.integers(1, 7)),
    st.sampled_from(["channels_first", "channels_last"]),
)  # fmt: skip
def test_adaptive_pools(data, size, output, layout):
    shape = (2, 3, *size) if layout == "channels_first" else (2, *size, 3)
    x = small_integers(np.random.default_rng(0), shape, "float32")
    options = {"layout": layout}
    found = nbdask.adaptive_max_pool2d(lazy(data, x), output, True, **options)
    expected = nbc.adaptive_max_pool2d(x, output, True, **options)
    for a, b in zip(found, expected, strict=True):
        assert_same(a, b)
    mean = nbc.adaptive_avg_pool2d(x, output, **options)
    assert_same(nbdask.adaptive_avg_pool2d(lazy(data, x), output, **options), mean)
    assert_same(
        nbdask.adaptive_avg_pool2d_backward(lazy(data, mean), shape, **options),
        nbc.adaptive_avg_pool2d_backward(mean, shape, **options),
    )
