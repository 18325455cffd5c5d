"""Max pooling and its backward pass."""

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from numbaconv.api.types import IntOrAxes
from numbaconv.problem import arguments
from numbaconv.problem.arrays import Array
from numbaconv.problem.geometry import Ints, split_shape
from numbaconv.problem.pool_geometry import PoolGeometry
from numbaconv.running import call

if TYPE_CHECKING:
    from numbaconv.pooling.forward import Plan


def max_pool2d(
    x: npt.ArrayLike,
    kernel_size: IntOrAxes,
    stride: IntOrAxes | None = None,
    padding: Any = 0,
    dilation: IntOrAxes = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
    *,
    layout: str = "channels_first",
    out: Array | None = None,
    parallel: bool = True,
) -> Any:
    """Return the largest value in each window.

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
    return _max_pool(
        2,
        x,
        kernel_size,
        stride,
        padding,
        dilation,
        ceil_mode,
        return_indices,
        layout,
        out,
        parallel,
    )


def max_pool1d(
    x: npt.ArrayLike,
    kernel_size: IntOrAxes,
    stride: IntOrAxes | None = None,
    padding: Any = 0,
    dilation: IntOrAxes = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
    *,
    layout: str = "channels_first",
    out: Array | None = None,
    parallel: bool = True,
) -> Any:
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
    return _max_pool(
        1,
        x,
        kernel_size,
        stride,
        padding,
        dilation,
        ceil_mode,
        return_indices,
        layout,
        out,
        parallel,
    )


def max_pool3d(
    x: npt.ArrayLike,
    kernel_size: IntOrAxes,
    stride: IntOrAxes | None = None,
    padding: Any = 0,
    dilation: IntOrAxes = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
    *,
    layout: str = "channels_first",
    out: Array | None = None,
    parallel: bool = True,
) -> Any:
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
    return _max_pool(
        3,
        x,
        kernel_size,
        stride,
        padding,
        dilation,
        ceil_mode,
        return_indices,
        layout,
        out,
        parallel,
    )


def max_pool2d_backward(
    grad_output: npt.ArrayLike,
    indices: npt.ArrayLike,
    input_shape: tuple[int, ...],
    *,
    layout: str = "channels_first",
    out: Array | None = None,
    parallel: bool = True,
) -> Array:
    """Return the gradient of `max_pool2d` with respect to its input.

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
    return _max_pool_backward(2, grad_output, indices, input_shape, layout, out, parallel)


def max_pool1d_backward(
    grad_output: npt.ArrayLike,
    indices: npt.ArrayLike,
    input_shape: tuple[int, ...],
    *,
    layout: str = "channels_first",
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
    return _max_pool_backward(1, grad_output, indices, input_shape, layout, out, parallel)


def max_pool3d_backward(
    grad_output: npt.ArrayLike,
    indices: npt.ArrayLike,
    input_shape: tuple[int, ...],
    *,
    layout: str = "channels_first",
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
    return _max_pool_backward(3, grad_output, indices, input_shape, layout, out, parallel)


def _max_pool(
    ndim: int,
    x: npt.ArrayLike,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil_mode: Any,
    return_indices: Any,
    layout: Any,
    out: Any,
    parallel: Any,
) -> Any:
    from numbaconv.pooling import forward  # here: not needed to import the package

    array = arguments.as_array(x, "x")
    wanted = arguments.flag(return_indices, "return_indices")
    ceil_mode = arguments.flag(ceil_mode, "ceil_mode")
    signature = (
        ndim, array.shape, array.dtype, kernel_size, stride, padding, dilation, ceil_mode, wanted,
        layout,
    )  # fmt: skip
    window = (kernel_size, 0 if stride is None else stride, padding, dilation)
    pool = call.remembered(_resolve, signature, *window)
    parallel = arguments.flag(parallel, "parallel")
    values, indices = forward.maximum(pool, array, out, parallel, indices=wanted)
    return (values, indices) if wanted else values


def _resolve(
    ndim: int,
    shape: Ints,
    dtype: np.dtype[Any],
    kernel_size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil_mode: bool,
    indices: bool,
    layout: Any,
) -> "Plan":
    from numbaconv.pooling import forward

    if arguments.supported(dtype, "the dtype of x").kind == "c":
        raise TypeError(f"x must be of a real dtype, complex numbers have no maximum: got {dtype}")
    geometry = PoolGeometry.parse(
        ndim, shape, kernel_size, stride, padding, dilation, ceil_mode, layout
    )
    return forward.maximum_plan(geometry, dtype, indices=indices)


def _max_pool_backward(
    ndim: int,
    grad_output: npt.ArrayLike,
    indices: npt.ArrayLike,
    input_shape: Any,
    layout: Any,
    out: Any,
    parallel: Any,
) -> Array:
    from numbaconv.pooling.scatter import scattered

    grad = arguments.as_array(grad_output, "grad_output")
    arguments.supported(grad.dtype, "the dtype of grad_output")
    last = arguments.choice(layout, "layout", arguments.LAYOUTS) == "channels_last"
    shape = arguments.shape(input_shape, "input_shape")
    found = split_shape(shape, ndim, last, "input_shape")
    own = split_shape(grad.shape, ndim, last, "grad_output")
    if found[:3] != own[:3]:
        raise ValueError(
            f"grad_output must have the batch ({found[1]}) and channels ({found[2]}) of "
            f"input_shape {shape}, got shape {grad.shape}"
        )
    if 0 in found[3] and grad.size:
        raise ValueError(f"input_shape must have no empty spatial axis, got {shape}")
    arguments.check_addressable(shape, grad.dtype)
    places = checked_indices(indices, grad.shape, "grad_output")
    parallel = arguments.flag(parallel, "parallel")
    return scattered(grad, places, ndim, found[3], last, out, parallel, add=True)


def checked_indices(value: npt.ArrayLike, shape: Ints, name: str) -> Array:
    """Return the indices of maxima, which have the shape of the argument `name`."""
    places = arguments.as_array(value, "indices")
    kind = places.dtype
    if kind.kind not in "iu" or (kind.kind == "u" and kind.itemsize == 8):
        raise TypeError(f"indices must be of an integer dtype that int64 holds, got {kind}")
    if places.shape != shape:
        raise ValueError(f"indices must have the shape of {name}, {shape}, got {places.shape}")
    return places
