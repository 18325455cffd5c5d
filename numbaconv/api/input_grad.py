"""The gradients of convolutions, plain and transposed, with respect to their input."""

import numpy.typing as npt

from numbaconv.api import again
from numbaconv.problem.arrays import Array
from numbaconv.problem.options import ConvOptions
from numbaconv.problem.types import Algorithm, IntOrAxes, Layout, Padding, PaddingMode


def conv2d_input_grad(
    input_shape: tuple[int, ...],
    weight: npt.ArrayLike,
    grad_output: npt.ArrayLike,
    stride: IntOrAxes = 1,
    padding: Padding = 0,
    dilation: IntOrAxes = 1,
    groups: int = 1,
    *,
    padding_mode: PaddingMode = "zeros",
    layout: Layout = "channels_first",
    dtype: npt.DTypeLike | None = None,
    out: Array | None = None,
    algorithm: Algorithm = "auto",
    parallel: bool = True,
) -> Array:
    """Return the gradient of `conv2d` with respect to its input.

    Arrays of Dask's and arrays on a device are taken as by `conv2d`.

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
    options = ConvOptions(
        ndim=2, stride=stride, padding=padding, dilation=dilation, groups=groups,
        padding_mode=padding_mode, layout=layout, dtype=dtype, algorithm=algorithm,
    )  # fmt: skip
    return again.run(
        "input_grad", grad_output, options, (input_shape, weight, grad_output), out, parallel
    )


def conv1d_input_grad(
    input_shape: tuple[int, ...],
    weight: npt.ArrayLike,
    grad_output: npt.ArrayLike,
    stride: IntOrAxes = 1,
    padding: Padding = 0,
    dilation: IntOrAxes = 1,
    groups: int = 1,
    *,
    padding_mode: PaddingMode = "zeros",
    layout: Layout = "channels_first",
    dtype: npt.DTypeLike | None = None,
    out: Array | None = None,
    algorithm: Algorithm = "auto",
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
    options = ConvOptions(
        ndim=1, stride=stride, padding=padding, dilation=dilation, groups=groups,
        padding_mode=padding_mode, layout=layout, dtype=dtype, algorithm=algorithm,
    )  # fmt: skip
    return again.run(
        "input_grad", grad_output, options, (input_shape, weight, grad_output), out, parallel
    )


def conv3d_input_grad(
    input_shape: tuple[int, ...],
    weight: npt.ArrayLike,
    grad_output: npt.ArrayLike,
    stride: IntOrAxes = 1,
    padding: Padding = 0,
    dilation: IntOrAxes = 1,
    groups: int = 1,
    *,
    padding_mode: PaddingMode = "zeros",
    layout: Layout = "channels_first",
    dtype: npt.DTypeLike | None = None,
    out: Array | None = None,
    algorithm: Algorithm = "auto",
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
    options = ConvOptions(
        ndim=3, stride=stride, padding=padding, dilation=dilation, groups=groups,
        padding_mode=padding_mode, layout=layout, dtype=dtype, algorithm=algorithm,
    )  # fmt: skip
    return again.run(
        "input_grad", grad_output, options, (input_shape, weight, grad_output), out, parallel
    )


def conv_transpose2d_input_grad(
    input_shape: tuple[int, ...],
    weight: npt.ArrayLike,
    grad_output: npt.ArrayLike,
    stride: IntOrAxes = 1,
    padding: Padding = 0,
    output_padding: IntOrAxes = 0,
    groups: int = 1,
    dilation: IntOrAxes = 1,
    *,
    layout: Layout = "channels_first",
    dtype: npt.DTypeLike | None = None,
    out: Array | None = None,
    algorithm: Algorithm = "auto",
    parallel: bool = True,
) -> Array:
    """Return the gradient of `conv_transpose2d` with respect to its input.

    Arrays of Dask's and arrays on a device are taken as by `conv2d`.

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
    options = ConvOptions(
        ndim=2, stride=stride, padding=padding, dilation=dilation, groups=groups, layout=layout,
        dtype=dtype, algorithm=algorithm, transposed=True, output_padding=output_padding,
    )  # fmt: skip
    return again.run(
        "input_grad", grad_output, options, (input_shape, weight, grad_output), out, parallel
    )


def conv_transpose1d_input_grad(
    input_shape: tuple[int, ...],
    weight: npt.ArrayLike,
    grad_output: npt.ArrayLike,
    stride: IntOrAxes = 1,
    padding: Padding = 0,
    output_padding: IntOrAxes = 0,
    groups: int = 1,
    dilation: IntOrAxes = 1,
    *,
    layout: Layout = "channels_first",
    dtype: npt.DTypeLike | None = None,
    out: Array | None = None,
    algorithm: Algorithm = "auto",
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
    options = ConvOptions(
        ndim=1, stride=stride, padding=padding, dilation=dilation, groups=groups, layout=layout,
        dtype=dtype, algorithm=algorithm, transposed=True, output_padding=output_padding,
    )  # fmt: skip
    return again.run(
        "input_grad", grad_output, options, (input_shape, weight, grad_output), out, parallel
    )


def conv_transpose3d_input_grad(
    input_shape: tuple[int, ...],
    weight: npt.ArrayLike,
    grad_output: npt.ArrayLike,
    stride: IntOrAxes = 1,
    padding: Padding = 0,
    output_padding: IntOrAxes = 0,
    groups: int = 1,
    dilation: IntOrAxes = 1,
    *,
    layout: Layout = "channels_first",
    dtype: npt.DTypeLike | None = None,
    out: Array | None = None,
    algorithm: Algorithm = "auto",
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
    options = ConvOptions(
        ndim=3, stride=stride, padding=padding, dilation=dilation, groups=groups, layout=layout,
        dtype=dtype, algorithm=algorithm, transposed=True, output_padding=output_padding,
    )  # fmt: skip
    return again.run(
        "input_grad", grad_output, options, (input_shape, weight, grad_output), out, parallel
    )
