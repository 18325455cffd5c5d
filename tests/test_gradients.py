"""Gradients of convolutions against the oracle, adjoint identities, and central differences."""

import dataclasses

import naive
import numba
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from problems import AWKWARD, CONVS, DTYPES, MODES, Case, cases, noise, small_integers, twins

import numbaconv as nbc
from numbaconv.kernels import threads
from numbaconv.problem.formulas import output_size

INPUT_GRADS = {1: nbc.conv1d_input_grad, 2: nbc.conv2d_input_grad, 3: nbc.conv3d_input_grad}
WEIGHT_GRADS = {1: nbc.conv1d_weight_grad, 2: nbc.conv2d_weight_grad, 3: nbc.conv3d_weight_grad}
BACKWARDS = {1: nbc.conv1d_backward, 2: nbc.conv2d_backward, 3: nbc.conv3d_backward}
LAYOUTS = ("channels_first", "channels_last")
NONE, ONE = ((0, 0), (0, 0)), ((1, 1), (1, 1))

#: Strides with and without a tail, dilations that share divisors with them, groups, wide padding.
CASES = [
    Case(2, 4, 6, 2, (9, 11), (3, 2), (2, 1), ((1, 0), (2, 3)), (1, 3)),
    Case(2, 2, 3, 1, (4, 5, 6), (2, 3, 2), (1, 2, 1), ((0, 1), (2, 0), (1, 1)), (2, 1, 3)),
    Case(2, 3, 4, 1, (17,), (4,), (3,), ((2, 1),), (2,)),
    Case(3, 5, 33, 1, (7, 7), (1, 1), (1, 1), NONE, (1, 1)),
    Case(2, 17, 5, 1, (12, 15), (1, 1), (2, 2), NONE, (1, 1)),
    Case(1, 2, 15, 1, (35, 19), (3, 3), (1, 1), ONE, (1, 1)),
    Case(2, 20, 17, 1, (9, 8), (3, 3), (2, 2), ((0, 2), (3, 1)), (1, 1)),
    Case(2, 5, 5, 5, (15, 30), (5, 3), (2, 2), ((2, 2), (1, 1)), (1, 1)),
    Case(1, 3, 6, 3, (14, 21), (3, 5), (1, 4), ((9, 2), (4, 5)), (3, 2)),
    Case(1, 2, 3, 1, (20, 33), (2, 2), (3, 2), ((7, 0), (0, 11)), (2, 4)),
    Case(2, 3, 20, 1, (23, 22), (7, 7), (2, 2), ((3, 3), (3, 3)), (1, 1)),
    Case(1, 3, 8, 1, (32, 48), (8, 8), (8, 8), NONE, (1, 1)),
    # No window reaches the input, along one axis or the other.
    Case(1, 20, 5, 1, (7, 1), (1, 1), (1, 2), ((0, 0), (1, 0)), (1, 1)),
    Case(1, 20, 5, 1, (1, 7), (1, 1), (2, 1), ((1, 0), (0, 0)), (1, 1)),
]


@pytest.fixture
def rng():
    return np.random.default_rng(20261124)


def arrays(case, dtype, rng, draw=small_integers):
    """Return x, weights and the gradient of a result."""
    y_shape = case.naive(np.zeros(case.x_shape), np.zeros(case.weight_shape), None).shape
    return tuple(draw(rng, s, dtype) for s in (case.x_shape, case.weight_shape, y_shape))


def in_layout(layout, x, weight, grad):
    if layout == "channels_first":
        return x, weight, grad
    return (
        naive.channels_last(x), naive.weight_channels_last(weight), naive.channels_last(grad)
    )  # fmt: skip


def input_grad(case, weight, grad, layout="channels_first", **keywords):
    shape = np.empty(case.x_shape, np.int8)
    shape, weight, grad = in_layout(layout, shape, weight, grad)
    found = INPUT_GRADS[case.ndim](
        shape.shape, weight, grad, **case.window, groups=case.groups, padding_mode=case.mode,
        layout=layout, **keywords,
    )  # fmt: skip
    return naive.channels_first(found) if layout == "channels_last" else found


def weight_grad(case, x, grad, layout="channels_first", **keywords):
    weight = np.empty(case.weight_shape, np.int8)
    x, weight, grad = in_layout(layout, x, weight, grad)
    found = WEIGHT_GRADS[case.ndim](
        x, weight.shape, grad, **case.window, groups=case.groups, padding_mode=case.mode,
        layout=layout, **keywords,
    )  # fmt: skip
    return np.moveaxis(found, (-1, -2), (0, 1)) if layout == "channels_last" else found


