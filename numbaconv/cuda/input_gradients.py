"""Gradients with respect to the input, over device arrays."""

from typing import Any

import numpy.typing as npt

from numbaconv.api.types import IntOrAxes
from numbaconv.cuda import arrays, call, convolve, transposed
from numbaconv.cuda.places import Images, Weights
from numbaconv.problem import arguments
from numbaconv.problem.geometry import ConvGeometry


def conv2d_input_grad(
    input_shape: tuple[int, ...],
    weight: Any,
    grad_output: Any,
    stride: IntOrAxes = 1,
    padding: Any = 0,
    dilation: IntOrAxes = 1,
    groups: int = 1,
    *,
    padding_mode: str = "zeros",
    layout: str = "channels_first",
    dtype: npt.DTypeLike | None = None,
    out: Any = None,
    algorithm: str = "auto",
) -> Any:
    """Return the gradient of `conv2d` with respect to its input.

    Parameters
    ----------
    input_shape : tuple of int
        Of the forward's `x`.
    weight, grad_output : device array
        The forward's weights, and the gradient with respect to its result.
    stride, padding, dilation, groups, padding_mode, layout, dtype
        As in `numbaconv.conv2d_input_grad`.
    out, algorithm
        As in `conv_transpose2d`.

    Returns
    -------
    device array
        Of `input_shape`, or `out`. Nothing is added up by atomics: it is the same each time.

    Raises
    ------
    TypeError, ValueError
        As in `conv2d`.

    Examples
    --------
    >>> import numpy as np
    >>> from numba import cuda
    >>> import numbaconv.cuda
    >>> weight, grad = cuda.to_device(np.ones((1, 1, 2, 2))), cuda.to_device(np.ones((1, 1, 2, 2)))
    >>> numbaconv.cuda.conv2d_input_grad((1, 1, 3, 3), weight, grad).copy_to_host()
    array([[[[1., 2., 1.],
             [2., 4., 2.],
             [1., 2., 1.]]]])
    """
    return _input_grad(
        2, input_shape, weight, grad_output, stride, padding, dilation, groups, padding_mode,
        layout, dtype, out, algorithm,
    )  # fmt: skip


def conv1d_input_grad(
    input_shape: tuple[int, ...],
    weight: Any,
    grad_output: Any,
    stride: IntOrAxes = 1,
    padding: Any = 0,
    dilation: IntOrAxes = 1,
    groups: int = 1,
    *,
    padding_mode: str = "zeros",
    layout: str = "channels_first",
    dtype: npt.DTypeLike | None = None,
    out: Any = None,
    algorithm: str = "auto",
) -> Any:
    """Return `numbaconv.conv1d_input_grad` of device arrays; see `conv2d_input_grad`."""
    return _input_grad(
        1, input_shape, weight, grad_output, stride, padding, dilation, groups, padding_mode,
        layout, dtype, out, algorithm,
    )  # fmt: skip


def conv3d_input_grad(
    input_shape: tuple[int, ...],
    weight: Any,
    grad_output: Any,
    stride: IntOrAxes = 1,
    padding: Any = 0,
    dilation: IntOrAxes = 1,
    groups: int = 1,
    *,
    padding_mode: str = "zeros",
    layout: str = "channels_first",
    dtype: npt.DTypeLike | None = None,
    out: Any = None,
    algorithm: str = "auto",
) -> Any:
    """Return `numbaconv.conv3d_input_grad` of device arrays; see `conv2d_input_grad`."""
    return _input_grad(
        3, input_shape, weight, grad_output, stride, padding, dilation, groups, padding_mode,
        layout, dtype, out, algorithm,
    )  # fmt: skip


def conv_transpose2d_input_grad(
    input_shape: tuple[int, ...],
    weight: Any,
    grad_output: Any,
    stride: IntOrAxes = 1,
    padding: Any = 0,
    output_padding: IntOrAxes = 0,
    groups: int = 1,
    dilation: IntOrAxes = 1,
    *,
    layout: str = "channels_first",
    dtype: npt.DTypeLike | None = None,
    out: Any = None,
    algorithm: str = "auto",
) -> Any:
    """Return `numbaconv.conv_transpose2d_input_grad` of device arrays; see `conv2d`."""
    return _transposed_input_grad(
        2, input_shape, weight, grad_output, stride, padding, output_padding, groups, dilation,
        layout, dtype, out, algorithm,
    )  # fmt: skip


