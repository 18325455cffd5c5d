"""conv_transpose1d, conv_transpose2d and conv_transpose3d: the adjoints of convolution."""

import numpy.typing as npt

from numbaconv.api import again
from numbaconv.problem.arrays import Array
from numbaconv.problem.options import ConvOptions
from numbaconv.problem.types import Algorithm, IntOrAxes, Layout, Padding


def conv_transpose2d(
    x: npt.ArrayLike,
    weight: npt.ArrayLike,
    bias: npt.ArrayLike | None = None,
    stride: IntOrAxes = 1,
    padding: Padding = 0,
    output_padding: IntOrAxes = 0,
    groups: int = 1,
    dilation: IntOrAxes = 1,
    *,
    output_size: IntOrAxes | None = None,
    layout: Layout = "channels_first",
    dtype: npt.DTypeLike | None = None,
    out: Array | None = None,
    algorithm: Algorithm = "auto",
    parallel: bool = True,
) -> Array:
    """Convolve images transposed: spread each input position over the result by the kernels.

    Arrays of Dask's and arrays on a device are taken as by `conv2d`.

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
    options = ConvOptions(
        ndim=2, stride=stride, padding=padding, dilation=dilation, groups=groups, layout=layout,
        dtype=dtype, algorithm=algorithm, transposed=True, output_padding=output_padding,
        output_size=output_size,
    )  # fmt: skip
    return again.run("convolve", x, options, (x, weight, bias), out, parallel)


def conv_transpose1d(
    x: npt.ArrayLike,
    weight: npt.ArrayLike,
    bias: npt.ArrayLike | None = None,
    stride: IntOrAxes = 1,
    padding: Padding = 0,
    output_padding: IntOrAxes = 0,
    groups: int = 1,
    dilation: IntOrAxes = 1,
    *,
    output_size: IntOrAxes | None = None,
    layout: Layout = "channels_first",
    dtype: npt.DTypeLike | None = None,
    out: Array | None = None,
    algorithm: Algorithm = "auto",
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
    options = ConvOptions(
        ndim=1, stride=stride, padding=padding, dilation=dilation, groups=groups, layout=layout,
        dtype=dtype, algorithm=algorithm, transposed=True, output_padding=output_padding,
        output_size=output_size,
    )  # fmt: skip
    return again.run("convolve", x, options, (x, weight, bias), out, parallel)


def conv_transpose3d(
    x: npt.ArrayLike,
    weight: npt.ArrayLike,
    bias: npt.ArrayLike | None = None,
    stride: IntOrAxes = 1,
    padding: Padding = 0,
    output_padding: IntOrAxes = 0,
    groups: int = 1,
    dilation: IntOrAxes = 1,
    *,
    output_size: IntOrAxes | None = None,
    layout: Layout = "channels_first",
    dtype: npt.DTypeLike | None = None,
    out: Array | None = None,
    algorithm: Algorithm = "auto",
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
    options = ConvOptions(
        ndim=3, stride=stride, padding=padding, dilation=dilation, groups=groups, layout=layout,
        dtype=dtype, algorithm=algorithm, transposed=True, output_padding=output_padding,
        output_size=output_size,
    )  # fmt: skip
    return again.run("convolve", x, options, (x, weight, bias), out, parallel)