def naive_input_grad(case, weight, grad):
    return naive.input_grad(
        case.x_shape, np.conj(weight), grad, case.stride, case.padding, case.dilation, case.groups,
        case.mode,
    )  # fmt: skip


def naive_weight_grad(case, x, grad):
    return naive.weight_grad(
        np.conj(x), case.weight_shape, grad, case.stride, case.padding, case.dilation, case.groups,
        case.mode,
    )  # fmt: skip


@pytest.mark.parametrize("algorithm", ["im2col", "exact"])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("dtype", "parallel"), twins(DTYPES), indirect=["parallel"])
def test_integers_come_out_exactly(dtype, layout, algorithm, parallel, rng, monkeypatch):
    monkeypatch.setattr(threads, "_SERIAL_WORK", 0)
    for case in CASES:
        x, weight, grad = arrays(case, dtype, rng)
        options = {"layout": layout, "algorithm": algorithm, "parallel": parallel}
        found = input_grad(case, weight, grad, **options)
        assert found.dtype == dtype
        np.testing.assert_array_equal(found, naive_input_grad(case, weight, grad))
        if dtype == "float16":
            x, grad = x % 2, grad % 2  # so that no sum is beyond what float16 holds
        found = weight_grad(case, x, grad, **options)
        assert found.dtype == dtype
        expected = naive_weight_grad(case, x.astype("f4") if dtype == "float16" else x, grad)
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("dtype", ["float32", "int16"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_small_problems_by_the_reference(dtype, layout, rng):
    """Few enough sums to be run with bounds checks and as plain Python, too."""
    for case in (*CASES[:3], Case(2, 3, 4, 1, (9, 8), (3, 3), (2, 2), ((2, 0), (1, 3)), (1, 1))):
        x, weight, grad = arrays(case, dtype, rng)
        options = {"layout": layout, "algorithm": "im2col", "parallel": False}
        np.testing.assert_array_equal(
            input_grad(case, weight, grad, **options), naive_input_grad(case, weight, grad)
        )
        np.testing.assert_array_equal(
            weight_grad(case, x, grad, **options), naive_weight_grad(case, x, grad)
        )


@pytest.mark.parametrize("mode", MODES[1:])
@pytest.mark.parametrize("dtype", ["float32", "complex64", "int16"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_padding_modes(mode, dtype, layout, rng):
    wide = Case(3, 2, 3, 1, (2, 3), (3, 3), (1, 2), ((5, 2), (1, 7)), (1, 1))
    for case in (dataclasses.replace(case, mode=mode) for case in (*CASES[:3], wide)):
        x, weight, grad = arrays(case, dtype, rng)
        for algorithm in ("im2col", "auto"):
            options = {"layout": layout, "algorithm": algorithm}
            found = input_grad(case, weight, grad, **options)
            if algorithm == "im2col" or dtype != "float32":
                np.testing.assert_array_equal(found, naive_input_grad(case, weight, grad))
            else:
                np.testing.assert_allclose(found, naive_input_grad(case, weight, grad), atol=1e-3)
            np.testing.assert_array_equal(
                weight_grad(case, x, grad, **options), naive_weight_grad(case, x, grad)
            )


@given(case=cases(), seed=st.integers(0, 999))
def test_adjoint_identities(case, seed):
    """<conv(x, w), g> == <x, input_grad(w, g)> == <w, weight_grad(x, g)>, in exact integers."""
    x, weight, grad = (
        a.astype(np.int64) for a in arrays(case, "int16", np.random.default_rng(seed))
    )
    product = (case.run(x, weight, None) * grad).sum()
    assert product == (x * input_grad(case, weight, grad)).sum()
    assert product == (weight * weight_grad(case, x, grad)).sum()


@given(case=cases(), seed=st.integers(0, 999))
def test_algorithms_agree_on_random_problems(case, seed):
    x, weight, grad = arrays(case, "float32", np.random.default_rng(seed))
    np.testing.assert_array_equal(
        input_grad(case, weight, grad, algorithm="exact"),
        input_grad(case, weight, grad, algorithm="im2col"),
    )
    np.testing.assert_array_equal(
        weight_grad(case, x, grad, algorithm="exact"),
        weight_grad(case, x, grad, algorithm="im2col"),
    )


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_central_differences(dtype, rng):
    """The derivative of a real loss along any direction is the gradient's real inner product."""
    for case in CASES[:3] + CASES[6:10]:
        x, weight, grad = arrays(case, dtype, rng, noise)
        bias = noise(rng, (case.outputs,), dtype)
        found = BACKWARDS[case.ndim](
            grad, x, weight, **case.window, groups=case.groups, padding_mode=case.mode
        )
        point = {"x": x, "weight": weight, "bias": bias}
        for name, gradient in zip(point, found, strict=True):
            direction = noise(rng, point[name].shape, dtype)
            step = 1e-5

            def loss(scale, name=name, direction=direction, case=case, grad=grad, point=point):
                moved = point | {name: point[name] + scale * direction}
                return np.vdot(grad, case.run(**moved, algorithm="im2col")).real

            numeric = (loss(step) - loss(-step)) / (2 * step)
            np.testing.assert_allclose(np.vdot(gradient, direction).real, numeric, rtol=1e-7,
                                       atol=1e-6)  # fmt: skip


@pytest.mark.parametrize("algorithm", ["im2col", "auto"])
@pytest.mark.parametrize("name", AWKWARD)
def test_awkward_arrays_give_the_same_bits(name, algorithm, rng):
    case = CASES[0]
    for dtype in ("float32", "complex64"):
        x, weight, grad = arrays(case, dtype, rng, noise)
        awkward = AWKWARD[name]
        kept = [a.copy() for a in (x, weight, grad)]
        np.testing.assert_array_equal(
            input_grad(case, awkward(weight), awkward(grad), algorithm=algorithm),
            input_grad(case, weight, grad, algorithm=algorithm),
        )
        np.testing.assert_array_equal(
            weight_grad(case, awkward(x), awkward(grad), algorithm=algorithm),
            weight_grad(case, x, grad, algorithm=algorithm),
        )
        for array, copy in zip((x, weight, grad), kept, strict=True):
            np.testing.assert_array_equal(array, copy)
        if name not in ("read-only", "byte-swapped"):
            out = awkward(np.full(case.x_shape, np.nan, dtype))
            assert input_grad(case, weight, grad, algorithm=algorithm, out=out) is out
            np.testing.assert_array_equal(out, input_grad(case, weight, grad, algorithm=algorithm))
            out = awkward(np.full(case.weight_shape, np.nan, dtype))
            assert weight_grad(case, x, grad, algorithm=algorithm, out=out) is out
            np.testing.assert_array_equal(out, weight_grad(case, x, grad, algorithm=algorithm))


@pytest.mark.parametrize("algorithm", ["im2col", "auto"])
def test_bits_do_not_depend_on_threads(algorithm, rng, monkeypatch, threads_restored):
    monkeypatch.setattr(threads, "_SERIAL_WORK", 0)
    for case in (
        Case(5, 9, 11, 1, (33, 31), (3, 3), (1, 1), ONE, (1, 1)),
        Case(4, 20, 35, 1, (14, 15), (3, 3), (2, 2), ONE, (1, 1)),
    ):
        x, weight, grad = arrays(case, "float32", rng, noise)
        results = []
        for count, parallel in ((1, True), (2, True), (2, False)):
            numba.set_num_threads(count)
            options = {"algorithm": algorithm, "parallel": parallel}
            results.append(
                (input_grad(case, weight, grad, **options), weight_grad(case, x, grad, **options))
            )
        for other in results[1:]:
            for a, b in zip(results[0], other, strict=True):
                np.testing.assert_array_equal(a, b)


def test_out_may_overlap_an_input(rng):
    case = Case(1, 3, 3, 1, (8, 8), (3, 3), (1, 1), ONE, (1, 1))
    _, weight, grad = arrays(case, "float64", rng, noise)
    expected = input_grad(case, weight, grad)
    assert input_grad(case, weight, grad, out=grad) is grad
    np.testing.assert_array_equal(grad, expected)


@pytest.mark.parametrize("algorithm", ["im2col", "auto"])
def test_empty_and_unbatched(algorithm, rng):
    weight = noise(rng, (4, 3, 3, 2), "float32")
    x = np.zeros((0, 3, 8, 9), "float32")
    grad = np.zeros((0, 4, 6, 8), "float32")
    assert nbc.conv2d_input_grad(x.shape, weight, grad, algorithm=algorithm).shape == x.shape
    zeros = nbc.conv2d_weight_grad(x, weight.shape, grad, algorithm=algorithm)
    np.testing.assert_array_equal(zeros, np.zeros_like(weight))
    found = nbc.conv2d_backward(grad, x, weight)
    np.testing.assert_array_equal(found.bias, np.zeros(4))
    no_outputs = nbc.conv2d_input_grad(
        (2, 3, 8, 9), np.zeros((0, 3, 3, 2)), np.zeros((2, 0, 6, 8)), algorithm=algorithm
    )
    np.testing.assert_array_equal(no_outputs, np.zeros((2, 3, 8, 9)))
    none = nbc.conv2d_weight_grad(
        np.zeros((2, 3, 8, 9)), (0, 3, 3, 2), np.zeros((2, 0, 6, 8)), algorithm=algorithm
    )
    assert none.shape == (0, 3, 3, 2)
    x, grad = noise(rng, (3, 8, 9), "float32"), noise(rng, (4, 6, 8), "float32")
    one = nbc.conv2d_backward(grad, x, weight, algorithm=algorithm)
    batch = nbc.conv2d_backward(grad[None], x[None], weight, algorithm=algorithm)
    np.testing.assert_array_equal(one.input, batch.input[0])
    np.testing.assert_array_equal(one.weight, batch.weight)
    np.testing.assert_allclose(one.bias, grad.sum(axis=(1, 2)), rtol=1e-5, atol=1e-5)


def test_backward_computes_what_is_needed(rng):
    case = CASES[0]
    x, weight, grad = arrays(case, "float64", rng, noise)
    options = dict(**case.window, groups=case.groups)
    found = nbc.conv2d_backward(grad, x, weight, **options, needs=("bias",))
    assert found.input is None
    assert found.weight is None
    np.testing.assert_allclose(found.bias, grad.sum(axis=(0, 2, 3)))
    found = nbc.conv2d_backward(grad, x, weight, **options, needs=["weight"])
    np.testing.assert_array_equal(found.weight, weight_grad(case, x, grad))
    assert found.bias is None


def test_errors():
    x, weight = np.zeros((2, 3, 8, 9)), np.zeros((4, 3, 3, 2))
    grad = np.zeros((2, 4, 6, 8))
    for call in (
        lambda g: nbc.conv2d_input_grad(x.shape, weight, g),
        lambda g: nbc.conv2d_weight_grad(x, weight.shape, g),
    ):
        with pytest.raises(ValueError, match=r"grad_output must have .*\(2, 4, 6, 8\), got \(2, 4"):
            call(np.zeros((2, 4, 6, 7)))
    with pytest.raises(ValueError, match="input_shape must have 4 axes"):
        nbc.conv2d_input_grad((3, 8), weight, grad)
    with pytest.raises(TypeError, match="input_shape must be a tuple of ints"):
        nbc.conv2d_input_grad(5, weight, grad)
    with pytest.raises(ValueError, match="needs must be a tuple or list of names"):
        nbc.conv2d_backward(grad, x, weight, needs=("x",))
    with pytest.raises(TypeError, match="needs must be a tuple"):
        nbc.conv2d_backward(grad, x, weight, needs="input")
    with pytest.raises(ValueError, match="algorithm='winograd' cannot run"):
        nbc.conv2d_weight_grad(x, weight.shape, grad, algorithm="winograd")
    with pytest.raises(ValueError, match="algorithm='winograd' cannot run"):
        nbc.conv2d_input_grad(x.shape, weight, grad, algorithm="winograd")
    with pytest.raises(TypeError, match="cannot be converted"):
        nbc.conv2d_weight_grad(x.astype(complex), weight.shape, grad, dtype="f8")


def test_output_size_of_a_tail():
    """A stride that does not divide: zeros in the unused tail of the input's gradient."""
    assert output_size(8, 0, 0, 3, 3, 1) == 2
    found = nbc.conv1d_input_grad((1, 1, 8), np.ones((1, 1, 3)), np.ones((1, 1, 2)), stride=3)
    np.testing.assert_array_equal(found, [[[1, 1, 1, 1, 1, 1, 0, 0]]])
    assert CONVS[1] is nbc.conv1d
