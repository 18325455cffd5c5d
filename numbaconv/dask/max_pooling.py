"""Max pools, their backward passes and unpooling over dask arrays."""

from typing import Any

import dask.array as da

from numbaconv.api.max_unpool import unpooled_size
from numbaconv.api.types import IntOrAxes
from numbaconv.dask import arrays, pools
from numbaconv.problem import arguments
from numbaconv.problem.geometry import split_shape
from numbaconv.problem.pool_geometry import PoolGeometry


def max_pool2d(
    x: da.Array,
    kernel_size: IntOrAxes,
    stride: IntOrAxes | None = None,
    padding: Any = 0,
    dilation: IntOrAxes = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
    *,
    layout: str = "channels_first",
    parallel: bool = False,
) -> Any:
    """Return the largest element of each window, lazily: `numbaconv.max_pool2d`.

    Parameters
    ----------
    x : dask array
        In any chunks.
    kernel_size, stride, padding, dilation, ceil_mode, return_indices, layout
        As in `numbaconv.max_pool2d`.
    parallel : bool, optional
        As in `conv2d`.

    Returns
    -------
    dask array, or tuple of two
        The maxima, and with `return_indices` where they are.

    Raises
    ------
    TypeError, ValueError
        As in `numbaconv.max_pool2d`; `x` must be a dask array of known chunks.

    Examples
    --------
    >>> import dask.array as da
    >>> import numbaconv.dask
    >>> x = da.arange(36, chunks=36).reshape(1, 1, 6, 6).rechunk((1, 1, 4, 3))
    >>> numbaconv.dask.max_pool2d(x, 2)[0, 0].compute()
    array([[ 7,  9, 11],
           [19, 21, 23],
           [31, 33, 35]])
    """
    return _max_pool(
        2, x, kernel_size, stride, padding, dilation, ceil_mode, return_indices, layout, parallel
    )


def max_pool1d(
    x: da.Array,
    kernel_size: IntOrAxes,
    stride: IntOrAxes | None = None,
    padding: Any = 0,
    dilation: IntOrAxes = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
    *,
    layout: str = "channels_first",
    parallel: bool = False,
) -> Any:
    """Return `numbaconv.max_pool1d` lazily; see `max_pool2d`."""
    return _max_pool(
        1, x, kernel_size, stride, padding, dilation, ceil_mode, return_indices, layout, parallel
    )


def max_pool3d(
    x: da.Array,
    kernel_size: IntOrAxes,
    stride: IntOrAxes | None = None,
    padding: Any = 0,
    dilation: IntOrAxes = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
    *,
    layout: str = "channels_first",
    parallel: bool = False,
) -> Any:
    """Return `numbaconv.max_pool3d` lazily; see `max_pool2d`."""
    return _max_pool(
        3, x, kernel_size, stride, padding, dilation, ceil_mode, return_indices, layout, parallel
    )


def max_pool2d_backward(
    grad_output: da.Array,
    indices: da.Array,
    input_shape: tuple[int, ...],
    *,
    layout: str = "channels_first",
    parallel: bool = False,
) -> da.Array:
    """Return `numbaconv.max_pool2d_backward` lazily; spatial axes become one chunk."""
    return _max_pool_backward(2, grad_output, indices, input_shape, layout, parallel)


def max_pool1d_backward(
    grad_output: da.Array,
    indices: da.Array,
    input_shape: tuple[int, ...],
    *,
    layout: str = "channels_first",
    parallel: bool = False,
) -> da.Array:
    """Return `numbaconv.max_pool1d_backward` lazily; spatial axes become one chunk."""
    return _max_pool_backward(1, grad_output, indices, input_shape, layout, parallel)


def max_pool3d_backward(
    grad_output: da.Array,
    indices: da.Array,
    input_shape: tuple[int, ...],
    *,
    layout: str = "channels_first",
    parallel: bool = False,
) -> da.Array:
    """Return `numbaconv.max_pool3d_backward` lazily; spatial axes become one chunk."""
    return _max_pool_backward(3, grad_output, indices, input_shape, layout, parallel)


def max_unpool2d(
    x: da.Array,
    indices: da.Array,
    kernel_size: IntOrAxes,
    stride: IntOrAxes | None = None,
    padding: Any = 0,
    *,
    output_size: IntOrAxes | None = None,
    layout: str = "channels_first",
    parallel: bool = False,
) -> da.Array:
    """Return `numbaconv.max_unpool2d` lazily; spatial axes become one chunk."""
    return _max_unpool(2, x, indices, kernel_size, stride, padding, output_size, layout, parallel)


