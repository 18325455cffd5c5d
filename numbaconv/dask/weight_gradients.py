"""Gradients with respect to the weights, over dask arrays."""

from typing import Any

import dask.array as da
import numpy.typing as npt

from numbaconv.api.types import IntOrAxes
from numbaconv.dask import arrays, weight_sums
from numbaconv.problem import arguments
from numbaconv.problem.geometry import ConvGeometry
from numbaconv.weight_grad.choice import resolve


def conv2d_weight_grad(
    x: da.Array,
    weight_shape: tuple[int, ...],
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
    """Return the gradient of `conv2d` with respect to its weights, lazily.

    Parameters
    ----------
    x, grad_output : dask array
        The forward's input, and the gradient with respect to its result, each in any chunks.
    weight_shape : tuple of int
        Of the forward's weights.
    stride, padding, dilation, groups, padding_mode, layout, dtype
        As in `numbaconv.conv2d_weight_grad`.
    algorithm, parallel
        As in `conv2d`.

    Returns
    -------
    dask array
        Of `weight_shape`, in one chunk: a sum for each chunk of `grad_output`, added as a tree.

    Raises
    ------
    TypeError, ValueError
        As in `conv2d`.

    Examples
    --------
    >>> import dask.array as da
    >>> import numbaconv.dask
    >>> x, grad = (da.ones((4, 1, n, n), chunks=(1, 1, 5, 4)) for n in (11, 9))
    >>> numbaconv.dask.conv2d_weight_grad(x, (1, 1, 3, 3), grad)[0, 0].compute()
    array([[324., 324., 324.],
           [324., 324., 324.],
           [324., 324., 324.]])
    """
    return _weight_grad(
        2, x, weight_shape, grad_output, stride, padding, dilation, groups, padding_mode,
        layout, dtype, algorithm, parallel,
    )  # fmt: skip


def conv1d_weight_grad(
    x: da.Array,
    weight_shape: tuple[int, ...],
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
    """Return `numbaconv.conv1d_weight_grad` lazily; see `conv2d_weight_grad`."""
    return _weight_grad(
        1, x, weight_shape, grad_output, stride, padding, dilation, groups, padding_mode,
        layout, dtype, algorithm, parallel,
    )  # fmt: skip


def conv3d_weight_grad(
    x: da.Array,
    weight_shape: tuple[int, ...],
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
    """Return `numbaconv.conv3d_weight_grad` lazily; see `conv2d_weight_grad`."""
    return _weight_grad(
        3, x, weight_shape, grad_output, stride, padding, dilation, groups, padding_mode,
        layout, dtype, algorithm, parallel,
    )  # fmt: skip


def conv_transpose2d_weight_grad(
    x: da.Array,
    weight_shape: tuple[int, ...],
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
    """Return `numbaconv.conv_transpose2d_weight_grad` lazily; see `conv2d_weight_grad`."""
    return _transposed_weight_grad(
        2, x, weight_shape, grad_output, stride, padding, output_padding, groups, dilation,
        layout, dtype, algorithm, parallel,
    )  # fmt: skip


def conv_transpose1d_weight_grad(
    x: da.Array,
    weight_shape: tuple[int, ...],
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
    """Return `numbaconv.conv_transpose1d_weight_grad` lazily; see `conv2d_weight_grad`."""
    return _transposed_weight_grad(
        1, x, weight_shape, grad_output, stride, padding, output_padding, groups, dilation,
        layout, dtype, algorithm, parallel,
    )  # fmt: skip


def conv_transpose3d_weight_grad(
    x: da.Array,
    weight_shape: tuple[int, ...],
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
    """Return `numbaconv.conv_transpose3d_weight_grad` lazily; see `conv2d_weight_grad`."""
    return _transposed_weight_grad(
        3, x, weight_shape, grad_output, stride, padding, output_padding, groups, dilation,
        layout, dtype, algorithm, parallel,
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
    algorithm: Any,
    parallel: Any,
) -> da.Array:
    source, grad = arrays.lazy(x, "x"), arrays.lazy(grad_output, "grad_output")
    shape = arguments.shape(weight_shape, "weight_shape")
    geometry = ConvGeometry.parse(
        ndim, source.shape, shape, stride, padding, dilation, groups, padding_mode, layout,
        weight_name="weight_shape",
    )  # fmt: skip
    arguments.check_grad(grad.shape, geometry.output_shape)
    result = arguments.result_dtype(dtype, x=source.dtype, grad_output=grad.dtype)
    resolve(geometry, shape, result, algorithm)  # where it cannot run, that is known now
    return weight_sums.weight_grad(
        geometry, arrays.batched(source, geometry.batched), shape,
        arrays.batched(grad, geometry.batched), result, algorithm,
        arguments.flag(parallel, "parallel"), conjugate="x",
    )  # fmt: skip


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
    algorithm: Any,
    parallel: Any,
) -> da.Array:
    source, grad = arrays.lazy(x, "x"), arrays.lazy(grad_output, "grad_output")
    shape = arguments.shape(weight_shape, "weight_shape")
    whole = ConvGeometry.parse_transposed(
        ndim, source.shape, shape, stride, padding, output_padding, groups, dilation, None,
        layout, weight_name="weight_shape",
    )  # fmt: skip
    arguments.check_grad(grad.shape, whole.input_shape)
    geometry = whole.cropped
    result = arguments.result_dtype(dtype, x=source.dtype, grad_output=grad.dtype)
    resolve(geometry, shape, result, algorithm)
    # The convolution that this is the adjoint of reads the output's gradient, and writes to x.
    return weight_sums.weight_grad(
        geometry, arrays.cropped(arrays.batched(grad, geometry.batched), geometry), shape,
        arrays.batched(source, geometry.batched), result, algorithm,
        arguments.flag(parallel, "parallel"), conjugate="grad",
    )  # fmt: skip
