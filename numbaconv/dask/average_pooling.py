"""Average pools and their backward passes over dask arrays."""

from typing import Any

import dask.array as da

from numbaconv.api.avg_pool import checked_divisor
from numbaconv.api.types import IntOrAxes
from numbaconv.dask import arrays, pools
from numbaconv.problem import arguments
from numbaconv.problem.pool_geometry import PoolGeometry


def avg_pool2d(
    x: da.Array,
    kernel_size: IntOrAxes,
    stride: IntOrAxes | None = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
    *,
    dilation: IntOrAxes = 1,
    layout: str = "channels_first",
    parallel: bool = False,
) -> da.Array:
    """Return the mean of each window, lazily: `numbaconv.avg_pool2d`.

    Parameters
    ----------
    x : dask array
        In any chunks.
    kernel_size, stride, padding, dilation, ceil_mode, count_include_pad, divisor_override, layout
        As in `numbaconv.avg_pool2d`.
    parallel : bool, optional
        As in `conv2d`.

    Returns
    -------
    dask array
        The means.

    Raises
    ------
    TypeError, ValueError
        As in `numbaconv.avg_pool2d`; `x` must be a dask array of known chunks.

    Examples
    --------
    >>> import dask.array as da
    >>> import numbaconv.dask
    >>> x = da.arange(36.0, chunks=36).reshape(1, 1, 6, 6).rechunk((1, 1, 4, 3))
    >>> numbaconv.dask.avg_pool2d(x, 3)[0, 0].compute()
    array([[ 7., 10.],
           [25., 28.]])
    """
    return _avg_pool(
        2, x, kernel_size, stride, padding, dilation, ceil_mode, count_include_pad,
        divisor_override, layout, parallel,
    )  # fmt: skip


def avg_pool1d(
    x: da.Array,
    kernel_size: IntOrAxes,
    stride: IntOrAxes | None = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
    *,
    dilation: IntOrAxes = 1,
    layout: str = "channels_first",
    parallel: bool = False,
) -> da.Array:
    """Return `numbaconv.avg_pool1d` lazily; see `avg_pool2d`."""
    return _avg_pool(
        1, x, kernel_size, stride, padding, dilation, ceil_mode, count_include_pad,
        divisor_override, layout, parallel,
    )  # fmt: skip


def avg_pool3d(
    x: da.Array,
    kernel_size: IntOrAxes,
    stride: IntOrAxes | None = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
    *,
    dilation: IntOrAxes = 1,
    layout: str = "channels_first",
    parallel: bool = False,
) -> da.Array:
    """Return `numbaconv.avg_pool3d` lazily; see `avg_pool2d`."""
    return _avg_pool(
        3, x, kernel_size, stride, padding, dilation, ceil_mode, count_include_pad,
        divisor_override, layout, parallel,
    )  # fmt: skip


def avg_pool2d_backward(
    grad_output: da.Array,
    input_shape: tuple[int, ...],
    kernel_size: IntOrAxes,
    stride: IntOrAxes | None = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
    *,
    dilation: IntOrAxes = 1,
    layout: str = "channels_first",
    parallel: bool = False,
) -> da.Array:
    """Return `numbaconv.avg_pool2d_backward` lazily; see `avg_pool2d`."""
    return _avg_pool_backward(
        2, grad_output, input_shape, kernel_size, stride, padding, dilation, ceil_mode,
        count_include_pad, divisor_override, layout, parallel,
    )  # fmt: skip


def avg_pool1d_backward(
    grad_output: da.Array,
    input_shape: tuple[int, ...],
    kernel_size: IntOrAxes,
    stride: IntOrAxes | None = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
    *,
    dilation: IntOrAxes = 1,
    layout: str = "channels_first",
    parallel: bool = False,
) -> da.Array:
    """Return `numbaconv.avg_pool1d_backward` lazily; see `avg_pool2d`."""
    return _avg_pool_backward(
        1, grad_output, input_shape, kernel_size, stride, padding, dilation, ceil_mode,
        count_include_pad, divisor_override, layout, parallel,
    )  # fmt: skip


def avg_pool3d_backward(
    grad_output: da.Array,
    input_shape: tuple[int, ...],
    kernel_size: IntOrAxes,
    stride: IntOrAxes | None = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
    *,
    dilation: IntOrAxes = 1,
    layout: str = "channels_first",
    parallel: bool = False,
) -> da.Array:
    """Return `numbaconv.avg_pool3d_backward` lazily; see `avg_pool2d`."""
    return _avg_pool_backward(
        3, grad_output, input_shape, kernel_size, stride, padding, dilation, ceil_mode,
        count_include_pad, divisor_override, layout, parallel,
    )  # fmt: skip


def _avg_pool(
    ndim: int,
    x: Any,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil_mode: Any,
    count_include_pad: Any,
    divisor_override: Any,
    layout: Any,
    parallel: Any,
) -> da.Array:
    source = arrays.lazy(x, "x")
    dtype = arguments.supported(source.dtype, "the dtype of x")
    include, divisor = checked_divisor(count_include_pad, divisor_override)
    geometry = PoolGeometry.parse(
        ndim, source.shape, kernel_size, stride, padding, dilation, ceil_mode, layout
    )
    y = pools.average_pool(
        geometry, arrays.batched(source, geometry.batched), count_include_pad=include,
        divisor_override=divisor, dtype=dtype, parallel=arguments.flag(parallel, "parallel"),
    )  # fmt: skip
    return arrays.unbatched(y, geometry.batched)


def _avg_pool_backward(
    ndim: int,
    grad_output: Any,
    input_shape: Any,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil_mode: Any,
    count_include_pad: Any,
    divisor_override: Any,
    layout: Any,
    parallel: Any,
) -> da.Array:
    grad = arrays.lazy(grad_output, "grad_output")
    if arguments.supported(grad.dtype, "the dtype of grad_output").kind not in "fc":
        raise TypeError(f"grad_output must be of a float or complex dtype, got {grad.dtype}")
    include, divisor = checked_divisor(count_include_pad, divisor_override)
    geometry = PoolGeometry.parse(
        ndim, arguments.shape(input_shape, "input_shape"), kernel_size, stride, padding, dilation,
        ceil_mode, layout, name="input_shape",
    )  # fmt: skip
    arguments.check_grad(grad.shape, geometry.output_shape)
    y = pools.average_pool_backward(
        geometry, arrays.batched(grad, geometry.batched), count_include_pad=include,
        divisor_override=divisor, parallel=arguments.flag(parallel, "parallel"),
    )  # fmt: skip
    return arrays.unbatched(y, geometry.batched)
