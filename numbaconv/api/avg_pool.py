"""Average pooling and its backward pass."""

import numpy.typing as npt

from numbaconv.api import again
from numbaconv.problem.arrays import Array
from numbaconv.problem.options import PoolOptions
from numbaconv.problem.types import IntOrAxes, Layout, Padding


def avg_pool2d(
    x: npt.ArrayLike,
    kernel_size: IntOrAxes,
    stride: IntOrAxes | None = None,
    padding: Padding = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
    *,
    dilation: IntOrAxes = 1,
    layout: Layout = "channels_first",
    out: Array | None = None,
    parallel: bool = True,
) -> Array:
    """Return the mean of each window.

    Arrays of Dask's are taken as by `conv2d`.

    Positional calls of `torch.nn.functional.avg_pool2d` move over.

    Parameters
    ----------
    x : array_like
        ``(N, C, H, W)`` or ``(C, H, W)``; with ``layout="channels_last"`` ``(N, H, W, C)``. Any
        integer, float or complex dtype, any strides.
    kernel_size, stride, padding, dilation, ceil_mode, layout, out, parallel
        As in `max_pool2d`; the padding holds zeros.
    count_include_pad : bool, optional
        Divide by the taps inside the padded input, or only by those inside the input. What
        `ceil_mode` adds beyond the padding never counts.
    divisor_override : int, optional
        Divide by this instead: any integer but 0.

    Returns
    -------
    ndarray
        Of `x`'s dtype. Integers are summed in 64 bits and the mean is truncated; float16 is summed
        in float32 and rounded once. The mean of nothing is 0.

    Raises
    ------
    TypeError, ValueError
        An argument is of a wrong kind or value: a window that does not fit, padding as large as
        the window, a divisor of 0.

    Examples
    --------
    >>> import numpy as np
    >>> import numbaconv as nbc
    >>> image = np.array([[[1.0, 5.0, 2.0, 0.0], [3.0, 4.0, 7.0, 6.0]]])
    >>> nbc.avg_pool2d(image, 2)
    array([[[3.25, 3.75]]])
    """
    options = PoolOptions(
        ndim=2, kernel_size=kernel_size, stride=stride, padding=padding, dilation=dilation,
        ceil_mode=ceil_mode, layout=layout, count_include_pad=count_include_pad,
        divisor_override=divisor_override,
    )  # fmt: skip
    return again.run("avg_pool", x, options, (x,), out, parallel)


def avg_pool1d(
    x: npt.ArrayLike,
    kernel_size: IntOrAxes,
    stride: IntOrAxes | None = None,
    padding: Padding = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
    *,
    dilation: IntOrAxes = 1,
    layout: Layout = "channels_first",
    out: Array | None = None,
    parallel: bool = True,
) -> Array:
    """Return the mean of each window: `avg_pool2d` for one spatial axis.

    Parameters
    ----------
    x : array_like
        ``(N, C, W)`` or without N; with ``layout="channels_last"`` ``(N, W, C)``.
    kernel_size, stride, padding, dilation, ceil_mode, count_include_pad, divisor_override, \
layout, out, parallel
        As in `avg_pool2d`.

    Returns
    -------
    ndarray
        As `avg_pool2d`.

    Raises
    ------
    TypeError, ValueError
        As `avg_pool2d`.

    Examples
    --------
    >>> import numpy as np
    >>> import numbaconv as nbc
    >>> nbc.avg_pool1d(np.ones((1, 2, 8)), 2).shape
    (1, 2, 4)
    """
    options = PoolOptions(
        ndim=1, kernel_size=kernel_size, stride=stride, padding=padding, dilation=dilation,
        ceil_mode=ceil_mode, layout=layout, count_include_pad=count_include_pad,
        divisor_override=divisor_override,
    )  # fmt: skip
    return again.run("avg_pool", x, options, (x,), out, parallel)


def avg_pool3d(
    x: npt.ArrayLike,
    kernel_size: IntOrAxes,
    stride: IntOrAxes | None = None,
    padding: Padding = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
    *,
    dilation: IntOrAxes = 1,
    layout: Layout = "channels_first",
    out: Array | None = None,
    parallel: bool = True,
) -> Array:
    """Return the mean of each window: `avg_pool2d` for three spatial axes.

    Parameters
    ----------
    x : array_like
        ``(N, C, D, H, W)`` or without N; with ``layout="channels_last"`` ``(N, D, H, W, C)``.
    kernel_size, stride, padding, dilation, ceil_mode, count_include_pad, divisor_override, \
layout, out, parallel
        As in `avg_pool2d`.

    Returns
    -------
    ndarray
        As `avg_pool2d`.

    Raises
    ------
    TypeError, ValueError
        As `avg_pool2d`.

    Examples
    --------
    >>> import numpy as np
    >>> import numbaconv as nbc
    >>> nbc.avg_pool3d(np.ones((1, 2, 4, 6, 8)), 2).shape
    (1, 2, 2, 3, 4)
    """
    options = PoolOptions(
        ndim=3, kernel_size=kernel_size, stride=stride, padding=padding, dilation=dilation,
        ceil_mode=ceil_mode, layout=layout, count_include_pad=count_include_pad,
        divisor_override=divisor_override,
    )  # fmt: skip
    return again.run("avg_pool", x, options, (x,), out, parallel)


