"""conv_transpose1d, conv_transpose2d and conv_transpose3d: the adjoints of convolution."""

from typing import Any

import numpy as np
import numpy.typing as npt

from numbaconv.adjoint import choice
from numbaconv.api.types import IntOrAxes
from numbaconv.problem import arguments
from numbaconv.problem.arrays import Array
from numbaconv.problem.geometry import ConvGeometry, Ints
from numbaconv.running import call


def conv_transpose2d(
    x: npt.ArrayLike,
    weight: npt.ArrayLike,
    bias: npt.ArrayLike | None = None,
    stride: IntOrAxes = 1,
    padding: Any = 0,
    output_padding: IntOrAxes = 0,
    groups: int = 1,
    dilation: IntOrAxes = 1,
    *,
    output_size: IntOrAxes | None = None,
    layout: str = "channels_first",
    dtype: npt.DTypeLike | None = None,
    out: Array | None = None,
    algorithm: str = "auto",
    parallel: bool = True,
) -> Array:
    """Convolve images transposed: spread each input position over the result by the kernels.

    The adjoint of `conv2d`, which upsamples where `stride` is above 1. Positional calls of
    `torch.nn.functional.conv_transpose2d` move over.

    Parameters
    ----------
    x : array_like
        ``(N, C, H, W)`` or, unbatched, ``(C, H, W)``; with ``layout="channels_last"``
        ``(N, H, W, C)``. Any strides, alignment and byte order.
    weight : array_like
        ``(C, O/groups, KH, KW)``; with ``layout="channels_last"`` ``(KH, KW, O/groups, C)``.
    bias : array_like, optional
        ``(O,)``, added to every position of the result; cast by NumPy's ``same_kind`` rule.
    stride, dilation : int or tuple of int, optional
        Positive: the distances, in positions of the result, between neighbouring inputs and
        between the kernel's taps.
    padding : int, tuple of int, tuple of (int, int), or str, optional
        Positions cut off the result: on all sides, per axis, or ``(low, high)`` per axis; or
        ``"valid"``; ``"same"`` or ``"same_lower"`` make a result of ``size * stride``.
    output_padding : int or tuple of int, optional
        Positions that the high padding cuts off less; smaller than the stride or the dilation.
    groups : int, optional
        Divides C and O: output block g reads input block g alone.
    output_size : int or tuple of int, optional
        The spatial size wanted, which picks `output_padding`; with batch and channels if one likes.
    layout : {"channels_first", "channels_last"}, optional
        Where the channel axis stands in `x`, `weight` and the result.
    dtype, out, parallel
        As in `conv2d`.
    algorithm : {"auto", "exact", "im2col", "direct", "depthwise", "winograd", "fft"}, optional
        ``"im2col"`` is the reference: one GEMM makes columns, and col2im folds them. The others
        run ``prod(stride)`` small convolutions of stride 1, without inserting zeros, each by the
        algorithm named (or, with ``"auto"`` and ``"exact"``, chosen as in `conv2d`).

    Returns
    -------
    ndarray
        ``(N, O, OH, OW)``, or ``(N, OH, OW, O)``; without N for an unbatched `x`. Along each axis
        ``(size - 1) * stride - low - high + dilation * (kernel - 1) + output_padding + 1``
        positions.

    Raises
    ------
    TypeError, ValueError, MemoryError
        As in `conv2d`; also if the result would have no positions.

    See Also
    --------
    conv2d : Its adjoint.
    conv2d_input_grad : The same sums, for an input of a given shape.

    References
    ----------
    V. Dumoulin, F. Visin, "A guide to convolution arithmetic for deep learning",
    arXiv:1603.07285, section 4.

    Examples
    --------
    >>> import numpy as np
    >>> import numbaconv as nbc
    >>> image = np.array([[[[1.0, 2.0], [3.0, 4.0]]]])
    >>> nbc.conv_transpose2d(image, np.ones((1, 1, 2, 2)), stride=2)
    array([[[[1., 1., 2., 2.],
             [1., 1., 2., 2.],
             [3., 3., 4., 4.],
             [3., 3., 4., 4.]]]])
    >>> nbc.conv_transpose2d(image, np.ones((1, 1, 3, 3)), stride=2, padding=1, output_size=4).shape
    (1, 1, 4, 4)
    """
    return _conv_transpose(
        2, x, weight, bias, stride, padding, output_padding, groups, dilation, output_size, layout,
        dtype, out, algorithm, parallel,
    )  # fmt: skip


