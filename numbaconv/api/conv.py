"""conv1d, conv2d and conv3d."""

import numpy.typing as npt

from numbaconv.api import again
from numbaconv.problem.arrays import Array
from numbaconv.problem.options import ConvOptions
from numbaconv.problem.types import Algorithm, IntOrAxes, Layout, Padding, PaddingMode


def conv2d(
    x: npt.ArrayLike,
    weight: npt.ArrayLike,
    bias: npt.ArrayLike | None = None,
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
    """Convolve images with kernels: cross-correlation, as deep-learning frameworks define it.

    Positional calls of `torch.nn.functional.conv2d` move over. Arrays of Dask's and arrays on a
    device go to `numbaconv.dask` and `numbaconv.cuda`, whose documentation says what differs.

    Parameters
    ----------
    x : array_like, dask array or device array
        ``(N, C, H, W)`` or, unbatched, ``(C, H, W)``; with ``layout="channels_last"``
        ``(N, H, W, C)``. Any strides, alignment and byte order.
    weight : array_like
        ``(O, C/groups, KH, KW)``; with ``layout="channels_last"`` ``(KH, KW, C/groups, O)``.
    bias : array_like, optional
        ``(O,)``, added to every output position; cast by NumPy's ``same_kind`` rule.
    stride, dilation : int or tuple of int, optional
        Positive; one for all axes or one per axis.
    padding : int, tuple of int, tuple of (int, int), or str, optional
        Padded positions: on all sides, per axis, or ``(low, high)`` per axis; or ``"valid"``,
        ``"same"`` (``ceil(size / stride)`` outputs, an odd position goes behind) or
        ``"same_lower"`` (it goes in front).
    groups : int, optional
        Divides C and O: output block g reads input block g alone.
    padding_mode : {"zeros", "reflect", "replicate", "circular", "symmetric"}, optional
        What the padding holds, as `numpy.pad`'s constant, reflect, edge and wrap, of any width.
    layout : {"channels_first", "channels_last"}, optional
        Where the channel axis stands in `x`, `weight` and the result.
    dtype : dtype, optional
        Of the result; by default ``numpy.result_type(x, weight)``. float32, float64, complex64,
        complex128; float16, summed in float32 and rounded once; any integer type, exact and
        wrapping as NumPy does, to which `x` and `weight` are converted first.
    out : ndarray, optional
        Where to write: of exactly the result's shape and dtype, any strides. It may overlap an
        input.
    algorithm : {"auto", "exact", "im2col", "direct", "depthwise", "winograd", "fft"}, optional
        The route. ``"im2col"`` is the reference: the column matrix, tile by tile, times the
        kernel matrix through ``np.dot``. ``"exact"`` chooses among the routes that form and sum
        every product (im2col, direct, depthwise), so that small integers in floats come out
        exactly; ``"auto"`` among all. See `explain`.
    parallel : bool, optional
        Use up to ``numba.get_num_threads()`` threads, or only the calling one. The result does not
        depend on it, bit for bit.

    Returns
    -------
    ndarray, or an array of `x`'s kind
        ``(N, O, OH, OW)``, or ``(N, OH, OW, O)``; without N for an unbatched `x`. Along each axis
        ``(size + low + high - dilation * (kernel - 1) - 1) // stride + 1`` positions.

    Raises
    ------
    TypeError
        An argument is of a wrong kind: a float stride, a dtype that is none of those above.
    ValueError
        An argument has a wrong value: shapes that do not fit, a kernel larger than the padded
        input, an unknown name.
    MemoryError
        The result cannot be allocated.

    See Also
    --------
    Conv2d : The same with weights that are prepared once, for many calls.
    explain : Which algorithm is chosen, and why.
    im2col : The column matrix by itself.

    References
    ----------
    K. Chellapilla, S. Puri, P. Simard, "High Performance Convolutional Neural Networks for
    Document Processing", IWFHR 2006, section 3.2.

    Examples
    --------
    >>> import numpy as np
    >>> import numbaconv as nbc
    >>> image = np.arange(25.0).reshape(1, 1, 5, 5)
    >>> box = np.ones((1, 1, 3, 3))
    >>> nbc.conv2d(image, box)
    array([[[[ 54.,  63.,  72.],
             [ 99., 108., 117.],
             [144., 153., 162.]]]])
    >>> nbc.conv2d(image, box, stride=2, padding=1).shape
    (1, 1, 3, 3)
    """
    # By place: names would cost half a microsecond.
    options = ConvOptions(
        2, stride, padding, dilation, groups, 0, None, padding_mode, layout, dtype, algorithm
    )
    return again.run("convolve", x, options, (x, weight, bias), out, parallel)


def conv1d(
    x: npt.ArrayLike,
    weight: npt.ArrayLike,
    bias: npt.ArrayLike | None = None,
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
    """Convolve signals with kernels: `conv2d` along one axis.

    Parameters
    ----------
    x : array_like
        ``(N, C, W)`` or ``(C, W)``; with ``layout="channels_last"`` ``(N, W, C)``.
    weight : array_like
        ``(O, C/groups, K)``; with ``layout="channels_last"`` ``(K, C/groups, O)``.
    bias, stride, padding, dilation, groups, padding_mode, layout, dtype, out, algorithm, parallel
        As in `conv2d`, for one spatial axis.

    Returns
    -------
    ndarray
        ``(N, O, OW)``, or ``(N, OW, O)``; without N for an unbatched `x`.

    Raises
    ------
    TypeError, ValueError, MemoryError
        As in `conv2d`.

    Examples
    --------
    >>> import numpy as np
    >>> import numbaconv as nbc
    >>> signal = np.array([[1, 2, 4, 8, 16]])
    >>> nbc.conv1d(signal, np.array([[[-1, 1]]]))
    array([[1, 2, 4, 8]])
    """
    # By place: names would cost half a microsecond.
    options = ConvOptions(
        1, stride, padding, dilation, groups, 0, None, padding_mode, layout, dtype, algorithm
    )
    return again.run("convolve", x, options, (x, weight, bias), out, parallel)


def conv3d(
    x: npt.ArrayLike,
    weight: npt.ArrayLike,
    bias: npt.ArrayLike | None = None,
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
    """Convolve volumes with kernels: `conv2d` along three axes.

    Parameters
    ----------
    x : array_like
        ``(N, C, D, H, W)`` or ``(C, D, H, W)``; with ``layout="channels_last"``
        ``(N, D, H, W, C)``.
    weight : array_like
        ``(O, C/groups, KD, KH, KW)``; with ``layout="channels_last"``
        ``(KD, KH, KW, C/groups, O)``.
    bias, stride, padding, dilation, groups, padding_mode, layout, dtype, out, algorithm, parallel
        As in `conv2d`, for three spatial axes.

    Returns
    -------
    ndarray
        ``(N, O, OD, OH, OW)``, or ``(N, OD, OH, OW, O)``; without N for an unbatched `x`.

    Raises
    ------
    TypeError, ValueError, MemoryError
        As in `conv2d`.

    Examples
    --------
    >>> import numpy as np
    >>> import numbaconv as nbc
    >>> volume = np.ones((1, 4, 5, 6))
    >>> nbc.conv3d(volume, np.ones((2, 1, 2, 3, 3)), padding="same").shape
    (2, 4, 5, 6)
    """
    # By place: names would cost half a microsecond.
    options = ConvOptions(
        3, stride, padding, dilation, groups, 0, None, padding_mode, layout, dtype, algorithm
    )
    return again.run("convolve", x, options, (x, weight, bias), out, parallel)
