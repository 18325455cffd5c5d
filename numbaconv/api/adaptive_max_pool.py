"""Adaptive pools: as many windows as are wanted, whatever the size of the input."""

from typing import Literal, overload

import numpy.typing as npt

from numbaconv.api import again
from numbaconv.problem.arrays import Array
from numbaconv.problem.options import AdaptiveOptions
from numbaconv.problem.types import Layout

#: One number of windows for all spatial axes, or one for each; None is the input's own size.
OutputSize = int | None | tuple[int | None, ...]


@overload
def adaptive_max_pool2d(
    x: npt.ArrayLike,
    output_size: OutputSize,
    return_indices: Literal[False] = ...,
    *,
    layout: Layout = ...,
    out: Array | None = ...,
    parallel: bool = ...,
) -> Array: ...
@overload
def adaptive_max_pool2d(
    x: npt.ArrayLike,
    output_size: OutputSize,
    *,
    return_indices: Literal[True],
    layout: Layout = ...,
    out: Array | None = ...,
    parallel: bool = ...,
) -> tuple[Array, Array]: ...
@overload
def adaptive_max_pool2d(
    x: npt.ArrayLike,
    output_size: OutputSize,
    return_indices: bool = ...,
    *,
    layout: Layout = ...,
    out: Array | None = ...,
    parallel: bool = ...,
) -> Array | tuple[Array, Array]: ...
def adaptive_max_pool2d(
    x: npt.ArrayLike,
    output_size: OutputSize,
    return_indices: bool = False,
    *,
    layout: Layout = "channels_first",
    out: Array | None = None,
    parallel: bool = True,
) -> Array | tuple[Array, Array]:
    """Return the largest value in each of as many windows as are wanted.

    Window i of m over n elements begins at ``floor(i * n / m)`` and ends before
    ``ceil((i + 1) * n / m)``: neighbours may overlap by one. Positional calls of
    `torch.nn.functional.adaptive_max_pool2d` move over. Arrays of Dask's are taken as by `conv2d`.

    Parameters
    ----------
    x : array_like
        ``(N, C, H, W)`` or ``(C, H, W)``; with ``layout="channels_last"`` ``(N, H, W, C)``. Any
        integer or float dtype, any strides.
    output_size : int, None, or tuple of (int or None)
        The windows along each spatial axis; None stands for as many as there are elements.
    return_indices, layout, out, parallel
        As in `max_pool2d`.

    Returns
    -------
    ndarray, or (ndarray, ndarray)
        The maxima, of `x`'s dtype, and with `return_indices` where they are, as `max_pool2d`.

    Raises
    ------
    TypeError
        An argument is of a wrong kind; complex numbers have no order.
    ValueError
        An argument has a wrong value: a size below 1, an empty spatial axis.

    See Also
    --------
    max_pool2d_backward : The gradient, from the indices.

    Examples
    --------
    >>> import numpy as np
    >>> import numbaconv as nbc
    >>> image = np.arange(15).reshape(1, 3, 5)
    >>> nbc.adaptive_max_pool2d(image, (2, 3))
    array([[[ 6,  8,  9],
            [11, 13, 14]]])
    """
    options = AdaptiveOptions(ndim=2, output_size=output_size, layout=layout)
    return again.run("adaptive_max_pool", x, options, (x, return_indices), out, parallel)


@overload
def adaptive_max_pool1d(
    x: npt.ArrayLike,
    output_size: OutputSize,
    return_indices: Literal[False] = ...,
    *,
    layout: Layout = ...,
    out: Array | None = ...,
    parallel: bool = ...,
) -> Array: ...
@overload
def adaptive_max_pool1d(
    x: npt.ArrayLike,
    output_size: OutputSize,
    *,
    return_indices: Literal[True],
    layout: Layout = ...,
    out: Array | None = ...,
    parallel: bool = ...,
) -> tuple[Array, Array]: ...
@overload
def adaptive_max_pool1d(
    x: npt.ArrayLike,
    output_size: OutputSize,
    return_indices: bool = ...,
    *,
    layout: Layout = ...,
    out: Array | None = ...,
    parallel: bool = ...,
) -> Array | tuple[Array, Array]: ...
def adaptive_max_pool1d(
    x: npt.ArrayLike,
    output_size: OutputSize,
    return_indices: bool = False,
    *,
    layout: Layout = "channels_first",
    out: Array | None = None,
    parallel: bool = True,
) -> Array | tuple[Array, Array]:
    """Return the largest value in each window: `adaptive_max_pool2d` for one spatial axis.

    Parameters
    ----------
    x : array_like
        ``(N, C, W)`` or without N; with ``layout="channels_last"`` ``(N, W, C)``.
    output_size, return_indices, layout, out, parallel
        As in `adaptive_max_pool2d`.

    Returns
    -------
    ndarray, or (ndarray, ndarray)
        As `adaptive_max_pool2d`.

    Raises
    ------
    TypeError, ValueError
        As `adaptive_max_pool2d`.

    Examples
    --------
    >>> import numpy as np
    >>> import numbaconv as nbc
    >>> nbc.adaptive_max_pool1d(np.ones((2, 9)), 4).shape
    (2, 4)
    """
    options = AdaptiveOptions(ndim=1, output_size=output_size, layout=layout)
    return again.run("adaptive_max_pool", x, options, (x, return_indices), out, parallel)


@overload
def adaptive_max_pool3d(
    x: npt.ArrayLike,
    output_size: OutputSize,
    return_indices: Literal[False] = ...,
    *,
    layout: Layout = ...,
    out: Array | None = ...,
    parallel: bool = ...,
) -> Array: ...
@overload
def adaptive_max_pool3d(
    x: npt.ArrayLike,
    output_size: OutputSize,
    *,
    return_indices: Literal[True],
    layout: Layout = ...,
    out: Array | None = ...,
    parallel: bool = ...,
) -> tuple[Array, Array]: ...
@overload
def adaptive_max_pool3d(
    x: npt.ArrayLike,
    output_size: OutputSize,
    return_indices: bool = ...,
    *,
    layout: Layout = ...,
    out: Array | None = ...,
    parallel: bool = ...,
) -> Array | tuple[Array, Array]: ...
def adaptive_max_pool3d(
    x: npt.ArrayLike,
    output_size: OutputSize,
    return_indices: bool = False,
    *,
    layout: Layout = "channels_first",
    out: Array | None = None,
    parallel: bool = True,
) -> Array | tuple[Array, Array]:
    """Return the largest value in each window: `adaptive_max_pool2d` for three spatial axes.

    Parameters
    ----------
    x : array_like
        ``(N, C, D, H, W)`` or without N; with ``layout="channels_last"`` ``(N, D, H, W, C)``.
    output_size, return_indices, layout, out, parallel
        As in `adaptive_max_pool2d`.

    Returns
    -------
    ndarray, or (ndarray, ndarray)
        As `adaptive_max_pool2d`.

    Raises
    ------
    TypeError, ValueError
        As `adaptive_max_pool2d`.

    Examples
    --------
    >>> import numpy as np
    >>> import numbaconv as nbc
    >>> nbc.adaptive_max_pool3d(np.ones((2, 9, 7, 6)), 4).shape
    (2, 4, 4, 4)
    """
    options = AdaptiveOptions(ndim=3, output_size=output_size, layout=layout)
    return again.run("adaptive_max_pool", x, options, (x, return_indices), out, parallel)
