"""Adaptive average pools and their backward passes."""

import numpy.typing as npt

from numbaconv.api import again
from numbaconv.api.adaptive_max_pool import OutputSize
from numbaconv.problem.arrays import Array
from numbaconv.problem.options import AdaptiveOptions
from numbaconv.problem.types import Layout


def adaptive_avg_pool2d(
    x: npt.ArrayLike,
    output_size: OutputSize,
    *,
    layout: Layout = "channels_first",
    out: Array | None = None,
    parallel: bool = True,
) -> Array:
    """Return the mean of each of as many windows as are wanted.

    The windows are those of `adaptive_max_pool2d`. Positional calls of
    `torch.nn.functional.adaptive_avg_pool2d` move over. Arrays of Dask's are taken as by `conv2d`.

    Parameters
    ----------
    x : array_like
        ``(N, C, H, W)`` or ``(C, H, W)``; with ``layout="channels_last"`` ``(N, H, W, C)``. Any
        integer, float or complex dtype, any strides.
    output_size, layout, out, parallel
        As in `adaptive_max_pool2d`.

    Returns
    -------
    ndarray
        Of `x`'s dtype, as the means of `avg_pool2d`.

    Raises
    ------
    TypeError, ValueError
        An argument is of a wrong kind or value: a size below 1, an empty spatial axis.

    See Also
    --------
    adaptive_avg_pool2d_backward : The gradient.

    Examples
    --------
    >>> import numpy as np
    >>> import numbaconv as nbc
    >>> image = np.arange(15.0).reshape(1, 3, 5)
    >>> nbc.adaptive_avg_pool2d(image, (2, 3))
    array([[[ 3. ,  4.5,  6. ],
            [ 8. ,  9.5, 11. ]]])
    """
    options = AdaptiveOptions(ndim=2, output_size=output_size, layout=layout)
    return again.run("adaptive_avg_pool", x, options, (x,), out, parallel)


def adaptive_avg_pool1d(
    x: npt.ArrayLike,
    output_size: OutputSize,
    *,
    layout: Layout = "channels_first",
    out: Array | None = None,
    parallel: bool = True,
) -> Array:
    """Return the mean of each window: `adaptive_avg_pool2d` for one spatial axis.

    Parameters
    ----------
    x : array_like
        ``(N, C, W)`` or without N; with ``layout="channels_last"`` ``(N, W, C)``.
    output_size, layout, out, parallel
        As in `adaptive_avg_pool2d`.

    Returns
    -------
    ndarray
        As `adaptive_avg_pool2d`.

    Raises
    ------
    TypeError, ValueError
        As `adaptive_avg_pool2d`.

    Examples
    --------
    >>> import numpy as np
    >>> import numbaconv as nbc
    >>> nbc.adaptive_avg_pool1d(np.ones((2, 9)), 4).shape
    (2, 4)
    """
    options = AdaptiveOptions(ndim=1, output_size=output_size, layout=layout)
    return again.run("adaptive_avg_pool", x, options, (x,), out, parallel)


def adaptive_avg_pool3d(
    x: npt.ArrayLike,
    output_size: OutputSize,
    *,
    layout: Layout = "channels_first",
    out: Array | None = None,
    parallel: bool = True,
) -> Array:
    """Return the mean of each window: `adaptive_avg_pool2d` for three spatial axes.

    Parameters
    ----------
    x : array_like
        ``(N, C, D, H, W)`` or without N; with ``layout="channels_last"`` ``(N, D, H, W, C)``.
    output_size, layout, out, parallel
        As in `adaptive_avg_pool2d`.

    Returns
    -------
    ndarray
        As `adaptive_avg_pool2d`.

    Raises
    ------
    TypeError, ValueError
        As `adaptive_avg_pool2d`.

    Examples
    --------
    >>> import numpy as np
    >>> import numbaconv as nbc
    >>> nbc.adaptive_avg_pool3d(np.ones((2, 9, 7, 6)), 4).shape
    (2, 4, 4, 4)
    """
    options = AdaptiveOptions(ndim=3, output_size=output_size, layout=layout)
    return again.run("adaptive_avg_pool", x, options, (x,), out, parallel)


