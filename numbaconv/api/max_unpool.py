"""Max unpooling."""

from typing import Any

import numpy.typing as npt

from numbaconv.api.max_pool import checked_indices
from numbaconv.api.types import IntOrAxes
from numbaconv.problem import arguments
from numbaconv.problem.arrays import Array
from numbaconv.problem.formulas import transposed_size
from numbaconv.problem.geometry import Ints, split_shape
from numbaconv.problem.pool_geometry import pool_axes


def max_unpool2d(
    x: npt.ArrayLike,
    indices: npt.ArrayLike,
    kernel_size: IntOrAxes,
    stride: IntOrAxes | None = None,
    padding: Any = 0,
    *,
    output_size: IntOrAxes | None = None,
    layout: str = "channels_first",
    out: Array | None = None,
    parallel: bool = True,
) -> Array:
    """Put maxima back to where they were, among zeros: a partial inverse of `max_pool2d`.

    Parameters
    ----------
    x : array_like
        The maxima. Any integer, float or complex dtype.
    indices : array_like of int
        As `max_pool2d` returns them, of the same shape. Where two are equal the later value stays.
    kernel_size, stride, padding
        The pool's.
    output_size : int or tuple of int, optional
        The spatial size of the result, less than a stride from ``(size - 1) * stride - low - high +
        kernel``, the default; with batch and channels if one likes.
    layout, out, parallel
        As in `max_pool2d`.

    Returns
    -------
    ndarray
        Of `x`'s dtype.

    Raises
    ------
    TypeError, ValueError
        An argument is of a wrong kind or value: shapes that do not fit, an index outside.

    Examples
    --------
    >>> import numpy as np
    >>> import numbaconv as nbc
    >>> values, indices = np.array([[[5, 7]]]), np.array([[[1, 6]]])
    >>> nbc.max_unpool2d(values, indices, 2)
    array([[[0, 5, 0, 0],
            [0, 0, 7, 0]]])
    """
    return _max_unpool(
        2, x, indices, kernel_size, stride, padding, output_size, layout, out, parallel
    )


def max_unpool1d(
    x: npt.ArrayLike,
    indices: npt.ArrayLike,
    kernel_size: IntOrAxes,
    stride: IntOrAxes | None = None,
    padding: Any = 0,
    *,
    output_size: IntOrAxes | None = None,
    layout: str = "channels_first",
    out: Array | None = None,
    parallel: bool = True,
) -> Array:
    """Put maxima back to where they were, among zeros: a partial inverse of `max_pool1d`.

    Parameters
    ----------
    x, indices, kernel_size, stride, padding, output_size, layout, out, parallel
        As in `max_unpool2d`, for one spatial axis.

    Returns
    -------
    ndarray
        Of `x`'s dtype.

    Raises
    ------
    TypeError, ValueError
        As `max_unpool2d`.

    Examples
    --------
    >>> import numpy as np
    >>> import numbaconv as nbc
    >>> values, indices = nbc.max_pool1d(np.ones((1, 2, 8)), 2, return_indices=True)
    >>> nbc.max_unpool1d(values, indices, 2).shape
    (1, 2, 8)
    """
    return _max_unpool(
        1, x, indices, kernel_size, stride, padding, output_size, layout, out, parallel
    )


def max_unpool3d(
    x: npt.ArrayLike,
    indices: npt.ArrayLike,
    kernel_size: IntOrAxes,
    stride: IntOrAxes | None = None,
    padding: Any = 0,
    *,
    output_size: IntOrAxes | None = None,
    layout: str = "channels_first",
    out: Array | None = None,
    parallel: bool = True,
) -> Array:
    """Put maxima back to where they were, among zeros: a partial inverse of `max_pool3d`.

    Parameters
    ----------
    x, indices, kernel_size, stride, padding, output_size, layout, out, parallel
        As in `max_unpool2d`, for three spatial axes.

    Returns
    -------
    ndarray
        Of `x`'s dtype.

    Raises
    ------
    TypeError, ValueError
        As `max_unpool2d`.

    Examples
    --------
    >>> import numpy as np
    >>> import numbaconv as nbc
    >>> values, indices = nbc.max_pool3d(np.ones((1, 2, 4, 6, 8)), 2, return_indices=True)
    >>> nbc.max_unpool3d(values, indices, 2).shape
    (1, 2, 4, 6, 8)
    """
    return _max_unpool(
        3, x, indices, kernel_size, stride, padding, output_size, layout, out, parallel
    )


def _max_unpool(
    ndim: int,
    x: npt.ArrayLike,
    indices: npt.ArrayLike,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    output_size: Any,
    layout: Any,
    out: Any,
    parallel: Any,
) -> Array:
    from numbaconv.pooling.scatter import scattered

    array = arguments.as_array(x, "x")
    dtype = arguments.supported(array.dtype, "the dtype of x")
    last = arguments.choice(layout, "layout", arguments.LAYOUTS) == "channels_last"
    _, _, _, size = split_shape(array.shape, ndim, last)
    wanted = unpooled_size(size, kernel_size, stride, padding, output_size, last)
    arguments.check_addressable((*array.shape[: array.ndim - ndim], *wanted), dtype)
    places = checked_indices(indices, array.shape, "x")
    parallel = arguments.flag(parallel, "parallel")
    return scattered(array, places, ndim, wanted, last, out, parallel, add=False)


def unpooled_size(
    size: Ints, kernel_size: Any, stride: Any, padding: Any, output_size: Any, channels_last: bool
) -> Ints:
    """Return the spatial size of what was pooled to `size`."""
    ndim = len(size)
    kernel, strides = pool_axes(ndim, kernel_size, stride)
    ones = (1,) * ndim
    pairs, extra = arguments.transposed_padding(padding, kernel, strides, ones)
    default = tuple(
        transposed_size(*axis)
        for axis in zip(
            size, *zip(*pairs, strict=True), kernel, strides, ones, extra, strict=True
        )
    )  # fmt: skip
    wanted = default
    if output_size is not None:
        wanted = arguments.output_size(output_size, ndim, channels_last)
        if not all(abs(n - m) < s for n, m, s in zip(wanted, default, strides, strict=True)):
            least = tuple(n - s + 1 for n, s in zip(default, strides, strict=True))
            most = tuple(n + s - 1 for n, s in zip(default, strides, strict=True))
            raise ValueError(
                f"output_size must be from {least} to {most} along the spatial axes, "
                f"got {output_size!r}"
            )
    for axis, (n, m) in enumerate(zip(size, wanted, strict=True)):
        if m < 1:
            why = f"padding={padding!r} leaves nothing of it" if n else "there is no input"
            raise ValueError(
                f"the result would be empty along spatial axis {axis}, where x has {n}: {why}"
            )
    return wanted
