"""All gradients of a convolution over device arrays, in one call."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy.typing as npt

from numbaconv.api.backward import NEEDS, Gradients, check_forward, checked_needs
from numbaconv.api.types import IntOrAxes
from numbaconv.cuda import arrays, call, input_gradients, weight_gradients, weight_sums
from numbaconv.cuda.places import Images
from numbaconv.problem import arguments


def conv2d_backward(
    grad_output: Any,
    x: Any,
    weight: Any,
    stride: IntOrAxes = 1,
    padding: Any = 0,
    dilation: IntOrAxes = 1,
    groups: int = 1,
    *,
    needs: Sequence[str] = NEEDS,
    padding_mode: str = "zeros",
    layout: str = "channels_first",
    dtype: npt.DTypeLike | None = None,
    algorithm: str = "auto",
) -> Gradients:
    """Return the gradients of `conv2d` with respect to its input, its weights and its bias.

    Parameters
    ----------
    grad_output, x, weight : device array
        The gradient with respect to the forward's result, and the forward's arguments.
    stride, padding, dilation, groups, padding_mode, layout
        The forward's.
    needs : sequence of {"input", "weight", "bias"}, optional
        What to compute.
    dtype, algorithm
        As in `conv2d_input_grad`.

    Returns
    -------
    Gradients
        A named tuple ``(input, weight, bias)`` of device arrays, None for what is not needed.

    Raises
    ------
    TypeError, ValueError
        As in `conv2d`.

    Examples
    --------
    >>> import numpy as np
    >>> from numba import cuda
    >>> import numbaconv.cuda
    >>> x, weight = cuda.to_device(np.ones((2, 1, 3, 3))), cuda.to_device(np.ones((1, 1, 2, 2)))
    >>> grad = cuda.to_device(np.ones((2, 1, 2, 2)))
    >>> numbaconv.cuda.conv2d_backward(grad, x, weight).bias.copy_to_host()
    array([8.])
    """
    forward = {
        "stride": stride, "padding": padding, "dilation": dilation, "groups": groups,
        "padding_mode": padding_mode,
    }  # fmt: skip
    return _backward(
        input_gradients.conv2d_input_grad, weight_gradients.conv2d_weight_grad, 2, grad_output, x,
        weight, forward, needs, layout, dtype, algorithm,
    )  # fmt: skip


def conv1d_backward(
    grad_output: Any,
    x: Any,
    weight: Any,
    stride: IntOrAxes = 1,
    padding: Any = 0,
    dilation: IntOrAxes = 1,
    groups: int = 1,
    *,
    needs: Sequence[str] = NEEDS,
    padding_mode: str = "zeros",
    layout: str = "channels_first",
    dtype: npt.DTypeLike | None = None,
    algorithm: str = "auto",
) -> Gradients:
    """Return `numbaconv.conv1d_backward` of device arrays; see `conv2d_backward`."""
    forward = {
        "stride": stride, "padding": padding, "dilation": dilation, "groups": groups,
        "padding_mode": padding_mode,
    }  # fmt: skip
    return _backward(
        input_gradients.conv1d_input_grad, weight_gradients.conv1d_weight_grad, 1, grad_output, x,
        weight, forward, needs, layout, dtype, algorithm,
    )  # fmt: skip


def conv3d_backward(
    grad_output: Any,
    x: Any,
    weight: Any,
    stride: IntOrAxes = 1,
    padding: Any = 0,
    dilation: IntOrAxes = 1,
    groups: int = 1,
    *,
    needs: Sequence[str] = NEEDS,
    padding_mode: str = "zeros",
    layout: str = "channels_first",
    dtype: npt.DTypeLike | None = None,
    algorithm: str = "auto",
) -> Gradients:
    """Return `numbaconv.conv3d_backward` of device arrays; see `conv2d_backward`."""
    forward = {
        "stride": stride, "padding": padding, "dilation": dilation, "groups": groups,
        "padding_mode": padding_mode,
    }  # fmt: skip
    return _backward(
        input_gradients.conv3d_input_grad, weight_gradients.conv3d_weight_grad, 3, grad_output, x,
        weight, forward, needs, layout, dtype, algorithm,
    )  # fmt: skip


def conv_transpose2d_backward(
    grad_output: Any,
    x: Any,
    weight: Any,
    stride: IntOrAxes = 1,
    padding: Any = 0,
    output_padding: IntOrAxes = 0,
    groups: int = 1,
    dilation: IntOrAxes = 1,
    *,
    needs: Sequence[str] = NEEDS,
    layout: str = "channels_first",
    dtype: npt.DTypeLike | None = None,
    algorithm: str = "auto",
) -> Gradients:
    """Return `numbaconv.conv_transpose2d_backward` of device arrays; see `conv2d_backward`."""
    forward = {
        "stride": stride, "padding": padding, "output_padding": output_padding, "groups": groups,
        "dilation": dilation,
    }  # fmt: skip
    return _backward(
        input_gradients.conv_transpose2d_input_grad,
        weight_gradients.conv_transpose2d_weight_grad, 2, grad_output, x, weight, forward, needs,
        layout, dtype, algorithm,
    )  # fmt: skip


def conv_transpose1d_backward(
    grad_output: Any,
    x: Any,
    weight: Any,
    stride: IntOrAxes = 1,
    padding: Any = 0,
    output_padding: IntOrAxes = 0,
    groups: int = 1,
    dilation: IntOrAxes = 1,
    *,
    needs: Sequence[str] = NEEDS,
    layout: str = "channels_first",
    dtype: npt.DTypeLike | None = None,
    algorithm: str = "auto",
) -> Gradients:
    """Return `numbaconv.conv_transpose1d_backward` of device arrays; see `conv2d_backward`."""
    forward = {
        "stride": stride, "padding": padding, "output_padding": output_padding, "groups": groups,
        "dilation": dilation,
    }  # fmt: skip
    return _backward(
        input_gradients.conv_transpose1d_input_grad,
        weight_gradients.conv_transpose1d_weight_grad, 1, grad_output, x, weight, forward, needs,
        layout, dtype, algorithm,
    )  # fmt: skip


def conv_transpose3d_backward(
    grad_output: Any,
    x: Any,
    weight: Any,
    stride: IntOrAxes = 1,
    padding: Any = 0,
    output_padding: IntOrAxes = 0,
    groups: int = 1,
    dilation: IntOrAxes = 1,
    *,
    needs: Sequence[str] = NEEDS,
    layout: str = "channels_first",
    dtype: npt.DTypeLike | None = None,
    algorithm: str = "auto",
) -> Gradients:
    """Return `numbaconv.conv_transpose3d_backward` of device arrays; see `conv2d_backward`."""
    forward = {
        "stride": stride, "padding": padding, "output_padding": output_padding, "groups": groups,
        "dilation": dilation,
    }  # fmt: skip
    return _backward(
        input_gradients.conv_transpose3d_input_grad,
        weight_gradients.conv_transpose3d_weight_grad, 3, grad_output, x, weight, forward, needs,
        layout, dtype, algorithm,
    )  # fmt: skip


def _backward(
    input_grad: Callable[..., Any],
    weight_grad: Callable[..., Any],
    ndim: int,
    grad_output: Any,
    x: Any,
    weight: Any,
    forward: dict[str, Any],
    needs: Sequence[str],
    layout: str,
    dtype: npt.DTypeLike | None,
    algorithm: str,
) -> Gradients:
    wanted = checked_needs(needs)
    options: dict[str, Any] = {
        **forward, "layout": layout, "dtype": dtype, "algorithm": algorithm,
    }  # fmt: skip
    x_shape, weight_shape = arrays.take(x, "x").shape, arrays.take(weight, "weight").shape
    grad = arrays.take(grad_output, "grad_output")
    check_forward(ndim, x_shape, weight_shape, grad, forward, layout, dtype)
    return Gradients(
        input_grad(x_shape, weight, grad_output, **options) if "input" in wanted else None,
        weight_grad(x, weight_shape, grad_output, **options) if "weight" in wanted else None,
        _bias_grad(grad_output, ndim, layout, dtype) if "bias" in wanted else None,
    )


def _bias_grad(grad_output: Any, ndim: int, layout: Any, dtype: npt.DTypeLike | None) -> Any:
    """Return the sums over images and positions."""
    grad = arrays.take(grad_output, "grad_output")
    last = layout == "channels_last"
    result = arguments.result_dtype(dtype, grad_output=grad.dtype)
    images = grad.batched(len(grad.shape) == ndim + 2)
    channels = images.shape[-1 if last else 1]

    def compute(target: arrays.DeviceArray, stream: Any) -> None:
        weight_sums.sum_bias(
            images.shape[0], channels, Images.of(images, last, stream), target,
            call.work_type(result), stream,
        )  # fmt: skip

    return call.run(None, (channels,), result, (grad,), compute)
