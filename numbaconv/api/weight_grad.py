"""The gradients of convolutions, plain and transposed, with respect to their weights."""

import numpy.typing as npt

from numbaconv.api import again
from numbaconv.problem.arrays import Array
from numbaconv.problem.options import ConvOptions
from numbaconv.problem.types import Algorithm, IntOrAxes, Layout, Padding, PaddingMode


def conv2d_weight_grad(
    x: npt.ArrayLike,
    weight_shape: tuple[int, ...],
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
    """Return the gradient of `conv2d` with respect to its weights.

    Arrays of Dask's and arrays on a device are taken as by `conv2d`.

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
    options = ConvOptions(
        ndim=2, stride=stride, padding=padding, dilation=dilation, groups=groups,
        padding_mode=padding_mode, layout=layout, dtype=dtype, algorithm=algorithm,
    )  # fmt: skip
    arrays = x, weight_shape, grad_output
    return again.run("weight_grad", grad_output, options, arrays, out, parallel)


def conv1d_weight_grad(
    x: npt.ArrayLike,
    weight_shape: tuple[int, ...],
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
    options = ConvOptions(
        ndim=1, stride=stride, padding=padding, dilation=dilation, groups=groups,
        padding_mode=padding_mode, layout=layout, dtype=dtype, algorithm=algorithm,
    )  # fmt: skip
    arrays = x, weight_shape, grad_output
    return again.run("weight_grad", grad_output, options, arrays, out, parallel)


def conv3d_weight_grad(
    x: npt.ArrayLike,
    weight_shape: tuple[int, ...],
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
    options = ConvOptions(
        ndim=3, stride=stride, padding=padding, dilation=dilation, groups=groups,
        padding_mode=padding_mode, layout=layout, dtype=dtype, algorithm=algorithm,
    )  # fmt: skip
    arrays = x, weight_shape, grad_output
    return again.run("weight_grad", grad_output, options, arrays, out, parallel)


def conv_transpose2d_weight_grad(
    x: npt.ArrayLike,
    weight_shape: tuple[int, ...],
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
    """Return the gradient of `conv_transpose2d` with respect to its weights.

    Arrays of Dask's and arrays on a device are taken as by `conv2d`.

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
    options = ConvOptions(
        ndim=2, stride=stride, padding=padding, dilation=dilation, groups=groups, layout=layout,
        dtype=dtype, algorithm=algorithm, transposed=True, output_padding=output_padding,
    )  # fmt: skip
    arrays = x, weight_shape, grad_output
    return again.run("weight_grad", grad_output, options, arrays, out, parallel)


def conv_transpose1d_weight_grad(
    x: npt.ArrayLike,
    weight_shape: tuple[int, ...],
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
    options = ConvOptions(
        ndim=1, stride=stride, padding=padding, dilation=dilation, groups=groups, layout=layout,
        dtype=dtype, algorithm=algorithm, transposed=True, output_padding=output_padding,
    )  # fmt: skip
    arrays = x, weight_shape, grad_output
    return again.run("weight_grad", grad_output, options, arrays, out, parallel)


def conv_transpose3d_weight_grad(
    x: npt.ArrayLike,
    weight_shape: tuple[int, ...],
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
    options = ConvOptions(
        ndim=3, stride=stride, padding=padding, dilation=dilation, groups=groups, layout=layout,
        dtype=dtype, algorithm=algorithm, transposed=True, output_padding=output_padding,
    )  # fmt: skip
    arrays = x, weight_shape, grad_output
    return again.run("weight_grad", grad_output, options, arrays, out, parallel)