def max_unpool1d(
    x: da.Array,
    indices: da.Array,
    kernel_size: IntOrAxes,
    stride: IntOrAxes | None = None,
    padding: Any = 0,
    *,
    output_size: IntOrAxes | None = None,
    layout: str = "channels_first",
    parallel: bool = False,
) -> da.Array:
    """Return `numbaconv.max_unpool1d` lazily; spatial axes become one chunk."""
    return _max_unpool(1, x, indices, kernel_size, stride, padding, output_size, layout, parallel)


def max_unpool3d(
    x: da.Array,
    indices: da.Array,
    kernel_size: IntOrAxes,
    stride: IntOrAxes | None = None,
    padding: Any = 0,
    *,
    output_size: IntOrAxes | None = None,
    layout: str = "channels_first",
    parallel: bool = False,
) -> da.Array:
    """Return `numbaconv.max_unpool3d` lazily; spatial axes become one chunk."""
    return _max_unpool(3, x, indices, kernel_size, stride, padding, output_size, layout, parallel)


def _max_pool(
    ndim: int,
    x: Any,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil_mode: Any,
    return_indices: Any,
    layout: Any,
    parallel: Any,
) -> Any:
    source = arrays.lazy(x, "x")
    if arguments.supported(source.dtype, "the dtype of x").kind == "c":
        raise TypeError(f"x must have an order to find a maximum, got {source.dtype}")
    wanted = arguments.flag(return_indices, "return_indices")
    geometry = PoolGeometry.parse(
        ndim, source.shape, kernel_size, stride, padding, dilation, ceil_mode, layout
    )
    images = arrays.batched(source, geometry.batched)
    found = pools.max_pool(
        geometry, images, with_indices=wanted, parallel=arguments.flag(parallel, "parallel")
    )
    if not isinstance(found, tuple):
        return arrays.unbatched(found, geometry.batched)
    return tuple(arrays.unbatched(a, geometry.batched) for a in found)


def _max_pool_backward(
    ndim: int, grad_output: Any, indices: Any, input_shape: Any, layout: Any, parallel: Any
) -> da.Array:
    grad, where = arrays.lazy(grad_output, "grad_output"), arrays.lazy(indices, "indices")
    last = arguments.choice(layout, "layout", arguments.LAYOUTS) == "channels_last"
    shape = arguments.shape(input_shape, "input_shape")
    batched, batch, channels, size = split_shape(shape, ndim, last, "input_shape")
    _check_pair(grad, where, "grad_output")
    found = split_shape(grad.shape, ndim, last, "grad_output")
    if found[:3] != (batched, batch, channels):
        raise ValueError(
            f"grad_output must have the batch ({found[1]}) and channels ({found[2]}) of "
            f"input_shape {shape}, got shape {grad.shape}"
        )
    made = pools.scatter(
        pools.scatter_block, arrays.batched(grad, batched), arrays.batched(where, batched), last,
        size, arguments.flag(parallel, "parallel"),
    )  # fmt: skip
    return arrays.unbatched(made, batched)


def _max_unpool(
    ndim: int,
    x: Any,
    indices: Any,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    output_size: Any,
    layout: Any,
    parallel: Any,
) -> da.Array:
    source, where = arrays.lazy(x, "x"), arrays.lazy(indices, "indices")
    last = arguments.choice(layout, "layout", arguments.LAYOUTS) == "channels_last"
    _check_pair(source, where, "x")
    batched, _, _, pooled = split_shape(source.shape, ndim, last)
    size = unpooled_size(pooled, kernel_size, stride, padding, output_size, last)
    made = pools.scatter(
        pools.unpool_block, arrays.batched(source, batched), arrays.batched(where, batched), last,
        size, arguments.flag(parallel, "parallel"), kernel=kernel_size, stride=stride,
        padding=padding,
    )  # fmt: skip
    return arrays.unbatched(made, batched)


def _check_pair(values: da.Array, indices: da.Array, name: str) -> None:
    if indices.shape != values.shape:
        raise ValueError(
            f"indices must have the shape of {name}, {values.shape}, got {indices.shape}"
        )
    kind = indices.dtype
    if kind.kind not in "iu" or (kind.kind == "u" and kind.itemsize == 8):
        raise TypeError(f"indices must be of an integer dtype that int64 holds, got {kind}")
