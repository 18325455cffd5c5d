"""Max pooling and its backward pass."""

from typing import Literal, overload

import numpy.typing as npt

from numbaconv.api import again
from numbaconv.problem.arrays import Array
from numbaconv.problem.options import PoolOptions, ScatterOptions
from numbaconv.problem.types import IntOrAxes, Layout, Padding


@overload
def max_pool2d(
    x: npt.ArrayLike,
    kernel_size: IntOrAxes,
    stride: IntOrAxes | None = ...,
    padding: Padding = ...,
    dilation: IntOrAxes = ...,
    ceil_mode: bool = ...,
    return_indices: Literal[False] = ...,
    *,
    layout: Layout = ...,
    out: Array | None = ...,
    parallel: bool = ...,
) -> Array: ...
@overload
def max_pool2d(
    x: npt.ArrayLike,
    kernel_size: IntOrAxes,
    stride: IntOrAxes | None = ...,
    padding: Padding = ...,
    dilation: IntOrAxes = ...,
    ceil_mode: bool = ...,
    *,
    return_indices: Literal[True],
    layout: Layout = ...,
    out: Array | None = ...,
    parallel: bool = ...,
) -> tuple[Array, Array]: ...
@overload
def max_pool2d(
    x: npt.ArrayLike,
    kernel_size: IntOrAxes,
    stride: IntOrAxes | None = ...,
    padding: Padding = ...,
    dilation: IntOrAxes = ...,
    ceil_mode: bool = ...,
    return_indices: bool = ...,
    *,
    layout: Layout = ...,
    out: Array | None = ...,
    parallel: bool = ...,
) -> Array | tuple[Array, Array]: ...
def max_pool2d(
    x: npt.ArrayLike,
    kernel_size: IntOrAxes,
    stride: IntOrAxes | None = None,
    padding: Padding = 0,
    dilation: IntOrAxes = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
    *,
    layout: Layout = "channels_first",
    out: Array | None = None,
    parallel: bool = True,
) -> Array | tuple[Array, Array]:
    """Return the largest value in each window.

    Arrays of Dask's are taken as by `conv2d`.

    Positional calls of `torch.nn.functional.max_pool2d` move over.

    Parameters
    ----------
    x : array_like
        ``(N, C, H, W)`` or ``(C, H, W)``; with ``layout="channels_last"`` ``(N, H, W, C)``. Any
        integer or float dtype, any strides.
    kernel_size : int or tuple of int
        The window.
    stride : int or tuple of int, optional
        Of the window; by default its size.
    padding : int, tuple of int, tuple of (int, int), or str, optional
        As in `conv2d`; smaller than the dilated window on each side. It holds minus infinity, or
        the smallest integer of the type.
    dilation : int or tuple of int, optional
        The distance between neighbouring taps of a window.
    ceil_mode : bool, optional
        Round the number of windows up: the last may reach beyond the padding, unless it would
        start behind the input.
    return_indices : bool, optional
        Also return where each maximum is.
    layout : {"channels_first", "channels_last"}, optional
        Where the channel axis stands.
    out : ndarray, optional
        Where to write: of the result's shape and of `x`'s dtype, any strides.
    parallel : bool, optional
        Use up to ``numba.get_num_threads()`` threads, or only the calling one.

    Returns
    -------
    ndarray, or (ndarray, ndarray)
        The maxima, of `x`'s dtype; with `return_indices` also int64 indices of the same shape,
        flat over the unpadded spatial axes of one channel. The first of equal maxima counts, and a
        NaN, the first one, is larger than all. A window that meets nothing but padding has index
        -1.

    Raises
    ------
    TypeError
        An argument is of a wrong kind; complex numbers have no order.
    ValueError
        An argument has a wrong value: a window that does not fit, padding as large as the window.

    See Also
    --------
    max_pool2d_backward, max_unpool2d : What the indices are for.

    Examples
    --------
    >>> import numpy as np
    >>> import numbaconv as nbc
    >>> image = np.array([[[1, 5, 2, 0], [3, 4, 7, 6]]])
    >>> values, indices = nbc.max_pool2d(image, 2, return_indices=True)
    >>> values, indices
    (array([[[5, 7]]]), array([[[1, 6]]]))
    """
    options = PoolOptions(
        ndim=2, kernel_size=kernel_size, stride=stride, padding=padding, dilation=dilation,
        ceil_mode=ceil_mode, layout=layout,
    )  # fmt: skip
    return again.run("max_pool", x, options, (x, return_indices), out, parallel)


