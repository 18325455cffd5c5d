"""Max unpooling."""

import numpy.typing as npt

from numbaconv.api import backends
from numbaconv.problem.arrays import Array
from numbaconv.problem.options import UnpoolOptions
from numbaconv.problem.types import IntOrAxes, Layout, Padding


def max_unpool2d(
    x: npt.ArrayLike,
    indices: npt.ArrayLike,
    kernel_size: IntOrAxes,
    stride: IntOrAxes | None = None,
    padding: Padding = 0,
    *,
    output_size: IntOrAxes | None = None,
    layout: Layout = "channels_first",
    out: Array | None = None,
    parallel: bool = True,
) -> Array:
    """Put maxima back to where they were, among zeros: a partial inverse of `max_pool2d`.

    Arrays of Dask's are taken as by `conv2d`.

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
    options = UnpoolOptions(
        ndim=2, kernel_size=kernel_size, stride=stride, padding=padding,
        output_size=output_size, layout=layout,
    )  # fmt: skip
    return backends.of(x).max_unpool(options, x, indices, out, parallel)


def max_unpool1d(
    x: npt.ArrayLike,
    indices: npt.ArrayLike,
    kernel_size: IntOrAxes,
    stride: IntOrAxes | None = None,
    padding: Padding = 0,
    *,
    output_size: IntOrAxes | None = None,
    layout: Layout = "channels_first",
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
    options = UnpoolOptions(
        ndim=1, kernel_size=kernel_size, stride=stride, padding=padding,
        output_size=output_size, layout=layout,
    )  # fmt: skip
    return backends.of(x).max_unpool(options, x, indices, out, parallel)


def max_unpool3d(
    x: npt.ArrayLike,
    indices: npt.ArrayLike,
    kernel_size: IntOrAxes,
    stride: IntOrAxes | None = None,
    padding: Padding = 0,
    *,
    output_size: IntOrAxes | None = None,
    layout: Layout = "channels_first",
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
    options = UnpoolOptions(
        ndim=3, kernel_size=kernel_size, stride=stride, padding=padding,
        output_size=output_size, layout=layout,
    )  # fmt: skip
    return backends.of(x).max_unpool(options, x, indices, out, parallel)
