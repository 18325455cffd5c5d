"""The gradients of convolutions, plain and transposed, with respect to their weights."""

from typing import Any

import numpy as np
import numpy.typing as npt

from numbaconv.api.input_grad import cropped
from numbaconv.api.types import IntOrAxes
from numbaconv.problem import arguments
from numbaconv.problem.arrays import Array
from numbaconv.problem.geometry import ConvGeometry, Ints
from numbaconv.running import call
from numbaconv.weight_grad import choice


def conv2d_weight_grad(
    x: npt.ArrayLike,
    weight_shape: tuple[int, ...],
    grad_output: npt.ArrayLike,
    stride: IntOrAxes = 1,
    padding: Any = 0,
    dilation: IntOrAxes = 1,
    groups: int = 1,
    *,
    padding_mode: str = "zeros",
    layout: str = "channels_first",
    dtype: npt.DTypeLike | None = None,
    out: Array | None = None,
    algorithm: str = "auto",
    parallel: bool = True,
) -> Array:
    """Return the gradient of `conv2d` with respect to its weights.

    For each weight the sum, over images and output positions, of the output's gradient times the
    input that the weight met there.

    Parameters
    ----------
    x : array_like
        The forward's input, ``(N, C, H, W)`` or ``(C, H, W)``; with ``layout="channels_last"``
        ``(N, H, W, C)``.
    weight_shape : tuple of int
        Of the forward's weights: ``(O, C/groups, KH, KW)``, or ``(KH, KW, C/groups, O)``.
    grad_output : array_like
        The gradient with respect to the forward's result, of its shape.
    stride, padding, dilation, groups, padding_mode, layout
        The forward's.
    dtype : dtype, optional
        Of the result; by default ``numpy.result_type(x, grad_output)``.
    out : ndarray, optional
        Where to write: of `weight_shape` and the result's dtype.
    algorithm : {"auto", "exact", "im2col", "direct"}, optional
        ``"im2col"`` is the reference: the output's gradient times the transposed column matrix,
        tile by tile, through ``np.dot``. ``"direct"`` multiplies by the same register tiles as
        `conv2d`, without a column matrix.
    parallel : bool, optional
        Use up to ``numba.get_num_threads()`` threads, or only the calling one. Sums are formed and
        added in an order that does not depend on it.

    Returns
    -------
    ndarray
        Of `weight_shape`; zeros for an empty batch. Complex gradients follow PyTorch's convention:
        `x` is conjugated.

    Raises
    ------
    TypeError, ValueError, MemoryError
        As in `conv2d`; also if `grad_output` has not the shape of the forward's result.

    See Also
    --------
    conv2d_input_grad, conv2d_backward : The other gradients.

    Examples
    --------
    >>> import numpy as np
    >>> import numbaconv as nbc
    >>> image = np.arange(9.0).reshape(1, 1, 3, 3)
    >>> nbc.conv2d_weight_grad(image, (1, 1, 2, 2), np.ones((1, 1, 2, 2)))
    array([[[[ 8., 12.],
             [20., 24.]]]])
    """
    return _weight_grad(
        2, x, weight_shape, grad_output, stride, padding, dilation, groups, padding_mode, layout,
        dtype, out, algorithm, parallel,
    )  # fmt: skip