@overload
def max_pool1d(
    x: npt.ArrayLike,
    kernel_size: IntOrAxes,
    stride: IntOrAxes | None = ...,
    padding: Padding = ...,
    dilation: IntOrAxes = ...,
    ceil_mode: bool = ...,
    return_indices: Literal[False] = ...,
    *,
    layout: Layout = ...,
    out: Array | None = ...,
    parallel: bool = ...,
) -> Array: ...
@overload
def max_pool1d(
    x: npt.ArrayLike,
    kernel_size: IntOrAxes,
    stride: IntOrAxes | None = ...,
    padding: Padding = ...,
    dilation: IntOrAxes = ...,
    ceil_mode: bool = ...,
    *,
    return_indices: Literal[True],
    layout: Layout = ...,
    out: Array | None = ...,
    parallel: bool = ...,
) -> tuple[Array, Array]: ...
@overload
def max_pool1d(
    x: npt.ArrayLike,
    kernel_size: IntOrAxes,
    stride: IntOrAxes | None = ...,
    padding: Padding = ...,
    dilation: IntOrAxes = ...,
    ceil_mode: bool = ...,
    return_indices: bool = ...,
    *,
    layout: Layout = ...,
    out: Array | None = ...,
    parallel: bool = ...,
) -> Array | tuple[Array, Array]: ...
def max_pool1d(
    x: npt.ArrayLike,
    kernel_size: IntOrAxes,
    stride: IntOrAxes | None = None,
    padding: Padding = 0,
    dilation: IntOrAxes = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
    *,
    layout: Layout = "channels_first",
    out: Array | None = None,
    parallel: bool = True,
) -> Array | tuple[Array, Array]:
    """Return the largest value in each window: `max_pool2d` for one spatial axis.

    Parameters
    ----------
    x : array_like
        ``(N, C, W)`` or without N; with ``layout="channels_last"`` ``(N, W, C)``.
    kernel_size, stride, padding, dilation, ceil_mode, return_indices, layout, out, parallel
        As in `max_pool2d`.

    Returns
    -------
    ndarray, or (ndarray, ndarray)
        As `max_pool2d`.

    Raises
    ------
    TypeError, ValueError
        As `max_pool2d`.

    Examples
    --------
    >>> import numpy as np
    >>> import numbaconv as nbc
    >>> nbc.max_pool1d(np.ones((1, 2, 8)), 2).shape
    (1, 2, 4)
    """
    options = PoolOptions(
        ndim=1, kernel_size=kernel_size, stride=stride, padding=padding, dilation=dilation,
        ceil_mode=ceil_mode, layout=layout,
    )  # fmt: skip
    return again.run("max_pool", x, options, (x, return_indices), out, parallel)


@overload
def max_pool3d(
    x: npt.ArrayLike,
    kernel_size: IntOrAxes,
    stride: IntOrAxes | None = ...,
    padding: Padding = ...,
    dilation: IntOrAxes = ...,
    ceil_mode: bool = ...,
    return_indices: Literal[False] = ...,
    *,
    layout: Layout = ...,
    out: Array | None = ...,
    parallel: bool = ...,
) -> Array: ...
@overload
def max_pool3d(
    x: npt.ArrayLike,
    kernel_size: IntOrAxes,
    stride: IntOrAxes | None = ...,
    padding: Padding = ...,
    dilation: IntOrAxes = ...,
    ceil_mode: bool = ...,
    *,
    return_indices: Literal[True],
    layout: Layout = ...,
    out: Array | None = ...,
    parallel: bool = ...,
) -> tuple[Array, Array]: ...
@overload
def max_pool3d(
    x: npt.ArrayLike,
    kernel_size: IntOrAxes,
    stride: IntOrAxes | None = ...,
    padding: Padding = ...,
    dilation: IntOrAxes = ...,
    ceil_mode: bool = ...,
    return_indices: bool = ...,
    *,
    layout: Layout = ...,
    out: Array | None = ...,
    parallel: bool = ...,
) -> Array | tuple[Array, Array]: ...
def max_pool3d(
    x: npt.ArrayLike,
    kernel_size: IntOrAxes,
    stride: IntOrAxes | None = None,
    padding: Padding = 0,
    dilation: IntOrAxes = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
    *,
    layout: Layout = "channels_first",
    out: Array | None = None,
    parallel: bool = True,
) -> Array | tuple[Array, Array]:
    """Return the largest value in each window: `max_pool2d` for three spatial axes.

    Parameters
    ----------
    x : array_like
        ``(N, C, D, H, W)`` or without N; with ``layout="channels_last"`` ``(N, D, H, W, C)``.
    kernel_size, stride, padding, dilation, ceil_mode, return_indices, layout, out, parallel
        As in `max_pool2d`.

    Returns
    -------
    ndarray, or (ndarray, ndarray)
        As `max_pool2d`.

    Raises
    ------
    TypeError, ValueError
        As `max_pool2d`.

    Examples
    --------
    >>> import numpy as np
    >>> import numbaconv as nbc
    >>> nbc.max_pool3d(np.ones((1, 2, 4, 6, 8)), 2).shape
    (1, 2, 2, 3, 4)
    """
    options = PoolOptions(
        ndim=3, kernel_size=kernel_size, stride=stride, padding=padding, dilation=dilation,
        ceil_mode=ceil_mode, layout=layout,
    )  # fmt: skip
    return again.run("max_pool", x, options, (x, return_indices), out, parallel)


