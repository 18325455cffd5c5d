"""im2col, col2im and kernel_matrix: a convolution's three matrices, for their own sake.

The convolution routes build their column matrix tile by tile with the same helpers, never whole.
"""

import math

import numpy.typing as npt

from numbaconv.api import backends
from numbaconv.problem import arguments
from numbaconv.problem.arrays import Array
from numbaconv.problem.options import PatchOptions
from numbaconv.problem.types import IntOrAxes, Layout, Padding, PaddingMode, Patches


def im2col(
    x: npt.ArrayLike,
    kernel_size: IntOrAxes,
    dilation: IntOrAxes = 1,
    padding: Padding = 0,
    stride: IntOrAxes = 1,
    *,
    padding_mode: PaddingMode = "zeros",
    layout: Layout = "channels_first",
    patches: Patches = "columns",
    out: Array | None = None,
    parallel: bool = True,
) -> Array:
    """Lay every patch of an input out as a column (or a row) of one matrix.

    Arrays on a device are taken as by `conv2d`.

    With ``patches="columns"`` and ``layout="channels_first"`` the result is that of
    `torch.nn.functional.unfold`, whose positional calls move over.

    Parameters
    ----------
    x : array_like
        ``(N, C, *spatial)`` or, unbatched, ``(C, *spatial)``, of 1 to 3 spatial axes; with
        ``layout="channels_last"`` ``(N, *spatial, C)``. Any integer, float or complex dtype.
    kernel_size : int or tuple of int
        Its length is the number of spatial axes. An int means as many as a batched `x` has, which
        then needs 4 or 5 axes.
    dilation, stride : int or tuple of int, optional
        Distances, in input positions, between the kernel's taps and between patches.
    padding : int, tuple of int, tuple of (int, int), or str, optional
        Padded positions: on all sides, per axis, or ``(low, high)`` per axis; or ``"valid"``,
        ``"same"``, ``"same_lower"``.
    padding_mode : {"zeros", "reflect", "replicate", "circular", "symmetric"}, optional
        What the padding holds, as `numpy.pad`'s constant, reflect, edge and wrap.
    layout : {"channels_first", "channels_last"}, optional
        Where the channel axis stands. In a patch the order is channel, kernel axes; with
        ``"channels_last"`` kernel axes, channel.
    patches : {"columns", "rows"}, optional
        Whether a patch is a column or a row of the result.
    out : ndarray, optional
        Where to write: of the result's shape and of `x`'s dtype, any strides.
    parallel : bool, optional
        Use up to ``numba.get_num_threads()`` threads, or only the calling one.

    Returns
    -------
    ndarray
        ``(N, C * prod(kernel_size), L)`` for columns, ``(N, L, C * prod(kernel_size))`` for rows,
        with L the number of output positions; without N for an unbatched `x`.

    Raises
    ------
    TypeError
        An argument is of a wrong kind: a float stride, a bool array.
    ValueError
        An argument has a wrong value: a wrong rank, a kernel larger than the padded input.

    See Also
    --------
    col2im : The adjoint, which folds patches back.
    kernel_matrix : The other factor of the product.

    References
    ----------
    K. Chellapilla, S. Puri, P. Simard, "High Performance Convolutional Neural Networks for
    Document Processing", IWFHR 2006, section 3.2.

    Examples
    --------
    >>> import numpy as np
    >>> import numbaconv as nbc
    >>> image = np.arange(9.0).reshape(1, 3, 3)
    >>> nbc.im2col(image, (2, 2))
    array([[0., 1., 3., 4.],
           [1., 2., 4., 5.],
           [3., 4., 6., 7.],
           [4., 5., 7., 8.]])
    """
    options = PatchOptions(
        kernel_size=kernel_size, dilation=dilation, padding=padding, stride=stride,
        output_size=None, padding_mode=padding_mode, layout=layout, patches=patches,
    )  # fmt: skip
    return backends.of(x).im2col(options, x, out, parallel)