def conv1d_weight_grad(
    x: npt.ArrayLike,
    weight_shape: tuple[int, ...],
    grad_output: npt.ArrayLike,
    stride: IntOrAxes = 1,
    padding: Any = 0,
    dilation: IntOrAxes = 1,
    groups: int = 1,
    *,
    padding_mode: str = "zeros",
    layout: str = "channels_first",
    dtype: npt.DTypeLike | None = None,
    out: Array | None = None,
    algorithm: str = "auto",
    parallel: bool = True,
) -> Array:
    """Return the gradient of `conv1d` with respect to its weights.

    Parameters
    ----------
    x : array_like
        The forward's input.
    weight_shape : tuple of int
        Of the forward's weights, ``(O, C/groups, K)``, or with channels last.
    grad_output : array_like
        The gradient with respect to the forward's result, of its shape.
    stride, padding, dilation, groups, padding_mode, layout
        The forward's.
    dtype, out, algorithm, parallel
        As in `conv2d_weight_grad`.

    Returns
    -------
    ndarray
        Of `weight_shape`. Complex gradients are PyTorch's: `x` is conjugated.

    Raises
    ------
    TypeError, ValueError, MemoryError
        As in `conv2d_weight_grad`.

    Examples
    --------
    >>> import numpy as np
    >>> import numbaconv as nbc
    >>> x, grad = np.ones((2, 3, 10)), np.ones((2, 4, 8))
    >>> nbc.conv1d_weight_grad(x, (4, 3, 3), grad).shape
    (4, 3, 3)
    """
    return _weight_grad(
        1, x, weight_shape, grad_output, stride, padding, dilation, groups, padding_mode, layout,
        dtype, out, algorithm, parallel,
    )  # fmt: skip


def conv3d_weight_grad(
    x: npt.ArrayLike,
    weight_shape: tuple[int, ...],
    grad_output: npt.ArrayLike,
    stride: IntOrAxes = 1,
    padding: Any = 0,
    dilation: IntOrAxes = 1,
    groups: int = 1,
    *,
    padding_mode: str = "zeros",
    layout: str = "channels_first",
    dtype: npt.DTypeLike | None = None,
    out: Array | None = None,
    algorithm: str = "auto",
    parallel: bool = True,
) -> Array:
    """Return the gradient of `conv3d` with respect to its weights.

    Parameters
    ----------
    x : array_like
        The forward's input.
    weight_shape : tuple of int
        Of the forward's weights, ``(O, C/groups, KD, KH, KW)``, or with channels last.
    grad_output : array_like
        The gradient with respect to the forward's result, of its shape.
    stride, padding, dilation, groups, padding_mode, layout
        The forward's.
    dtype, out, algorithm, parallel
        As in `conv2d_weight_grad`.

    Returns
    -------
    ndarray
        Of `weight_shape`. Complex gradients are PyTorch's: `x` is conjugated.

    Raises
    ------
    TypeError, ValueError, MemoryError
        As in `conv2d_weight_grad`.

    Examples
    --------
    >>> import numpy as np
    >>> import numbaconv as nbc
    >>> x, grad = np.ones((1, 2, 4, 5, 6)), np.ones((1, 3, 3, 4, 5))
    >>> nbc.conv3d_weight_grad(x, (3, 2, 2, 2, 2), grad).shape
    (3, 2, 2, 2, 2)
    """
    return _weight_grad(
        3, x, weight_shape, grad_output, stride, padding, dilation, groups, padding_mode, layout,
        dtype, out, algorithm, parallel,
    )  # fmt: skip


def conv_transpose2d_weight_grad(
    x: npt.ArrayLike,
    weight_shape: tuple[int, ...],
    grad_output: npt.ArrayLike,
    stride: IntOrAxes = 1,
    padding: Any = 0,
    output_padding: IntOrAxes = 0,
    groups: int = 1,
    dilation: IntOrAxes = 1,
    *,
    layout: str = "channels_first",
    dtype: npt.DTypeLike | None = None,
    out: Array | None = None,
    algorithm: str = "auto",
    parallel: bool = True,
) -> Array:
    """Return the gradient of `conv_transpose2d` with respect to its weights.

    Parameters
    ----------
    x : array_like
        The forward's input.
    weight_shape : tuple of int
        Of the forward's weights, ``(C, O/groups, KH, KW)``, or with channels last.
    grad_output : array_like
        The gradient with respect to the forward's result, of its shape.
    stride, padding, output_padding, groups, dilation, layout
        The forward's.
    dtype, out, algorithm, parallel
        As in `conv2d_weight_grad`.

    Returns
    -------
    ndarray
        Of `weight_shape`. Complex gradients are PyTorch's: `x` is conjugated.

    Raises
    ------
    TypeError, ValueError, MemoryError
        As in `conv2d_weight_grad`.

    Examples
    --------
    >>> import numpy as np
    >>> import numbaconv as nbc
    >>> x, grad = np.ones((2, 3, 4, 5)), np.ones((2, 6, 8, 10))
    >>> nbc.conv_transpose2d_weight_grad(x, (3, 6, 2, 2), grad, stride=2).shape
    (3, 6, 2, 2)
    """
    return _transposed_weight_grad(
        2, x, weight_shape, grad_output, stride, padding, output_padding, groups, dilation, layout,
        dtype, out, algorithm, parallel,
    )  # fmt: skip