def avg_pool2d_backward(
    grad_output: npt.ArrayLike,
    input_shape: tuple[int, ...],
    kernel_size: IntOrAxes,
    stride: IntOrAxes | None = None,
    padding: Padding = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
    *,
    dilation: IntOrAxes = 1,
    layout: Layout = "channels_first",
    out: Array | None = None,
    parallel: bool = True,
) -> Array:
    """Return the gradient of `avg_pool2d` with respect to its input.

    Arrays of Dask's are taken as by `conv2d`.

    Parameters
    ----------
    grad_output : array_like
        The gradient with respect to the means. Any float or complex dtype.
    input_shape : tuple of int
        Of the forward's `x`.
    kernel_size, stride, padding, dilation, ceil_mode, count_include_pad, divisor_override
        The forward's.
    layout, out, parallel
        As in `avg_pool2d`.

    Returns
    -------
    ndarray
        Of `input_shape`: each position holds the sum of the gradients of its windows, each divided
        as the window's sum was.

    Raises
    ------
    TypeError, ValueError
        An argument is of a wrong kind or value: shapes that do not fit, integers.

    Examples
    --------
    >>> import numpy as np
    >>> import numbaconv as nbc
    >>> nbc.avg_pool2d_backward(np.ones((1, 1, 2)), (1, 2, 3), 2, stride=1)
    array([[[0.25, 0.5 , 0.25],
            [0.25, 0.5 , 0.25]]])
    """
    options = PoolOptions(
        ndim=2, kernel_size=kernel_size, stride=stride, padding=padding, dilation=dilation,
        ceil_mode=ceil_mode, layout=layout, count_include_pad=count_include_pad,
        divisor_override=divisor_override,
    )  # fmt: skip
    return again.run(
        "avg_pool_backward", grad_output, options, (grad_output, input_shape), out, parallel
    )


def avg_pool1d_backward(
    grad_output: npt.ArrayLike,
    input_shape: tuple[int, ...],
    kernel_size: IntOrAxes,
    stride: IntOrAxes | None = None,
    padding: Padding = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
    *,
    dilation: IntOrAxes = 1,
    layout: Layout = "channels_first",
    out: Array | None = None,
    parallel: bool = True,
) -> Array:
    """Return the gradient of `avg_pool1d` with respect to its input.

    Parameters
    ----------
    grad_output, input_shape, kernel_size, stride, padding, dilation, ceil_mode, \
count_include_pad, divisor_override, layout, out, parallel
        As in `avg_pool2d_backward`, for one spatial axis.

    Returns
    -------
    ndarray
        Of `input_shape`.

    Raises
    ------
    TypeError, ValueError
        As `avg_pool2d_backward`.

    Examples
    --------
    >>> import numpy as np
    >>> import numbaconv as nbc
    >>> nbc.avg_pool1d_backward(np.ones((1, 2, 4)), (1, 2, 8), 2).shape
    (1, 2, 8)
    """
    options = PoolOptions(
        ndim=1, kernel_size=kernel_size, stride=stride, padding=padding, dilation=dilation,
        ceil_mode=ceil_mode, layout=layout, count_include_pad=count_include_pad,
        divisor_override=divisor_override,
    )  # fmt: skip
    return again.run(
        "avg_pool_backward", grad_output, options, (grad_output, input_shape), out, parallel
    )


def avg_pool3d_backward(
    grad_output: npt.ArrayLike,
    input_shape: tuple[int, ...],
    kernel_size: IntOrAxes,
    stride: IntOrAxes | None = None,
    padding: Padding = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
    *,
    dilation: IntOrAxes = 1,
    layout: Layout = "channels_first",
    out: Array | None = None,
    parallel: bool = True,
) -> Array:
    """Return the gradient of `avg_pool3d` with respect to its input.

    Parameters
    ----------
    grad_output, input_shape, kernel_size, stride, padding, dilation, ceil_mode, \
count_include_pad, divisor_override, layout, out, parallel
        As in `avg_pool2d_backward`, for three spatial axes.

    Returns
    -------
    ndarray
        Of `input_shape`.

    Raises
    ------
    TypeError, ValueError
        As `avg_pool2d_backward`.

    Examples
    --------
    >>> import numpy as np
    >>> import numbaconv as nbc
    >>> nbc.avg_pool3d_backward(np.ones((1, 2, 2, 3, 4)), (1, 2, 4, 6, 8), 2).shape
    (1, 2, 4, 6, 8)
    """
    options = PoolOptions(
        ndim=3, kernel_size=kernel_size, stride=stride, padding=padding, dilation=dilation,
        ceil_mode=ceil_mode, layout=layout, count_include_pad=count_include_pad,
        divisor_override=divisor_override,
    )  # fmt: skip
    return again.run(
        "avg_pool_backward", grad_output, options, (grad_output, input_shape), out, parallel
    )
