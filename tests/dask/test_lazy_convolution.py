"""Convolutions and gradients over dask arrays equal the one-array call, in any chunks."""

import re
from unittest import mock

import dask
import dask.array as da
import naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lazy_arrays import assert_same, lazy
from problems import assert_within_bound, cases, noise, small_integers

import numbaconv as nbc
import numbaconv.dask as nbdask
from numbaconv.adjoint import product
from numbaconv.host import convolution


def in_layout(layout, x, weight, *more):
    if layout == "channels_first":
        return (x, weight, *more)
    arrays = naive.channels_last(x), naive.weight_channels_last(weight)
    return tuple(
        np.ascontiguousarray(a) for a in (*arrays, *(naive.channels_last(m) for m in more))
    )


@settings(max_examples=25)
@given(st.data(), cases(largest=(20, 11, 6)), st.sampled_from(["channels_first", "channels_last"]))
def test_convolution_and_gradients(data, case, layout):
    """Bit for bit in integers, which wrap."""
    rng = np.random.default_rng(case.patch_size)
    x, weight = (small_integers(rng, s, "int32") for s in (case.x_shape, case.weight_shape))
    bias = small_integers(rng, (case.outputs,), "int32")
    x, weight = in_layout(layout, x, weight)
    options = {
        **case.window, "groups": case.groups, "layout": layout, "padding_mode": case.mode,
    }  # fmt: skip
    name = f"conv{case.ndim}d"
    y = getattr(nbc, name)(x, weight, bias, **options)
    images = lazy(data, x)
    kernels = data.draw(st.booleans()) and lazy(data, weight)
    kernels = weight if kernels is False else kernels
    assert_same(getattr(nbdask, name)(images, kernels, bias, **options), y)
    grad = small_integers(rng, y.shape, "int32")
    expected = getattr(nbc, f"{name}_backward")(grad, x, weight, **options)
    found = getattr(nbdask, f"{name}_backward")(lazy(data, grad), images, kernels, **options)
    for lazily, wanted in zip(found, expected, strict=True):
        assert_same(lazily, wanted)


@settings(max_examples=25)
@given(st.data(), cases(modes=("zeros",), largest=(14, 8, 4)),
       st.sampled_from(["channels_first", "channels_last"]))  # fmt: skip