def conv_transpose1d_weight_grad(
    x: npt.ArrayLike,
    weight_shape: tuple[int, ...],
    grad_output: npt.ArrayLike,
    stride: IntOrAxes = 1,
    padding: Any = 0,
    output_padding: IntOrAxes = 0,
    groups: int = 1,
    dilation: IntOrAxes = 1,
    *,
    layout: str = "channels_first",
    dtype: npt.DTypeLike | None = None,
    out: Array | None = None,
    algorithm: str = "auto",
    parallel: bool = True,
) -> Array:
    """Return the gradient of `conv_transpose1d` with respect to its weights.

    Parameters
    ----------
    x : array_like
        The forward's input.
    weight_shape : tuple of int
        Of the forward's weights, ``(C, O/groups, K)``, or with channels last.
    grad_output : array_like
        The gradient with respect to the forward's result, of its shape.
    stride, padding, output_padding, groups, dilation, layout
        The forward's.
    dtype, out, algorithm, parallel
        As in `conv2d_weight_grad`.

    Returns
    -------
    ndarray
        Of `weight_shape`. Complex gradients are PyTorch's: `x` is conjugated.

    Raises
    ------
    TypeError, ValueError, MemoryError
        As in `conv2d_weight_grad`.

    Examples
    --------
    >>> import numpy as np
    >>> import numbaconv as nbc
    >>> x, grad = np.ones((2, 3, 5)), np.ones((2, 4, 10))
    >>> nbc.conv_transpose1d_weight_grad(x, (3, 4, 2), grad, stride=2).shape
    (3, 4, 2)
    """
    return _transposed_weight_grad(
        1, x, weight_shape, grad_output, stride, padding, output_padding, groups, dilation, layout,
        dtype, out, algorithm, parallel,
    )  # fmt: skip


def conv_transpose3d_weight_grad(
    x: npt.ArrayLike,
    weight_shape: tuple[int, ...],
    grad_output: npt.ArrayLike,
    stride: IntOrAxes = 1,
    padding: Any = 0,
    output_padding: IntOrAxes = 0,
    groups: int = 1,
    dilation: IntOrAxes = 1,
    *,
    layout: str = "channels_first",
    dtype: npt.DTypeLike | None = None,
    out: Array | None = None,
    algorithm: str = "auto",
    parallel: bool = True,
) -> Array:
    """Return the gradient of `conv_transpose3d` with respect to its weights.

    Parameters
    ----------
    x : array_like
        The forward's input.
    weight_shape : tuple of int
        Of the forward's weights, ``(C, O/groups, KD, KH, KW)``, or with channels last.
    grad_output : array_like
        The gradient with respect to the forward's result, of its shape.
    stride, padding, output_padding, groups, dilation, layout
        The forward's.
    dtype, out, algorithm, parallel
        As in `conv2d_weight_grad`.

    Returns
    -------
    ndarray
        Of `weight_shape`. Complex gradients are PyTorch's: `x` is conjugated.

    Raises
    ------
    TypeError, ValueError, MemoryError
        As in `conv2d_weight_grad`.

    Examples
    --------
    >>> import numpy as np
    >>> import numbaconv as nbc
    >>> x, grad = np.ones((1, 2, 2, 3, 4)), np.ones((1, 3, 4, 6, 8))
    >>> nbc.conv_transpose3d_weight_grad(x, (2, 3, 2, 2, 2), grad, stride=2).shape
    (2, 3, 2, 2, 2)
    """
    return _transposed_weight_grad(
        3, x, weight_shape, grad_output, stride, padding, output_padding, groups, dilation, layout,
        dtype, out, algorithm, parallel,
    )  # fmt: skip