def conv_transpose1d_input_grad(
    input_shape: tuple[int, ...],
    weight: Any,
    grad_output: Any,
    stride: IntOrAxes = 1,
    padding: Any = 0,
    output_padding: IntOrAxes = 0,
    groups: int = 1,
    dilation: IntOrAxes = 1,
    *,
    layout: str = "channels_first",
    dtype: npt.DTypeLike | None = None,
    out: Any = None,
    algorithm: str = "auto",
) -> Any:
    """Return `numbaconv.conv_transpose1d_input_grad` of device arrays; see `conv2d`."""
    return _transposed_input_grad(
        1, input_shape, weight, grad_output, stride, padding, output_padding, groups, dilation,
        layout, dtype, out, algorithm,
    )  # fmt: skip


def conv_transpose3d_input_grad(
    input_shape: tuple[int, ...],
    weight: Any,
    grad_output: Any,
    stride: IntOrAxes = 1,
    padding: Any = 0,
    output_padding: IntOrAxes = 0,
    groups: int = 1,
    dilation: IntOrAxes = 1,
    *,
    layout: str = "channels_first",
    dtype: npt.DTypeLike | None = None,
    out: Any = None,
    algorithm: str = "auto",
) -> Any:
    """Return `numbaconv.conv_transpose3d_input_grad` of device arrays; see `conv2d`."""
    return _transposed_input_grad(
        3, input_shape, weight, grad_output, stride, padding, output_padding, groups, dilation,
        layout, dtype, out, algorithm,
    )  # fmt: skip


def _input_grad(
    ndim: int,
    input_shape: Any,
    weight: Any,
    grad_output: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: Any,
    padding_mode: Any,
    layout: Any,
    dtype: npt.DTypeLike | None,
    out: Any,
    algorithm: Any,
) -> Any:
    kernels, grad = arrays.take(weight, "weight"), arrays.take(grad_output, "grad_output")
    shape = arguments.shape(input_shape, "input_shape")
    geometry = ConvGeometry.parse(
        ndim, shape, kernels.shape, stride, padding, dilation, groups, padding_mode, layout,
        name="input_shape",
    )  # fmt: skip
    arguments.check_grad(grad.shape, geometry.output_shape)
    result = arguments.result_dtype(dtype, weight=kernels.dtype, grad_output=grad.dtype)
    chosen = transposed.choose(call.check_algorithm(algorithm), geometry)
    arguments.check_addressable(shape, result)
    last, batched = geometry.channels_last, geometry.batched

    def compute(target: arrays.DeviceArray, stream: Any) -> None:
        transposed.run(
            chosen,
            geometry,
            Images.of(grad.batched(batched), last, stream),
            Weights.of(kernels, geometry.groups, last),
            None,
            Images.of(target.batched(batched), last, stream),
            call.work_type(result),
            conjugated=kernels.dtype.kind == "c",
        )

    return call.run(out, shape, result, (kernels, grad), compute)


def _transposed_input_grad(
    ndim: int,
    input_shape: Any,
    weight: Any,
    grad_output: Any,
    stride: Any,
    padding: Any,
    output_padding: Any,
    groups: Any,
    dilation: Any,
    layout: Any,
    dtype: npt.DTypeLike | None,
    out: Any,
    algorithm: Any,
) -> Any:
    kernels, grad = arrays.take(weight, "weight"), arrays.take(grad_output, "grad_output")
    shape = arguments.shape(input_shape, "input_shape")
    whole = ConvGeometry.parse_transposed(
        ndim, shape, kernels.shape, stride, padding, output_padding, groups, dilation, None, layout,
        name="input_shape",
    )  # fmt: skip
    arguments.check_grad(grad.shape, whole.input_shape)
    geometry = whole.cropped
    result = arguments.result_dtype(dtype, weight=kernels.dtype, grad_output=grad.dtype)
    chosen = convolve.choose(call.check_algorithm(algorithm), geometry)
    last, batched = geometry.channels_last, geometry.batched

    def compute(target: arrays.DeviceArray, stream: Any) -> None:
        source = Images.of(grad.batched(batched), last, stream)
        convolve.run(
            chosen,
            geometry,
            source.cut(tuple(slice(n) for n in geometry.window.size)),
            Weights.of(kernels, geometry.groups, last),
            None,
            Images.of(target.batched(batched), last, stream),
            call.work_type(result),
            conjugated=kernels.dtype.kind == "c",
        )

    return call.run(out, shape, result, (kernels, grad), compute)
