"""Transposed convolution on the device, against the oracle."""

import naive
import numpy as np
import pytest
from device_cases import ROUTES, fill
from problems import noise, small_integers

import numbaconv as nbc
import numbaconv.cuda as nbcuda
from numbaconv.cuda import hidden, transposed

FORWARD = {n: getattr(nbcuda, f"conv_transpose{n}d") for n in (1, 2, 3)}
INPUT_GRADS = {n: getattr(nbcuda, f"conv_transpose{n}d_input_grad") for n in (1, 2, 3)}
WEIGHT_GRADS = {n: getattr(nbcuda, f"conv_transpose{n}d_weight_grad") for n in (1, 2, 3)}
BACKWARDS = {n: getattr(nbcuda, f"conv_transpose{n}d_backward") for n in (1, 2, 3)}
CPU_BACKWARDS = {n: getattr(nbc, f"conv_transpose{n}d_backward") for n in (1, 2, 3)}

#: (x shape, weight shape, stride, padding, output_padding, dilation, groups)
CASES = [
    ((2, 4, 3, 4), (4, 3, 3, 2), (2, 1), ((1, 0), (1, 2)), (1, 0), (1, 1), 2),
    ((1, 3, 3, 4), (3, 2, 4, 4), (2, 2), ((1, 1), (1, 1)), (0, 0), (1, 1), 1),
    ((1, 3, 4, 3), (3, 1, 3, 3), (3, 2), ((2, 0), (0, 1)), (2, 1), (1, 2), 3),
    ((1, 2, 4, 3), (2, 3, 2, 3), (1, 2), ((0, 3), (4, 0)), (0, 3), (3, 4), 1),
    ((1, 2, 2, 3), (2, 2, 5, 5), (5, 5), ((0, 0), (0, 0)), (0, 0), (1, 1), 1),
    ((2, 3, 5), (3, 2, 5), (3,), ((2, 1),), (2,), (2,), 1),
    ((1, 2, 2, 3, 2), (2, 3, 2, 3, 2), (1, 2, 3), ((0, 1), (1, 0), (0, 0)), (0, 1, 2), (2, 1, 1),
     1),
]  # fmt: skip


@pytest.mark.parametrize(("algorithm", "layout"), ROUTES)
@pytest.mark.parametrize("case", CASES)
def test_small_integers_are_exact(case, algorithm, layout, rng, to_device):
    x_shape, weight_shape, stride, padding, extra, dilation, groups = case
    ndim = len(stride)
    x = small_integers(rng, x_shape, "float32")
    weight = small_integers(rng, weight_shape, "float32")
    bias = small_integers(rng, (weight_shape[1] * groups,), "float32")
    expected = naive.conv_transpose(x, weight, bias, stride, padding, extra, dilation, groups)
    last = layout == "channels_last"
    options = {
        "stride": stride, "padding": padding, "output_padding": extra, "groups": groups,
        "dilation": dilation, "layout": layout, "algorithm": algorithm,
    }  # fmt: skip
    given = (naive.channels_last(x), naive.weight_channels_last(weight)) if last else (x, weight)
    given = tuple(to_device(np.ascontiguousarray(a)) for a in given)
    y = FORWARD[ndim](*given, to_device(bias), **options).copy_to_host()
    np.testing.assert_array_equal(naive.channels_first(y) if last else y, expected)

    grad = small_integers(rng, y.shape, "float32")
    found = BACKWARDS[ndim](to_device(grad), *given, **options)
    wanted = CPU_BACKWARDS[ndim](grad, *(a.copy_to_host() for a in given),
                                 **{**options, "algorithm": "im2col"})  # fmt: skip
    for name in ("input", "weight", "bias"):
        np.testing.assert_array_equal(getattr(found, name).copy_to_host(), getattr(wanted, name))


def test_complex_gradients_are_conjugated(rng, to_device):
    x = noise(rng, (1, 2, 3, 3), "complex64").round()
    weight = noise(rng, (2, 2, 2, 2), "complex64").round()
    y = nbc.conv_transpose2d(x, weight, stride=2)
    grad = noise(rng, y.shape, "complex64").round()
    wanted = nbc.conv_transpose2d_backward(grad, x, weight, stride=2)
    for algorithm in ("im2col", "direct"):
        found = nbcuda.conv_transpose2d_backward(
            *map(to_device, (grad, x, weight)), stride=2, algorithm=algorithm
        )
        np.testing.assert_array_equal(found.input.copy_to_host(), wanted.input)
        np.testing.assert_array_equal(found.weight.copy_to_host(), wanted.weight)


def test_output_size_and_same(rng, to_device):
    x, weight = small_integers(rng, (1, 2, 3, 4), "f4"), small_integers(rng, (2, 1, 3, 3), "f4")
    for options in ({"output_size": (6, 4), "padding": 1}, {"padding": "same"}):
        y = nbcuda.conv_transpose2d(to_device(x), to_device(weight), stride=(2, 1), **options)
        expected = nbc.conv_transpose2d(x, weight, stride=(2, 1), **options)
        np.testing.assert_array_equal(y.copy_to_host(), expected)


def test_depthwise(rng, to_device):
    x, weight = small_integers(rng, (1, 3, 3, 4), "f4"), small_integers(rng, (3, 2, 3, 3), "f4")
    y = nbcuda.conv_transpose2d(
        to_device(x), to_device(weight), stride=2, groups=3, algorithm="depthwise"
    )
    expected = nbc.conv_transpose2d(x, weight, stride=2, groups=3)
    np.testing.assert_array_equal(y.copy_to_host(), expected)
    with pytest.raises(ValueError, match="3 channels to sum"):
        nbcuda.conv_transpose2d(to_device(x), to_device(weight), algorithm="depthwise")


@pytest.mark.parametrize("layout", ["channels_first", "channels_last"])
@pytest.mark.parametrize("dtype", ["float32", "float16", "complex64"])
@pytest.mark.parametrize("case", CASES)
def test_what_hidden_padding_spoils_is_formed_again(
    case, dtype, layout, rng, to_device, monkeypatch
):
    """Each NaN near the borders, here all results, from the windows that exist."""
    x_shape, weight_shape, stride, padding, extra, dilation, groups = case
    x, weight = (small_integers(rng, shape, dtype) for shape in (x_shape, weight_shape))
    bias = small_integers(rng, (weight_shape[1] * groups,), dtype)
    expected = naive.conv_transpose(x, weight, bias, stride, padding, extra, dilation, groups)

    def spoil(algorithm, geometry, x, kernels, bias, out, work, conjugated):
        fill(out.data, np.nan)

    class Alarmed:
        """Has seen a weight that is not finite, where there is none."""

        def __getitem__(self, where):
            return lambda weight, seen, p: fill(seen, p[-1])

    monkeypatch.setattr(transposed, "_run_phases", spoil)
    monkeypatch.setattr(hidden, "watch", lambda *_: Alarmed())
    last = layout == "channels_last"
    if last:
        x, weight = naive.channels_last(x), naive.weight_channels_last(weight)
    found = FORWARD[len(stride)](
        *(to_device(np.ascontiguousarray(a)) for a in (x, weight, bias)), stride=stride,
        padding=padding, output_padding=extra, groups=groups, dilation=dilation, layout=layout,
        algorithm="direct",
    ).copy_to_host()  # fmt: skip
    np.testing.assert_array_equal(naive.channels_first(found) if last else found, expected)