def _weight_grad(
    ndim: int,
    x: npt.ArrayLike,
    weight_shape: Any,
    grad_output: npt.ArrayLike,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: Any,
    padding_mode: Any,
    layout: Any,
    dtype: npt.DTypeLike | None,
    out: Any,
    algorithm: Any,
    parallel: Any,
) -> Array:
    source, grad = arguments.as_array(x, "x"), arguments.as_array(grad_output, "grad_output")
    signature = (
        ndim, source.shape, source.dtype, arguments.shape(weight_shape, "weight_shape"), grad.shape,
        grad.dtype, stride, padding, dilation, groups, padding_mode, layout, dtype, algorithm,
    )  # fmt: skip
    found = call.remembered(_resolve, signature, stride, padding, dilation, groups)
    parallel = arguments.flag(parallel, "parallel")
    return choice.run(found, source, grad, out, parallel, conjugate="x")


def _resolve(
    ndim: int,
    x_shape: Ints,
    x_dtype: np.dtype[Any],
    weight_shape: Ints,
    grad_shape: Ints,
    grad_dtype: np.dtype[Any],
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: Any,
    padding_mode: Any,
    layout: Any,
    dtype: Any,
    algorithm: Any,
) -> choice.Call:
    geometry = ConvGeometry.parse(
        ndim, x_shape, weight_shape, stride, padding, dilation, groups, padding_mode, layout,
        weight_name="weight_shape",
    )  # fmt: skip
    arguments.check_grad(grad_shape, geometry.output_shape)
    result = arguments.result_dtype(dtype, x=x_dtype, grad_output=grad_dtype)
    return choice.resolve(geometry, weight_shape, result, algorithm)


def _transposed_weight_grad(
    ndim: int,
    x: npt.ArrayLike,
    weight_shape: Any,
    grad_output: npt.ArrayLike,
    stride: Any,
    padding: Any,
    output_padding: Any,
    groups: Any,
    dilation: Any,
    layout: Any,
    dtype: npt.DTypeLike | None,
    out: Any,
    algorithm: Any,
    parallel: Any,
) -> Array:
    source, grad = arguments.as_array(x, "x"), arguments.as_array(grad_output, "grad_output")
    signature = (
        ndim, source.shape, source.dtype, arguments.shape(weight_shape, "weight_shape"), grad.shape,
        grad.dtype, stride, padding, output_padding, groups, dilation, layout, dtype, algorithm,
    )  # fmt: skip
    found = call.remembered(
        _resolve_transposed, signature, stride, padding, output_padding, groups, dilation
    )
    parallel = arguments.flag(parallel, "parallel")
    # The convolution that this is the adjoint of reads the output's gradient, and writes to `x`.
    return choice.run(found, cropped(grad, found.geometry), source, out, parallel, conjugate="grad")


def _resolve_transposed(
    ndim: int,
    x_shape: Ints,
    x_dtype: np.dtype[Any],
    weight_shape: Ints,
    grad_shape: Ints,
    grad_dtype: np.dtype[Any],
    stride: Any,
    padding: Any,
    output_padding: Any,
    groups: Any,
    dilation: Any,
    layout: Any,
    dtype: Any,
    algorithm: Any,
) -> choice.Call:
    geometry = ConvGeometry.parse_transposed(
        ndim, x_shape, weight_shape, stride, padding, output_padding, groups, dilation, None,
        layout, weight_name="weight_shape",
    )  # fmt: skip
    arguments.check_grad(grad_shape, geometry.input_shape)
    result = arguments.result_dtype(dtype, x=x_dtype, grad_output=grad_dtype)
    return choice.resolve(geometry.cropped, weight_shape, result, algorithm)