def conv_transpose1d(
    x: npt.ArrayLike,
    weight: npt.ArrayLike,
    bias: npt.ArrayLike | None = None,
    stride: IntOrAxes = 1,
    padding: Any = 0,
    output_padding: IntOrAxes = 0,
    groups: int = 1,
    dilation: IntOrAxes = 1,
    *,
    output_size: IntOrAxes | None = None,
    layout: str = "channels_first",
    dtype: npt.DTypeLike | None = None,
    out: Array | None = None,
    algorithm: str = "auto",
    parallel: bool = True,
) -> Array:
    """Convolve signals transposed: `conv_transpose2d` along one axis.

    Parameters
    ----------
    x : array_like
        ``(N, C, W)`` or without N; with ``layout="channels_last"`` ``(N, W, C)``.
    weight : array_like
        ``(C, O/groups, K)``; with ``layout="channels_last"``
        ``(K, O/groups, C)``.
    bias, stride, padding, output_padding, groups, dilation, output_size, layout, dtype, out, \
algorithm, parallel
        As in `conv_transpose2d`, for one spatial axis.

    Returns
    -------
    ndarray
        ``(N, O, OW)``, or with channels last; without N for an unbatched `x`.

    Raises
    ------
    TypeError, ValueError, MemoryError
        As in `conv_transpose2d`.

    Examples
    --------
    >>> import numpy as np
    >>> import numbaconv as nbc
    >>> signal = np.array([[[1, 2, 3]]])
    >>> nbc.conv_transpose1d(signal, np.array([[[1, 10]]]), stride=2)
    array([[[ 1, 10,  2, 20,  3, 30]]])
    """
    return _conv_transpose(
        1, x, weight, bias, stride, padding, output_padding, groups, dilation, output_size, layout,
        dtype, out, algorithm, parallel,
    )  # fmt: skip


def conv_transpose3d(
    x: npt.ArrayLike,
    weight: npt.ArrayLike,
    bias: npt.ArrayLike | None = None,
    stride: IntOrAxes = 1,
    padding: Any = 0,
    output_padding: IntOrAxes = 0,
    groups: int = 1,
    dilation: IntOrAxes = 1,
    *,
    output_size: IntOrAxes | None = None,
    layout: str = "channels_first",
    dtype: npt.DTypeLike | None = None,
    out: Array | None = None,
    algorithm: str = "auto",
    parallel: bool = True,
) -> Array:
    """Convolve volumes transposed: `conv_transpose2d` along three axes.

    Parameters
    ----------
    x : array_like
        ``(N, C, D, H, W)`` or without N; with ``layout="channels_last"`` ``(N, D, H, W, C)``.
    weight : array_like
        ``(C, O/groups, KD, KH, KW)``; with ``layout="channels_last"``
        ``(KD, KH, KW, O/groups, C)``.
    bias, stride, padding, output_padding, groups, dilation, output_size, layout, dtype, out, \
algorithm, parallel
        As in `conv_transpose2d`, for three spatial axes.

    Returns
    -------
    ndarray
        ``(N, O, OD, OH, OW)``, or with channels last; without N for an unbatched `x`.

    Raises
    ------
    TypeError, ValueError, MemoryError
        As in `conv_transpose2d`.

    Examples
    --------
    >>> import numpy as np
    >>> import numbaconv as nbc
    >>> volume = np.ones((1, 4, 2, 3, 4))
    >>> nbc.conv_transpose3d(volume, np.ones((4, 5, 2, 2, 2)), stride=2).shape
    (1, 5, 4, 6, 8)
    """
    return _conv_transpose(
        3, x, weight, bias, stride, padding, output_padding, groups, dilation, output_size, layout,
        dtype, out, algorithm, parallel,
    )  # fmt: skip


def _conv_transpose(
    ndim: int,
    x: npt.ArrayLike,
    weight: npt.ArrayLike,
    bias: npt.ArrayLike | None,
    stride: Any,
    padding: Any,
    output_padding: Any,
    groups: Any,
    dilation: Any,
    output_size: Any,
    layout: Any,
    dtype: npt.DTypeLike | None,
    out: Any,
    algorithm: Any,
    parallel: Any,
) -> Array:
    """Check everything, then run the problem: the one way in of the three functions."""
    source, kernels = arguments.as_array(x, "x"), arguments.as_array(weight, "weight")
    signature = (
        ndim, source.shape, source.dtype, kernels.shape, kernels.dtype, stride, padding,
        output_padding, groups, dilation, output_size, layout, dtype, algorithm,
    )  # fmt: skip
    size = 0 if output_size is None else output_size
    found = call.remembered(
        _resolve, signature, stride, padding, output_padding, groups, dilation, size
    )  # fmt: skip
    offsets = None
    if bias is not None:
        offsets = call.check_bias(bias, found.geometry.in_channels, found.dtype)
    parallel = arguments.flag(parallel, "parallel")
    packed = call.pack(found, kernels, offsets, parallel, keep=False)
    inputs = (source, kernels) if offsets is None else (source, kernels, offsets)
    result = call.run(found, source, packed, out, parallel, inputs)
    packed.release()
    return result


def _resolve(
    ndim: int,
    x_shape: Ints,
    x_dtype: np.dtype[Any],
    weight_shape: Ints,
    weight_dtype: np.dtype[Any],
    stride: Any,
    padding: Any,
    output_padding: Any,
    groups: Any,
    dilation: Any,
    output_size: Any,
    layout: Any,
    dtype: Any,
    algorithm: Any,
) -> call.Call:
    geometry = ConvGeometry.parse_transposed(
        ndim, x_shape, weight_shape, stride, padding, output_padding, groups, dilation,
        output_size, layout,
    )  # fmt: skip
    result = arguments.result_dtype(dtype, x=x_dtype, weight=weight_dtype)
    return choice.resolve(geometry, result, algorithm)