def col2im(
    cols: npt.ArrayLike,
    output_size: IntOrAxes,
    kernel_size: IntOrAxes,
    dilation: IntOrAxes = 1,
    padding: Padding = 0,
    stride: IntOrAxes = 1,
    *,
    layout: Layout = "channels_first",
    patches: Patches = "columns",
    out: Array | None = None,
    parallel: bool = True,
) -> Array:
    """Fold a matrix of patches back into feature maps, summing where patches overlap.

    Arrays on a device are taken as by `conv2d`.

    The exact adjoint of `im2col` with zero padding: ``col2im(im2col(x)) == x * count``, where
    `count` says how many patches cover a position. With a kernel of 1 it only reshapes: it turns
    the product of the kernel matrix and a column matrix into feature maps. Positional calls of
    `torch.nn.functional.fold` move over.

    Parameters
    ----------
    cols : array_like
        ``(N, C * prod(kernel_size), L)`` for columns, ``(N, L, C * prod(kernel_size))`` for rows,
        or either without N. Any integer, float or complex dtype.
    output_size : int or tuple of int
        The spatial sizes of the result. An int stands for all axes of a tuple `kernel_size`, or
        else for two equal ones.
    kernel_size, dilation, padding, stride, layout, patches
        As given to `im2col`.
    out : ndarray, optional
        Where to write: of the result's shape and of `cols`' dtype, any strides.
    parallel : bool, optional
        Use up to ``numba.get_num_threads()`` threads, or only the calling one. The sums do not
        depend on it: each element is summed by one thread in the order of the kernel's taps.

    Returns
    -------
    ndarray
        ``(N, C, *output_size)``, or ``(N, *output_size, C)`` with ``layout="channels_last"``;
        without N for unbatched `cols`. float16 is summed in float32 and rounded once.

    Raises
    ------
    TypeError
        An argument is of a wrong kind.
    ValueError
        An argument has a wrong value: `cols` has not as many patches as the window has positions.

    See Also
    --------
    im2col : The adjoint.

    Examples
    --------
    >>> import numpy as np
    >>> import numbaconv as nbc
    >>> image = np.ones((1, 3, 3))
    >>> nbc.col2im(nbc.im2col(image, (2, 2)), (3, 3), (2, 2))
    array([[[1., 2., 1.],
            [2., 4., 2.],
            [1., 2., 1.]]])
    """
    options = PatchOptions(
        kernel_size=kernel_size, dilation=dilation, padding=padding, stride=stride,
        output_size=output_size, padding_mode="zeros", layout=layout, patches=patches,
    )  # fmt: skip
    return backends.of(cols).col2im(options, cols, out, parallel)


def kernel_matrix(
    weight: npt.ArrayLike,
    groups: int = 1,
    *,
    layout: Layout = "channels_first",
    patches: Patches = "columns",
) -> Array:
    """Return the weights as the matrix that multiplies a matrix of patches.

    ``kernel_matrix(w) @ im2col(x, ...)`` is the convolution; with ``patches="rows"`` it is
    ``im2col(x, ..., patches="rows") @ kernel_matrix(w, patches="rows")``.

    Parameters
    ----------
    weight : array_like
        ``(O, C/groups, *kernel)``; with ``layout="channels_last"`` ``(*kernel, C/groups, O)``.
    groups : int, optional
        Divides O; its blocks stand along a leading axis of the result when there is more than one.
    layout : {"channels_first", "channels_last"}, optional
        The layout of `weight`, and so the order in a patch.
    patches : {"columns", "rows"}, optional
        Whether patches are columns, and a kernel a row, or the other way round.

    Returns
    -------
    ndarray
        ``(O, K)`` for columns, ``(K, O)`` for rows, K = C/groups * prod(kernel); with groups
        ``(groups, O/groups, K)`` or ``(groups, K, O/groups)``. A view where NumPy can make one.

    Raises
    ------
    TypeError, ValueError
        `weight` has not 3 to 5 axes, or `groups` does not divide O.

    Examples
    --------
    >>> import numpy as np
    >>> import numbaconv as nbc
    >>> nbc.kernel_matrix(np.arange(8).reshape(2, 1, 2, 2))
    array([[0, 1, 2, 3],
           [4, 5, 6, 7]])
    """
    array = arguments.as_array(weight, "weight")
    channels_last = arguments.is_channels_last(layout)
    as_rows = arguments.choice(patches, "patches", arguments.PATCHES) == "rows"
    groups = arguments.integer(groups, "groups", 1)
    arguments.supported(array.dtype, "the dtype of weight")
    if not 3 <= array.ndim <= 5:
        raise ValueError(f"weight must have 3 to 5 axes, got shape {array.shape}")
    if 0 in (array.shape[:-2] if channels_last else array.shape[2:]):
        raise ValueError(
            f"weight must have at least 1 along every kernel axis, got shape {array.shape}"
        )
    outputs = array.shape[-1 if channels_last else 0]
    if outputs % groups:
        raise ValueError(f"groups must divide the {outputs} output channels, got {groups}")
    if channels_last:
        patch_size = math.prod(array.shape[:-1])
        matrix = array.reshape(patch_size, groups, outputs // groups).transpose(1, 2, 0)
    else:
        patch_size = math.prod(array.shape[1:])
        matrix = array.reshape(groups, outputs // groups, patch_size)
    if as_rows:
        matrix = matrix.swapaxes(1, 2)
    return matrix[0] if groups == 1 else matrix
