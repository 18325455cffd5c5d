"""Gradients with respect to the weights, over device arrays."""

from typing import Any

import numpy.typing as npt

from numbaconv.api.types import IntOrAxes
from numbaconv.cuda import arrays, call, weight_sums
from numbaconv.cuda.places import Images, Weights
from numbaconv.problem import arguments
from numbaconv.problem.geometry import ConvGeometry


def conv2d_weight_grad(
    x: Any,
    weight_shape: tuple[int, ...],
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
    """Return the gradient of `conv2d` with respect to its weights.

    Parameters
    ----------
    x : device array
        The forward's.
    weight_shape : tuple of int
        Of the forward's weights.
    grad_output : device array
        The gradient with respect to the forward's result.
    stride, padding, dilation, groups, padding_mode, layout, dtype
        As in `numbaconv.conv2d_weight_grad`.
    out : device array, optional
        Where to write, of `weight_shape` and the result's dtype.
    algorithm : {"auto", "exact", "im2col", "direct"}, optional
        As in `conv2d`.

    Returns
    -------
    device array
        Of `weight_shape`, or `out`. Nothing is added up by atomics: it is the same each time.

    Raises
    ------
    TypeError, ValueError
        As in `conv2d`.

    Examples
    --------
    >>> import numpy as np
    >>> from numba import cuda
    >>> import numbaconv.cuda
    >>> x = cuda.to_device(np.arange(9.0).reshape(1, 1, 3, 3))
    >>> grad = cuda.to_device(np.ones((1, 1, 2, 2)))
    >>> numbaconv.cuda.conv2d_weight_grad(x, (1, 1, 2, 2), grad).copy_to_host()
    array([[[[ 8., 12.],
             [20., 24.]]]])
    """
    return _weight_grad(
        2, x, weight_shape, grad_output, stride, padding, dilation, groups, padding_mode, layout,
        dtype, out, algorithm,
    )  # fmt: skip


def conv1d_weight_grad(
    x: Any,
    weight_shape: tuple[int, ...],
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
    """Return `numbaconv.conv1d_weight_grad` of device arrays; see `conv2d_weight_grad`."""
    return _weight_grad(
        1, x, weight_shape, grad_output, stride, padding, dilation, groups, padding_mode, layout,
        dtype, out, algorithm,
    )  # fmt: skip


def conv3d_weight_grad(
    x: Any,
    weight_shape: tuple[int, ...],
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
    """Return `numbaconv.conv3d_weight_grad` of device arrays; see `conv2d_weight_grad`."""
    return _weight_grad(
        3, x, weight_shape, grad_output, stride, padding, dilation, groups, padding_mode, layout,
        dtype, out, algorithm,
    )  # fmt: skip


def conv_transpose2d_weight_grad(
    x: Any,
    weight_shape: tuple[int, ...],
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
    """Return `numbaconv.conv_transpose2d_weight_grad` of device arrays; see `conv2d`."""
    return _transposed_weight_grad(
        2, x, weight_shape, grad_output, stride, padding, output_padding, groups, dilation, layout,
        dtype, out, algorithm,
    )  # fmt: skip


def conv_transpose1d_weight_grad(
    x: Any,
    weight_shape: tuple[int, ...],
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
    """Return `numbaconv.conv_transpose1d_weight_grad` of device arrays; see `conv2d`."""
    return _transposed_weight_grad(
        1, x, weight_shape, grad_output, stride, padding, output_padding, groups, dilation, layout,
        dtype, out, algorithm,
    )  # fmt: skip


def conv_transpose3d_weight_grad(
    x: Any,
    weight_shape: tuple[int, ...],
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
    """Return `numbaconv.conv_transpose3d_weight_grad` of device arrays; see `conv2d`."""
    return _transposed_weight_grad(
        3, x, weight_shape, grad_output, stride, padding, output_padding, groups, dilation, layout,
        dtype, out, algorithm,
    )  # fmt: skip


def _weight_grad(
    ndim: int,
    x: Any,
    weight_shape: Any,
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
    source, grad = arrays.take(x, "x"), arrays.take(grad_output, "grad_output")
    shape = arguments.shape(weight_shape, "weight_shape")
    geometry = ConvGeometry.parse(
        ndim, source.shape, shape, stride, padding, dilation, groups, padding_mode, layout,
        weight_name="weight_shape",
    )  # fmt: skip
    arguments.check_grad(grad.shape, geometry.output_shape)
    result = arguments.result_dtype(dtype, x=source.dtype, grad_output=grad.dtype)
    chosen = weight_sums.choose(call.check_algorithm(algorithm))
    conjugated = "x" if source.dtype.kind == "c" else ""
    last, batched = geometry.channels_last, geometry.batched

    def compute(target: arrays.DeviceArray, stream: Any) -> None:
        weight_sums.run(
            chosen,
            geometry,
            Images.of(source.batched(batched), last, stream),
            Images.of(grad.batched(batched), last, stream),
            Weights.of(target, geometry.groups, last),
            call.work_type(result),
            conjugated,
        )

    return call.run(out, shape, result, (source, grad), compute)


def _transposed_weight_grad(
    ndim: int,
    x: Any,
    weight_shape: Any,
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
    source, grad = arrays.take(x, "x"), arrays.take(grad_output, "grad_output")
    shape = arguments.shape(weight_shape, "weight_shape")
    whole = ConvGeometry.parse_transposed(
        ndim, source.shape, shape, stride, padding, output_padding, groups, dilation, None,
        layout, weight_name="weight_shape",
    )  # fmt: skip
    arguments.check_grad(grad.shape, whole.input_shape)
    geometry = whole.cropped
    result = arguments.result_dtype(dtype, x=source.dtype, grad_output=grad.dtype)
    chosen = weight_sums.choose(call.check_algorithm(algorithm))
    conjugated = "grad" if source.dtype.kind == "c" else ""
    last, batched = geometry.channels_last, geometry.batched

    def compute(target: arrays.DeviceArray, stream: Any) -> None:
        # The convolution that this is the adjoint of reads the output's gradient, and writes to x.
        read = Images.of(grad.batched(batched), last, stream)
        weight_sums.run(
            chosen,
            geometry,
            read.cut(tuple(slice(n) for n in geometry.window.size)),
            Images.of(source.batched(batched), last, stream),
            Weights.of(target, geometry.groups, last),
            call.work_type(result),
            conjugated,
        )

    return call.run(out, shape, result, (source, grad), compute)
