"""Average pooling and its backward pass."""

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from numbaconv.api.types import IntOrAxes
from numbaconv.problem import arguments
from numbaconv.problem.arrays import Array
from numbaconv.problem.geometry import Ints
from numbaconv.problem.pool_geometry import PoolGeometry
from numbaconv.running import call

if TYPE_CHECKING:
    from numbaconv.pooling.forward import Plan


def avg_pool2d(
    x: npt.ArrayLike,
    kernel_size: IntOrAxes,
    stride: IntOrAxes | None = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
    *,
    dilation: IntOrAxes = 1,
    layout: str = "channels_first",
    out: Array | None = None,
    parallel: bool = True,
) -> Array:
    """Return the mean of each window.

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
    return _avg_pool(
        2, x, kernel_size, stride, padding, dilation, ceil_mode, count_include_pad,
        divisor_override, layout, out, parallel,
    )  # fmt: skip


def avg_pool1d(
    x: npt.ArrayLike,
    kernel_size: IntOrAxes,
    stride: IntOrAxes | None = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
    *,
    dilation: IntOrAxes = 1,
    layout: str = "channels_first",
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
    return _avg_pool(
        1, x, kernel_size, stride, padding, dilation, ceil_mode, count_include_pad,
        divisor_override, layout, out, parallel,
    )  # fmt: skip


def avg_pool3d(
    x: npt.ArrayLike,
    kernel_size: IntOrAxes,
    stride: IntOrAxes | None = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
    *,
    dilation: IntOrAxes = 1,
    layout: str = "channels_first",
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
    return _avg_pool(
        3, x, kernel_size, stride, padding, dilation, ceil_mode, count_include_pad,
        divisor_override, layout, out, parallel,
    )  # fmt: skip


def avg_pool2d_backward(
    grad_output: npt.ArrayLike,
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
    out: Array | None = None,
    parallel: bool = True,
) -> Array:
    """Return the gradient of `avg_pool2d` with respect to its input.

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
    return _avg_pool_backward(
        2, grad_output, input_shape, kernel_size, stride, padding, dilation, ceil_mode,
        count_include_pad, divisor_override, layout, out, parallel,
    )  # fmt: skip


def avg_pool1d_backward(
    grad_output: npt.ArrayLike,
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
    return _avg_pool_backward(
        1, grad_output, input_shape, kernel_size, stride, padding, dilation, ceil_mode,
        count_include_pad, divisor_override, layout, out, parallel,
    )  # fmt: skip


def avg_pool3d_backward(
    grad_output: npt.ArrayLike,
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
    return _avg_pool_backward(
        3, grad_output, input_shape, kernel_size, stride, padding, dilation, ceil_mode,
        count_include_pad, divisor_override, layout, out, parallel,
    )  # fmt: skip


def _avg_pool(
    ndim: int,
    x: npt.ArrayLike,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil_mode: Any,
    count_include_pad: Any,
    divisor_override: Any,
    layout: Any,
    out: Any,
    parallel: Any,
) -> Array:
    from numbaconv.pooling import forward  # here: not needed to import the package

    array = arguments.as_array(x, "x")
    ceil_mode = arguments.flag(ceil_mode, "ceil_mode")
    include_pad, divisor = checked_divisor(count_include_pad, divisor_override)
    signature = (
        ndim, array.shape, array.dtype, kernel_size, stride, padding, dilation, ceil_mode,
        include_pad, divisor, layout,
    )  # fmt: skip
    window = (kernel_size, 0 if stride is None else stride, padding, dilation)
    pool = call.remembered(_resolve, signature, *window)
    parallel = arguments.flag(parallel, "parallel")
    return forward.mean(pool, array, out, parallel)


def _resolve(
    ndim: int,
    shape: Ints,
    dtype: np.dtype[Any],
    kernel_size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil_mode: bool,
    include_pad: bool,
    divisor: int | None,
    layout: Any,
) -> "Plan":
    from numbaconv.pooling import forward

    arguments.supported(dtype, "the dtype of x")
    geometry = PoolGeometry.parse(
        ndim, shape, kernel_size, stride, padding, dilation, ceil_mode, layout
    )
    return forward.mean_plan(geometry, dtype, include_pad, divisor)


def _avg_pool_backward(
    ndim: int,
    grad_output: npt.ArrayLike,
    input_shape: Any,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil_mode: Any,
    count_include_pad: Any,
    divisor_override: Any,
    layout: Any,
    out: Any,
    parallel: Any,
) -> Array:
    from numbaconv.pooling.spread import spread

    grad = arguments.as_array(grad_output, "grad_output")
    if arguments.supported(grad.dtype, "the dtype of grad_output").kind not in "fc":
        raise TypeError(f"grad_output must be of a float or complex dtype, got {grad.dtype}")
    shape = arguments.shape(input_shape, "input_shape")
    ceil_mode = arguments.flag(ceil_mode, "ceil_mode")
    include_pad, divisor = checked_divisor(count_include_pad, divisor_override)
    signature = (
        ndim, shape, grad.shape, grad.dtype, kernel_size, stride, padding, dilation, ceil_mode,
        include_pad, divisor, layout,
    )  # fmt: skip
    window = (kernel_size, 0 if stride is None else stride, padding, dilation)
    plan = call.remembered(_resolve_backward, signature, *window)
    parallel = arguments.flag(parallel, "parallel")
    return spread(plan, grad, out, parallel)


def _resolve_backward(
    ndim: int,
    shape: Ints,
    grad_shape: Ints,
    dtype: np.dtype[Any],
    kernel_size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil_mode: bool,
    include_pad: bool,
    divisor: int | None,
    layout: Any,
) -> Any:
    from numbaconv.pooling.spread import planned

    geometry = PoolGeometry.parse(
        ndim, shape, kernel_size, stride, padding, dilation, ceil_mode, layout, "input_shape"
    )
    arguments.check_grad(grad_shape, geometry.output_shape)
    arguments.check_addressable(shape, np.dtype(dtype))
    return planned(geometry, dtype, include_pad, divisor)


def checked_divisor(count_include_pad: Any, divisor_override: Any) -> tuple[bool, int | None]:
    """Return both arguments, checked."""
    include_pad = arguments.flag(count_include_pad, "count_include_pad")
    if divisor_override is None:
        return include_pad, None
    divisor = arguments.integer(
        divisor_override, "divisor_override", -arguments.LARGEST, arguments.LARGEST
    )
    if divisor == 0:
        raise ValueError("divisor_override must be an int other than 0, got 0")
    return include_pad, divisor