def adaptive_avg_pool2d_backward(
    grad_output: npt.ArrayLike,
    input_shape: tuple[int, ...],
    *,
    layout: Layout = "channels_first",
    out: Array | None = None,
    parallel: bool = True,
) -> Array:
    """Return the gradient of `adaptive_avg_pool2d` with respect to its input.

    Parameters
    ----------
    grad_output : array_like
        The gradient of the means, of their shape. Any float or complex dtype.
    input_shape : tuple of int
        The shape of the pool's input.
    layout, out, parallel
        As in `adaptive_max_pool2d`.

    Returns
    -------
    ndarray
        Of `input_shape` and `grad_output`'s dtype.

    Raises
    ------
    TypeError, ValueError
        An argument is of a wrong kind or value: a gradient without the input's batch and channels.

    Examples
    --------
    >>> import numpy as np
    >>> import numbaconv as nbc
    >>> nbc.adaptive_avg_pool2d_backward(np.ones((1, 1, 2)), (1, 1, 3))
    array([[[0.5, 1. , 0.5]]])
    """
    options = AdaptiveOptions(ndim=2, output_size=None, layout=layout)
    return again.run(
        "adaptive_avg_pool_backward", grad_output, options, (grad_output, input_shape), out,
        parallel,
    )  # fmt: skip


def adaptive_avg_pool1d_backward(
    grad_output: npt.ArrayLike,
    input_shape: tuple[int, ...],
    *,
    layout: Layout = "channels_first",
    out: Array | None = None,
    parallel: bool = True,
) -> Array:
    """Return the gradient of `adaptive_avg_pool1d` with respect to its input.

    Parameters
    ----------
    grad_output, input_shape, layout, out, parallel
        As in `adaptive_avg_pool2d_backward`.

    Returns
    -------
    ndarray
        As `adaptive_avg_pool2d_backward`.

    Raises
    ------
    TypeError, ValueError
        As `adaptive_avg_pool2d_backward`.

    Examples
    --------
    >>> import numpy as np
    >>> import numbaconv as nbc
    >>> grad = np.ones((2, 4))
    >>> nbc.adaptive_avg_pool1d_backward(grad, (2, 9)).shape
    (2, 9)
    """
    options = AdaptiveOptions(ndim=1, output_size=None, layout=layout)
    return again.run(
        "adaptive_avg_pool_backward", grad_output, options, (grad_output, input_shape), out,
        parallel,
    )  # fmt: skip


def adaptive_avg_pool3d_backward(
    grad_output: npt.ArrayLike,
    input_shape: tuple[int, ...],
    *,
    layout: Layout = "channels_first",
    out: Array | None = None,
    parallel: bool = True,
) -> Array:
    """Return the gradient of `adaptive_avg_pool3d` with respect to its input.

    Parameters
    ----------
    grad_output, input_shape, layout, out, parallel
        As in `adaptive_avg_pool2d_backward`.

    Returns
    -------
    ndarray
        As `adaptive_avg_pool2d_backward`.

    Raises
    ------
    TypeError, ValueError
        As `adaptive_avg_pool2d_backward`.

    Examples
    --------
    >>> import numpy as np
    >>> import numbaconv as nbc
    >>> grad = np.ones((2, 4, 4, 4))
    >>> nbc.adaptive_avg_pool3d_backward(grad, (2, 9, 7, 6)).shape
    (2, 9, 7, 6)
    """
    options = AdaptiveOptions(ndim=3, output_size=None, layout=layout)
    return again.run(
        "adaptive_avg_pool_backward", grad_output, options, (grad_output, input_shape), out,
        parallel,
    )  # fmt: skip
