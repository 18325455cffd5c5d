"""The gradients of convolutions, plain and transposed, with respect to their input."""

from typing import Any

import numpy as np
import numpy.typing as npt

from numbaconv.adjoint import choice
from numbaconv.api.types import IntOrAxes
from numbaconv.problem import arguments
from numbaconv.problem.arrays import Array
from numbaconv.problem.geometry import ConvGeometry, Ints
from numbaconv.running import call


def conv2d_input_grad(
    input_shape: tuple[int, ...],
    weight: npt.ArrayLike,
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
    """Return the gradient of `conv2d` with respect to its input.

    It is the transposed convolution of the output's gradient: with stride 1 the same fast
    algorithms as `conv2d`'s, over flipped weights.

    Parameters
    ----------
    input_shape : tuple of int
        Of the forward's `x`: ``(N, C, H, W)`` or ``(C, H, W)``; with ``layout="channels_last"``
        ``(N, H, W, C)``.
    weight : array_like
        The forward's, ``(O, C/groups, KH, KW)``, or ``(KH, KW, C/groups, O)``.
    grad_output : array_like
        The gradient with respect to the forward's result, of its shape.
    stride, padding, dilation, groups, padding_mode, layout
        The forward's.
    dtype : dtype, optional
        Of the result; by default ``numpy.result_type(weight, grad_output)``.
    out : ndarray, optional
        Where to write: of `input_shape` and the result's dtype.
    algorithm : {"auto", "exact", "im2col", "direct", "depthwise", "winograd", "fft"}, optional
        As in `conv_transpose2d`.
    parallel : bool, optional
        Use up to ``numba.get_num_threads()`` threads, or only the calling one.

    Returns
    -------
    ndarray
        Of `input_shape`; zero at positions that no window reads. Complex gradients follow
        PyTorch's convention: the weights are conjugated, so that a step against the gradient of
        a real loss is ``x - rate * gradient``.

    Raises
    ------
    TypeError, ValueError, MemoryError
        As in `conv2d`; also if `grad_output` has not the shape of the forward's result.

    See Also
    --------
    conv_transpose2d : The same sums, where the shape of the result follows from the arguments.
    conv2d_weight_grad, conv2d_backward : The other gradients.

    Examples
    --------
    >>> import numpy as np
    >>> import numbaconv as nbc
    >>> ones = np.ones((1, 1, 2, 2))
    >>> nbc.conv2d_input_grad((1, 1, 3, 3), ones, ones)
    array([[[[1., 2., 1.],
             [2., 4., 2.],
             [1., 2., 1.]]]])
    """
    return _input_grad(
        2, input_shape, weight, grad_output, stride, padding, dilation, groups, padding_mode,
        layout, dtype, out, algorithm, parallel,
    )  # fmt: skip


def conv1d_input_grad(
    input_shape: tuple[int, ...],
    weight: npt.ArrayLike,
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
    """Return the gradient of `conv1d` with respect to its input.

    Parameters
    ----------
    input_shape : tuple of int
        Of the forward's `x`.
    weight : array_like
        The forward's, ``(O, C/groups, K)``, or with channels last.
    grad_output : array_like
        The gradient with respect to the forward's result, of its shape.
    stride, padding, dilation, groups, padding_mode, layout
        The forward's.
    dtype, out, algorithm, parallel
        As in `conv2d_input_grad`.

    Returns
    -------
    ndarray
        Of `input_shape`. Complex gradients are PyTorch's: the weights are conjugated.

    Raises
    ------
    TypeError, ValueError, MemoryError
        As in `conv2d_input_grad`.

    Examples
    --------
    >>> import numpy as np
    >>> import numbaconv as nbc
    >>> weight, grad = np.ones((4, 3, 3)), np.ones((2, 4, 8))
    >>> nbc.conv1d_input_grad((2, 3, 10), weight, grad).shape
    (2, 3, 10)
    """
    return _input_grad(
        1, input_shape, weight, grad_output, stride, padding, dilation, groups, padding_mode,
        layout, dtype, out, algorithm, parallel,
    )  # fmt: skip


def conv3d_input_grad(
    input_shape: tuple[int, ...],
    weight: npt.ArrayLike,
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
    """Return the gradient of `conv3d` with respect to its input.

    Parameters
    ----------
    input_shape : tuple of int
        Of the forward's `x`.
    weight : array_like
        The forward's, ``(O, C/groups, KD, KH, KW)``, or with channels last.
    grad_output : array_like
        The gradient with respect to the forward's result, of its shape.
    stride, padding, dilation, groups, padding_mode, layout
        The forward's.
    dtype, out, algorithm, parallel
        As in `conv2d_input_grad`.

    Returns
    -------
    ndarray
        Of `input_shape`. Complex gradients are PyTorch's: the weights are conjugated.

    Raises
    ------
    TypeError, ValueError, MemoryError
        As in `conv2d_input_grad`.

    Examples
    --------
    >>> import numpy as np
    >>> import numbaconv as nbc
    >>> weight, grad = np.ones((3, 2, 2, 2, 2)), np.ones((1, 3, 3, 4, 5))
    >>> nbc.conv3d_input_grad((1, 2, 4, 5, 6), weight, grad).shape
    (1, 2, 4, 5, 6)
    """
    return _input_grad(
        3, input_shape, weight, grad_output, stride, padding, dilation, groups, padding_mode,
        layout, dtype, out, algorithm, parallel,
    )  # fmt: skip


def conv_transpose2d_input_grad(
    input_shape: tuple[int, ...],
    weight: npt.ArrayLike,
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
    """Return the gradient of `conv_transpose2d` with respect to its input.

    It is a convolution of the output's gradient.

    Parameters
    ----------
    input_shape : tuple of int
        Of the forward's `x`.
    weight : array_like
        The forward's, ``(C, O/groups, KH, KW)``, or with channels last.
    grad_output : array_like
        The gradient with respect to the forward's result, of its shape.
    stride, padding, output_padding, groups, dilation, layout
        The forward's.
    dtype, out, algorithm, parallel
        As in `conv2d`.

    Returns
    -------
    ndarray
        Of `input_shape`. Complex gradients are PyTorch's: the weights are conjugated.

    Raises
    ------
    TypeError, ValueError, MemoryError
        As in `conv2d_input_grad`.

    Examples
    --------
    >>> import numpy as np
    >>> import numbaconv as nbc
    >>> weight, grad = np.ones((3, 6, 2, 2)), np.ones((2, 6, 8, 10))
    >>> nbc.conv_transpose2d_input_grad((2, 3, 4, 5), weight, grad, stride=2).shape
    (2, 3, 4, 5)
    """
    return _transposed_input_grad(
        2, input_shape, weight, grad_output, stride, padding, output_padding, groups, dilation,
        layout, dtype, out, algorithm, parallel,
    )  # fmt: skip


def conv_transpose1d_input_grad(
    input_shape: tuple[int, ...],
    weight: npt.ArrayLike,
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
    """Return the gradient of `conv_transpose1d` with respect to its input.

    It is a convolution of the output's gradient.

    Parameters
    ----------
    input_shape : tuple of int
        Of the forward's `x`.
    weight : array_like
        The forward's, ``(C, O/groups, K)``, or with channels last.
    grad_output : array_like
        The gradient with respect to the forward's result, of its shape.
    stride, padding, output_padding, groups, dilation, layout
        The forward's.
    dtype, out, algorithm, parallel
        As in `conv2d`.

    Returns
    -------
    ndarray
        Of `input_shape`. Complex gradients are PyTorch's: the weights are conjugated.

    Raises
    ------
    TypeError, ValueError, MemoryError
        As in `conv2d_input_grad`.

    Examples
    --------
    >>> import numpy as np
    >>> import numbaconv as nbc
    >>> weight, grad = np.ones((3, 4, 2)), np.ones((2, 4, 10))
    >>> nbc.conv_transpose1d_input_grad((2, 3, 5), weight, grad, stride=2).shape
    (2, 3, 5)
    """
    return _transposed_input_grad(
        1, input_shape, weight, grad_output, stride, padding, output_padding, groups, dilation,
        layout, dtype, out, algorithm, parallel,
    )  # fmt: skip


def conv_transpose3d_input_grad(
    input_shape: tuple[int, ...],
    weight: npt.ArrayLike,
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
    """Return the gradient of `conv_transpose3d` with respect to its input.

    It is a convolution of the output's gradient.

    Parameters
    ----------
    input_shape : tuple of int
        Of the forward's `x`.
    weight : array_like
        The forward's, ``(C, O/groups, KD, KH, KW)``, or with channels last.
    grad_output : array_like
        The gradient with respect to the forward's result, of its shape.
    stride, padding, output_padding, groups, dilation, layout
        The forward's.
    dtype, out, algorithm, parallel
        As in `conv2d`.

    Returns
    -------
    ndarray
        Of `input_shape`. Complex gradients are PyTorch's: the weights are conjugated.

    Raises
    ------
    TypeError, ValueError, MemoryError
        As in `conv2d_input_grad`.

    Examples
    --------
    >>> import numpy as np
    >>> import numbaconv as nbc
    >>> weight, grad = np.ones((2, 3, 2, 2, 2)), np.ones((1, 3, 4, 6, 8))
    >>> nbc.conv_transpose3d_input_grad((1, 2, 2, 3, 4), weight, grad, stride=2).shape
    (1, 2, 2, 3, 4)
    """
    return _transposed_input_grad(
        3, input_shape, weight, grad_output, stride, padding, output_padding, groups, dilation,
        layout, dtype, out, algorithm, parallel,
    )  # fmt: skip


def _input_grad(
    ndim: int,
    input_shape: Any,
    weight: npt.ArrayLike,
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
    grad, kernels = arguments.as_array(grad_output, "grad_output"), conjugated(weight)
    signature = (
        ndim, arguments.shape(input_shape, "input_shape"), kernels.shape, kernels.dtype, grad.shape,
        grad.dtype, stride, padding, dilation, groups, padding_mode, layout, dtype, algorithm,
    )  # fmt: skip
    found = call.remembered(_resolve, signature, stride, padding, dilation, groups)
    return _run(found, grad, grad, kernels, out, parallel)


def _resolve(
    ndim: int,
    input_shape: Ints,
    weight_shape: Ints,
    weight_dtype: np.dtype[Any],
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
) -> call.Call:
    geometry = ConvGeometry.parse(
        ndim, input_shape, weight_shape, stride, padding, dilation, groups, padding_mode, layout,
        name="input_shape",
    )  # fmt: skip
    arguments.check_grad(grad_shape, geometry.output_shape)
    result = arguments.result_dtype(dtype, weight=weight_dtype, grad_output=grad_dtype)
    return choice.resolve(geometry, result, algorithm)


def _transposed_input_grad(
    ndim: int,
    input_shape: Any,
    weight: npt.ArrayLike,
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
    grad, kernels = arguments.as_array(grad_output, "grad_output"), conjugated(weight)
    signature = (
        ndim, arguments.shape(input_shape, "input_shape"), kernels.shape, kernels.dtype, grad.shape,
        grad.dtype, stride, padding, output_padding, groups, dilation, layout, dtype, algorithm,
    )  # fmt: skip
    found = call.remembered(
        _resolve_transposed, signature, stride, padding, output_padding, groups, dilation
    )
    return _run(found, cropped(grad, found.geometry), grad, kernels, out, parallel)


def _resolve_transposed(
    ndim: int,
    input_shape: Ints,
    weight_shape: Ints,
    weight_dtype: np.dtype[Any],
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
) -> call.Call:
    geometry = ConvGeometry.parse_transposed(
        ndim, input_shape, weight_shape, stride, padding, output_padding, groups, dilation, None,
        layout, name="input_shape",
    )  # fmt: skip
    arguments.check_grad(grad_shape, geometry.input_shape)
    result = arguments.result_dtype(dtype, weight=weight_dtype, grad_output=grad_dtype)
    return call.choose(geometry.cropped, result, algorithm)


def conjugated(weight: npt.ArrayLike) -> Array:
    """Return weights as the gradient takes them: conjugated where complex."""
    kernels = arguments.as_array(weight, "weight")
    return np.conj(kernels) if kernels.dtype.kind == "c" else kernels


def cropped(x: Array, geometry: ConvGeometry) -> Array:
    """Return the part of an input that the windows of a `ConvGeometry.cropped` slide over."""
    stop = x.ndim - 1 if geometry.channels_last else x.ndim
    size = geometry.window.size
    index = [slice(None)] * x.ndim
    index[stop - len(size) : stop] = [slice(n) for n in size]
    return x[tuple(index)]


def _run(
    found: call.Call, source: Array, grad: Array, kernels: Array, out: Any, parallel: Any
) -> Array:
    parallel = arguments.flag(parallel, "parallel")
    packed = call.pack(found, kernels, None, parallel, keep=False)
    result = call.run(found, source, packed, out, parallel, (grad, kernels))
    packed.release()
    return result