def test_transposed_convolution_and_gradients(data, case, layout):
    rng = np.random.default_rng(case.patch_size)
    x = small_integers(rng, case.x_shape, "int32")
    shape = (case.channels, case.outputs // case.groups, *case.kernel)
    x, weight = in_layout(layout, x, small_integers(rng, shape, "int32"))
    bias = small_integers(rng, (case.outputs,), "int32")
    extra = tuple(
        data.draw(st.integers(0, max(s, d) - 1))
        for s, d in zip(case.stride, case.dilation, strict=True)
    )
    options = {
        **case.window, "groups": case.groups, "layout": layout, "output_padding": extra,
    }  # fmt: skip
    name = f"conv_transpose{case.ndim}d"
    try:
        y = getattr(nbc, name)(x, weight, bias, **options)
    except ValueError as error:
        text = re.escape(str(error))
        with pytest.raises(ValueError, match=f"^{text}$"):
            getattr(nbdask, name)(lazy(data, x), weight, bias, **options)
        return
    images = lazy(data, x)
    assert_same(getattr(nbdask, name)(images, weight, bias, **options), y)
    grad = small_integers(rng, y.shape, "int32")
    expected = getattr(nbc, f"{name}_backward")(grad, x, weight, **options)
    found = getattr(nbdask, f"{name}_backward")(lazy(data, grad), images, weight, **options)
    for lazily, wanted in zip(found, expected, strict=True):
        assert_same(lazily, wanted)


@settings(max_examples=25)
@given(st.data(), cases(ndims=(1, 2), modes=("zeros", "reflect")),
       st.sampled_from(["float32", "float64", "float16"]))  # fmt: skip
def test_floats_stay_within_the_bound(data, case, dtype):
    rng = np.random.default_rng(case.patch_size)
    x, weight = noise(rng, case.x_shape, dtype), noise(rng, case.weight_shape, dtype)
    bias = noise(rng, (case.outputs,), dtype)
    found = getattr(nbdask, f"conv{case.ndim}d")(
        lazy(data, x), weight, bias, groups=case.groups, padding_mode=case.mode, **case.window,
        algorithm="exact",
    )  # fmt: skip
    with dask.config.set(scheduler="synchronous"):
        assert_within_bound(case, found.compute(), x, weight, bias)


def test_complex_gradients():
    rng = np.random.default_rng(0)
    x, weight = (
        noise(rng, (2, 2, 9, 8), "complex128").round(),
        noise(rng, (3, 2, 2, 3), "complex128").round(),
    )
    y = nbc.conv2d(x, weight)
    grad = noise(rng, y.shape, "complex128").round()
    found = nbdask.conv2d_backward(*(da.from_array(a, chunks=3) for a in (grad, x)), weight)
    for lazily, wanted in zip(found, nbc.conv2d_backward(grad, x, weight), strict=True):
        assert_same(lazily, wanted)
    up = nbc.conv_transpose2d(x, weight.swapaxes(0, 1), stride=2)
    grad = noise(rng, up.shape, "complex128").round()
    options = {"stride": 2}
    found = nbdask.conv_transpose2d_backward(
        *(da.from_array(a, chunks=4) for a in (grad, x)), weight.swapaxes(0, 1), **options
    )
    wanted = nbc.conv_transpose2d_backward(grad, x, weight.swapaxes(0, 1), **options)
    for lazily, value in zip(found, wanted, strict=True):
        assert_same(lazily, value)


def test_float16_is_rounded_once():
    """Small integers are exact in float32: what padding folds back is added before the rounding."""
    rng = np.random.default_rng(0)
    weight, grad = rng.integers(-40, 40, (4, 3, 3, 3)), rng.integers(-40, 40, (1, 4, 13, 14))
    options = {"padding": 3, "padding_mode": "replicate"}
    shape = (1, 3, 9, 10)
    exact = nbc.conv2d_input_grad(shape, weight, grad, **options)
    lazily = da.from_array(grad.astype("f2"), chunks=(1, 2, 5, 4))
    found = nbdask.conv2d_input_grad(shape, weight.astype("f2"), lazily, **options)
    assert_same(found, exact.astype("f4").astype("f2"))


def test_byte_order():
    x = np.arange(72, dtype=">f4").reshape(1, 2, 6, 6)
    lazily = da.from_array(x, chunks=(1, 1, 4, 3))
    assert_same(nbdask.max_pool2d(lazily, 2), nbc.max_pool2d(x, 2))
    assert_same(nbdask.avg_pool2d(lazily, 2), nbc.avg_pool2d(x, 2))
    weight = np.ones((1, 2, 2, 2), "f4")
    assert_same(
        nbdask.conv2d(lazily, weight, algorithm="exact"), nbc.conv2d(x, weight, algorithm="exact")
    )


@pytest.mark.parametrize("padding", ["same", "same_lower", "valid"])
def test_same_is_of_the_whole_array(padding):
    rng = np.random.default_rng(0)
    x, weight = small_integers(rng, (1, 1, 23, 17), "f4"), small_integers(rng, (1, 1, 4, 3), "f4")
    expected = nbc.conv2d(x, weight, stride=(3, 2), padding=padding, algorithm="exact")
    found = nbdask.conv2d(da.from_array(x, chunks=(1, 1, 5, 4)), weight, stride=(3, 2),
                          padding=padding, algorithm="exact")  # fmt: skip
    assert_same(found, expected)


def test_the_algorithm_is_chosen_from_the_whole_problem(monkeypatch):
    seen = []

    run = convolution.convolve

    def convolve(options, *arguments):
        seen.append(options.algorithm)
        return run(options, *arguments)

    monkeypatch.setattr(convolution, "convolve", convolve)
    shape, weight = (1, 16, 400, 300), np.ones((16, 16, 3, 3), "f4")
    x = da.ones(shape, chunks=(1, 16, 7, 300), dtype="f4")
    nbdask.conv2d(x, weight, padding=1).compute(scheduler="synchronous")
    assert set(seen) == {nbc.explain(shape, weight.shape, padding=1).algorithm}


def test_graphs_are_small():
    """Whole images: a symbolic layer. Else a task a block, and one for each halo."""
    weight = np.ones((8, 3, 3, 3), "f4")
    many = da.zeros((100_000, 3, 32, 32), chunks=(10, 3, 32, 32), dtype="f4")
    maps = nbdask.conv2d(many, weight, padding=1)
    layer = maps.dask.layers[maps.name]
    assert type(layer).__name__ == "Blockwise"
    assert len(maps.dask.layers) <= 4
    cut = da.zeros((1, 3, 400, 400), chunks=(1, 3, 100, 100), dtype="f4")
    maps = nbdask.conv2d(cut, weight, padding=1)
    blocks, halos = 16, 4 * 3 + 2 * 4 * 9  # corners, edges, middle: their neighbours' borders
    assert len(maps.dask.layers[maps.name]) <= blocks + 2 * halos
    assert len(maps.dask.layers) <= 4


def test_no_more_than_halos_travel():
    x = da.zeros((1, 1, 300, 300), chunks=(1, 1, 100, 100), dtype="f4")
    maps = nbdask.conv2d(x, np.ones((1, 1, 3, 3), "f4"), padding=1)
    layer = maps.dask.layers[maps.name]
    pieces = [key for key in layer if key[0].startswith("halo-")]
    assert pieces
    with dask.config.set(scheduler="synchronous"):
        for piece in pieces:
            part = dask.get(maps.dask, piece)
            assert min(part.shape[2:]) == 1


def test_unbatched_and_empty():
    rng = np.random.default_rng(0)
    x, weight = small_integers(rng, (2, 9, 8), "f4"), small_integers(rng, (3, 2, 2, 3), "f4")
    assert_same(nbdask.conv2d(da.from_array(x, chunks=4), weight), nbc.conv2d(x, weight))
    none = np.zeros((0, 2, 9, 8), "f4")
    assert_same(
        nbdask.conv2d(da.from_array(none, chunks=(1, 2, 4, 8)), weight), nbc.conv2d(none, weight)
    )
    grad = np.zeros((0, 3, 8, 6), "f4")
    found = nbdask.conv2d_weight_grad(da.from_array(none), weight.shape, da.from_array(grad))
    assert_same(found, np.zeros_like(weight))


def test_only_what_is_needed():
    x, grad = da.ones((2, 1, 9, 9), chunks=3), da.ones((2, 1, 7, 7), chunks=3)
    found = nbdask.conv2d_backward(grad, x, np.ones((1, 1, 3, 3)), needs=["bias"])
    assert found.input is None
    assert found.weight is None
    assert found.bias.compute() == 98


@pytest.mark.parametrize(
    ("more", "options", "error", "text"),
    [
        ((np.ones((1, 1, 5, 5)),), {}, ValueError, "kernel"),
        ((np.ones((1, 1, 2, 2)),), {"stride": 0}, ValueError, "stride"),
        ((np.ones((1, 1, 2, 2)), np.ones(2)), {}, ValueError, "bias must have shape"),
        ((np.ones((1, 1, 2, 2)), np.ones(1, complex)), {}, TypeError, "bias of dtype"),
        ((np.ones((1, 1, 2, 2)),), {"parallel": 1}, TypeError, "parallel"),
        ((np.ones((1, 1, 2, 2)),), {"dtype": "S3"}, TypeError, "dtype"),
        ((np.ones((1, 1, 2, 2)),), {"algorithm": "winograd"}, ValueError, "winograd"),
    ],
)
def test_errors_come_with_the_call(more, options, error, text):
    with pytest.raises(error, match=text):
        nbdask.conv2d(da.ones((1, 1, 4, 4)), *more, **options)


def test_numpy_arrays_are_refused():
    with pytest.raises(TypeError, match=r"x must be a dask array.*from_array"):
        nbdask.conv2d(np.ones((1, 1, 4, 4)), np.ones((1, 1, 2, 2)))


def test_unknown_chunks_are_refused():
    x = da.ones((4, 1, 4, 4), chunks=2)
    unknown = x[x[:, 0, 0, 0] > 0]
    with pytest.raises(ValueError, match="compute_chunk_sizes"):
        nbdask.conv2d(unknown, np.ones((1, 1, 2, 2)))


@pytest.mark.parametrize("route", [product.Columns, product.Runs])
def test_transposed_ones_by_one_product(route):
    """Of which no phase says what its blocks are to be asked for."""
    rng = np.random.default_rng(3)
    x, weight = small_integers(rng, (2, 9, 40), "f4"), small_integers(rng, (9, 1, 30), "f4")
    nbc.release_memory()
    with mock.patch.object(route, "cost", return_value=0.0):
        expected = nbc.conv_transpose1d(x, weight, stride=8, padding=3)
        chunks = da.from_array(x, (1, 9, 17))
        assert_same(nbdask.conv_transpose1d(chunks, weight, stride=8, padding=3), expected)
        grads = da.from_array(x, (2, 9, 11))
        found = nbdask.conv1d_input_grad((2, 1, 336), weight, grads, 8, 3)
        assert_same(found, nbc.conv1d_input_grad((2, 1, 336), weight, x, 8, 3))
    nbc.release_memory()