def max_pool2d_backward(
    grad_output: npt.ArrayLike,
    indices: npt.ArrayLike,
    input_shape: tuple[int, ...],
    *,
    layout: Layout = "channels_first",
    out: Array | None = None,
    parallel: bool = True,
) -> Array:
    """Return the gradient of `max_pool2d` with respect to its input.

    Arrays of Dask's are taken as by `conv2d`.

    Parameters
    ----------
    grad_output : array_like
        The gradient with respect to the maxima. Any integer, float or complex dtype.
    indices : array_like of int
        As `max_pool2d` returns them, of the same shape. Values of windows without a maximum (-1)
        go nowhere.
    input_shape : tuple of int
        Of the forward's `x`.
    layout, out, parallel
        As in `max_pool2d`.

    Returns
    -------
    ndarray
        Of `input_shape`: each position holds the sum of the gradients of the windows whose maximum
        it was, added in the order of the windows.

    Raises
    ------
    TypeError, ValueError
        An argument is of a wrong kind or value: shapes that do not fit, an index outside.

    Examples
    --------
    >>> import numpy as np
    >>> import numbaconv as nbc
    >>> image = np.array([[[1.0, 5.0, 2.0], [3.0, 4.0, 0.0]]])
    >>> values, indices = nbc.max_pool2d(image, 2, stride=1, return_indices=True)
    >>> nbc.max_pool2d_backward(np.ones_like(values), indices, image.shape)
    array([[[0., 2., 0.],
            [0., 0., 0.]]])
    """
    options = ScatterOptions(ndim=2, input_shape=input_shape, layout=layout)
    return again.run(
        "max_pool_backward", grad_output, options, (grad_output, indices), out, parallel
    )


def max_pool1d_backward(
    grad_output: npt.ArrayLike,
    indices: npt.ArrayLike,
    input_shape: tuple[int, ...],
    *,
    layout: Layout = "channels_first",
    out: Array | None = None,
    parallel: bool = True,
) -> Array:
    """Return the gradient of `max_pool1d` with respect to its input.

    Parameters
    ----------
    grad_output, indices, input_shape, layout, out, parallel
        As in `max_pool2d_backward`, for one spatial axis.

    Returns
    -------
    ndarray
        Of `input_shape`.

    Raises
    ------
    TypeError, ValueError
        As `max_pool2d_backward`.

    Examples
    --------
    >>> import numpy as np
    >>> import numbaconv as nbc
    >>> x = np.ones((1, 2, 8))
    >>> values, indices = nbc.max_pool1d(x, 2, return_indices=True)
    >>> nbc.max_pool1d_backward(values, indices, x.shape).shape
    (1, 2, 8)
    """
    options = ScatterOptions(ndim=1, input_shape=input_shape, layout=layout)
    return again.run(
        "max_pool_backward", grad_output, options, (grad_output, indices), out, parallel
    )


def max_pool3d_backward(
    grad_output: npt.ArrayLike,
    indices: npt.ArrayLike,
    input_shape: tuple[int, ...],
    *,
    layout: Layout = "channels_first",
    out: Array | None = None,
    parallel: bool = True,
) -> Array:
    """Return the gradient of `max_pool3d` with respect to its input.

    Parameters
    ----------
    grad_output, indices, input_shape, layout, out, parallel
        As in `max_pool2d_backward`, for three spatial axes.

    Returns
    -------
    ndarray
        Of `input_shape`.

    Raises
    ------
    TypeError, ValueError
        As `max_pool2d_backward`.

    Examples
    --------
    >>> import numpy as np
    >>> import numbaconv as nbc
    >>> x = np.ones((1, 2, 4, 6, 8))
    >>> values, indices = nbc.max_pool3d(x, 2, return_indices=True)
    >>> nbc.max_pool3d_backward(values, indices, x.shape).shape
    (1, 2, 4, 6, 8)
    """
    options = ScatterOptions(ndim=3, input_shape=input_shape, layout=layout)
    return again.run(
        "max_pool_backward", grad_output, options, (grad_output, indices), out, parallel
    )
