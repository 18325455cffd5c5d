"""numbaconv's own doors over arrays on the device, and mixtures of kinds."""

import numpy as np
import pytest

import numbaconv as nbc
import numbaconv.cuda as nbcuda


def ones(*shape):
    return np.ones(shape, "f4")


X, WEIGHT, BIAS, GRAD = ones(1, 2, 6, 7), ones(3, 2, 3, 3), ones(3), ones(1, 3, 4, 5)
#: Of each function: arrays by name, and what else it is called with.
CALLS = {
    "conv2d": ({"x": X, "weight": WEIGHT, "bias": BIAS}, {}),
    "conv_transpose2d": ({"x": GRAD, "weight": WEIGHT, "bias": ones(2)}, {}),
    "conv2d_input_grad": ({"weight": WEIGHT, "grad_output": GRAD}, {"input_shape": X.shape}),
    "conv2d_weight_grad": ({"x": X, "grad_output": GRAD}, {"weight_shape": WEIGHT.shape}),
    "conv2d_backward": ({"grad_output": GRAD, "x": X, "weight": WEIGHT}, {}),
    "im2col": ({"x": X}, {"kernel_size": 2}),
    "col2im": ({"cols": ones(1, 8, 9)}, {"output_size": (4, 4), "kernel_size": 2}),
}


@pytest.mark.parametrize("name", CALLS)
def test_device_arrays(name, to_device):
    arrays, options = CALLS[name]
    expected = getattr(nbc, name)(**arrays, **options)
    found = getattr(nbc, name)(**{n: to_device(a) for n, a in arrays.items()}, **options)
    if not isinstance(expected, tuple):
        expected, found = (expected,), (found,)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a.copy_to_host(), b)


@pytest.mark.parametrize("name", [n for n, (arrays, _) in CALLS.items() if len(arrays) > 1])
def test_mixtures(name, to_device):
    arrays, options = CALLS[name]
    about = "grad_output" if "grad_output" in arrays else "x"
    moved = {n: to_device(a) for n, a in arrays.items()}
    for other in arrays:
        mixed = moved | {other: arrays[other]}
        with pytest.raises(TypeError, match=f"^{other} must be an array on the device"):
            getattr(nbcuda, name)(**mixed, **options)
        expected = "must be a NumPy array" if other == about else "must be an array on the device"
        with pytest.raises(TypeError, match=expected):
            getattr(nbc, name)(**mixed, **options)


def test_what_a_device_has_not_got(to_device):
    x = to_device(X)
    for call in (
        lambda: nbc.max_pool2d(x, 2),
        lambda: nbc.avg_pool2d(x, 2),
        lambda: nbc.max_unpool2d(x, x, 2),
        lambda: nbc.avg_pool2d_backward(x, X.shape, 2),
        lambda: nbc.max_pool2d_backward(x, x, X.shape),
    ):
        with pytest.raises(TypeError, match=r"^pools take no arrays on a device"):
            call()
    with pytest.raises(TypeError, match=r"^weight must be an array on the device"):
        nbc.Conv2d(WEIGHT)(x)


def test_the_same_arguments_and_help():
    for name in nbcuda.__all__:
        door = getattr(nbcuda, name)
        assert door.__doc__ == getattr(nbc, name).__doc__
        assert (door.__module__, door.__qualname__) == ("numbaconv.cuda", name)
