"""Gradients with respect to the input, over dask arrays."""

from typing import Any

import dask.array as da
import numpy as np
import numpy.typing as npt

from numbaconv.api.types import IntOrAxes
from numbaconv.dask import arrays, convolve
from numbaconv.problem import arguments
from numbaconv.problem.geometry import ConvGeometry


def conv2d_input_grad(
    input_shape: tuple[int, ...],
    weight: Any,
    grad_output: da.Array,
    stride: IntOrAxes = 1,
    padding: Any = 0,
    dilation: IntOrAxes = 1,
    groups: int = 1,
    *,
    padding_mode: str = "zeros",
    layout: str = "channels_first",
    dtype: npt.DTypeLike | None = None,
    algorithm: str = "auto",
    parallel: bool = False,
) -> da.Array:
    """Return the gradient of `conv2d` with respect to its input, lazily.

    Parameters
    ----------
    input_shape : tuple of int
        Of the forward's `x`.
    weight : array_like or dask array
        The forward's.
    grad_output : dask array
        The gradient with respect to the forward's result, in any chunks.
    stride, padding, dilation, groups, padding_mode, layout, dtype
        As in `numbaconv.conv2d_input_grad`.
    algorithm, parallel
        As in `conv2d`.

    Returns
    -------
    dask array
        Of `input_shape`, in a block for each chunk of `grad_output`; with a padding mode other than
        zeros, spatial axes are one chunk.

    Raises
    ------
    TypeError, ValueError
        As in `conv2d`.

    Examples
    --------
    >>> import dask.array as da
    >>> import numpy as np
    >>> import numbaconv.dask
    >>> grad = da.ones((4, 2, 9, 9), chunks=(2, 2, 5, 4))
    >>> numbaconv.dask.conv2d_input_grad((4, 3, 11, 11), np.ones((2, 3, 3, 3)), grad).chunks
    ((2, 2), (3,), (6, 5), (5, 4, 2))
    """
    return _input_grad(
        2, input_shape, weight, grad_output, stride, padding, dilation, groups, padding_mode,
        layout, dtype, algorithm, parallel,
    )  # fmt: skip


def conv1d_input_grad(
    input_shape: tuple[int, ...],
    weight: Any,
    grad_output: da.Array,
    stride: IntOrAxes = 1,
    padding: Any = 0,
    dilation: IntOrAxes = 1,
    groups: int = 1,
    *,
    padding_mode: str = "zeros",
    layout: str = "channels_first",
    dtype: npt.DTypeLike | None = None,
    algorithm: str = "auto",
    parallel: bool = False,
) -> da.Array:
    """Return `numbaconv.conv1d_input_grad` lazily; see `conv2d_input_grad`."""
    return _input_grad(
        1, input_shape, weight, grad_output, stride, padding, dilation, groups, padding_mode,
        layout, dtype, algorithm, parallel,
    )  # fmt: skip


def conv3d_input_grad(
    input_shape: tuple[int, ...],
    weight: Any,
    grad_output: da.Array,
    stride: IntOrAxes = 1,
    padding: Any = 0,
    dilation: IntOrAxes = 1,
    groups: int = 1,
    *,
    padding_mode: str = "zeros",
    layout: str = "channels_first",
    dtype: npt.DTypeLike | None = None,
    algorithm: str = "auto",
    parallel: bool = False,
) -> da.Array:
    """Return `numbaconv.conv3d_input_grad` lazily; see `conv2d_input_grad`."""
    return _input_grad(
        3, input_shape, weight, grad_output, stride, padding, dilation, groups, padding_mode,
        layout, dtype, algorithm, parallel,
    )  # fmt: skip


def conv_transpose2d_input_grad(
    input_shape: tuple[int, ...],
    weight: Any,
    grad_output: da.Array,
    stride: IntOrAxes = 1,
    padding: Any = 0,
    output_padding: IntOrAxes = 0,
    groups: int = 1,
    dilation: IntOrAxes = 1,
    *,
    layout: str = "channels_first",
    dtype: npt.DTypeLike | None = None,
    algorithm: str = "auto",
    parallel: bool = False,
) -> da.Array:
    """Return `numbaconv.conv_transpose2d_input_grad` lazily; see `conv2d`."""
    return _transposed_input_grad(
        2, input_shape, weight, grad_output, stride, padding, output_padding, groups, dilation,
        layout, dtype, algorithm, parallel,
    )  # fmt: skip


def conv_transpose1d_input_grad(
    input_shape: tuple[int, ...],
    weight: Any,
    grad_output: da.Array,
    stride: IntOrAxes = 1,
    padding: Any = 0,
    output_padding: IntOrAxes = 0,
    groups: int = 1,
    dilation: IntOrAxes = 1,
    *,
    layout: str = "channels_first",
    dtype: npt.DTypeLike | None = None,
    algorithm: str = "auto",
    parallel: bool = False,
) -> da.Array:
    """Return `numbaconv.conv_transpose1d_input_grad` lazily; see `conv2d`."""
    return _transposed_input_grad(
        1, input_shape, weight, grad_output, stride, padding, output_padding, groups, dilation,
        layout, dtype, algorithm, parallel,
    )  # fmt: skip


def conv_transpose3d_input_grad(
    input_shape: tuple[int, ...],
    weight: Any,
    grad_output: da.Array,
    stride: IntOrAxes = 1,
    padding: Any = 0,
    output_padding: IntOrAxes = 0,
    groups: int = 1,
    dilation: IntOrAxes = 1,
    *,
    layout: str = "channels_first",
    dtype: npt.DTypeLike | None = None,
    algorithm: str = "auto",
    parallel: bool = False,
) -> da.Array:
    """Return `numbaconv.conv_transpose3d_input_grad` lazily; see `conv2d`."""
    return _transposed_input_grad(
        3, input_shape, weight, grad_output, stride, padding, output_padding, groups, dilation,
        layout, dtype, algorithm, parallel,
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
    algorithm: Any,
    parallel: Any,
) -> da.Array:
    kernels, grad = _conjugated(weight), arrays.lazy(grad_output, "grad_output")
    geometry = ConvGeometry.parse(
        ndim, arguments.shape(input_shape, "input_shape"), kernels.shape, stride, padding, dilation,
        groups, padding_mode, layout, name="input_shape",
    )  # fmt: skip
    arguments.check_grad(grad.shape, geometry.output_shape)
    result = arguments.result_dtype(dtype, weight=kernels.dtype, grad_output=grad.dtype)
    y = convolve.adjoint(
        geometry, arrays.batched(grad, geometry.batched), kernels, None, result, algorithm,
        arguments.flag(parallel, "parallel"),
    )  # fmt: skip
    return arrays.unbatched(y, geometry.batched)


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
    algorithm: Any,
    parallel: Any,
) -> da.Array:
    kernels, grad = _conjugated(weight), arrays.lazy(grad_output, "grad_output")
    whole = ConvGeometry.parse_transposed(
        ndim, arguments.shape(input_shape, "input_shape"), kernels.shape, stride, padding,
        output_padding, groups, dilation, None, layout, name="input_shape",
    )  # fmt: skip
    arguments.check_grad(grad.shape, whole.input_shape)
    geometry = whole.cropped
    result = arguments.result_dtype(dtype, weight=kernels.dtype, grad_output=grad.dtype)
    source = arrays.cropped(arrays.batched(grad, geometry.batched), geometry)
    y = convolve.forward(
        geometry, source, kernels, None, result, algorithm, arguments.flag(parallel, "parallel")
    )
    return arrays.unbatched(y, geometry.batched)


def _conjugated(weight: Any) -> Any:
    """Return weights as the gradient takes them: conjugated where complex."""
    kernels = arrays.shared(weight, "weight")
    return np.conj(kernels) if kernels.dtype.kind == "c" else kernels
