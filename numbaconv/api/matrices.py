"""im2col, col2im and kernel_matrix: a convolution's three matrices, for their own sake.

The convolution routes build their column matrix tile by tile with the same helpers, never whole.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from numbaconv.kernels import launches, recording, threads, workspace
from numbaconv.kernels.long_sums import SHORT_SUM
from numbaconv.problem import arguments
from numbaconv.problem.arrays import Array, as_batch, flatten, is_direct, overlaps_itself
from numbaconv.problem.geometry import Window, join_shape, split_shape

# Output positions a task: a channel's rows of that length, written one after the other, stay in L1.
_COLUMN_BLOCK = 4096
# Beyond this no size of an axis is addressed.
_LARGEST_SIZE = 2**62
# Patches a task where each patch is a row.
_ROW_BLOCK = 32
# Positions of a row of the result that are a task.
_PIECE = 1 << 14


def im2col(
    x: npt.ArrayLike,
    kernel_size: int | tuple[int, ...],
    dilation: int | tuple[int, ...] = 1,
    padding: Any = 0,
    stride: int | tuple[int, ...] = 1,
    *,
    padding_mode: str = "zeros",
    layout: str = "channels_first",
    patches: str = "columns",
    out: Array | None = None,
    parallel: bool = True,
) -> Array:
    """Lay every patch of an input out as a column (or a row) of one matrix.

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
    array = arguments.as_array(x, "x")
    channels_last = arguments.choice(layout, "layout", arguments.LAYOUTS) == "channels_last"
    as_rows = arguments.choice(patches, "patches", arguments.PATCHES) == "rows"
    parallel = arguments.flag(parallel, "parallel")
    dtype = arguments.supported(array.dtype, "the dtype of x")
    ndim = kernel_ndim(kernel_size, array.ndim)
    batched, batch, channels, size = split_shape(array.shape, ndim, channels_last)
    kernel_axes = arguments.per_axis(kernel_size, "kernel_size", ndim)
    window = Window.parse(size, kernel_axes, stride, padding, dilation, padding_mode)
    matrix = (channels * window.taps, window.positions)
    shape = (batch, *(matrix[::-1] if as_rows else matrix))
    arguments.check_addressable(shape, dtype)
    result_shape = shape if batched else shape[1:]
    result = (
        np.empty(result_shape, dtype)
        if out is None
        else arguments.check_out(out, result_shape, dtype)
    )
    if result.size:
        source, target = as_batch(array, batched), as_batch(result, batched)
        _gather(source, target, window, channels, channels_last, as_rows, parallel)
        _approve(source, target, dtype)
    return result if out is None else out


def _approve(source: Array, target: Array, work: np.dtype[Any]) -> None:
    """Say that a call went through no copies, if it is recorded and did not."""
    if recording.active and all(is_direct(a, work) for a in (source, target)):
        recording.approve()


def _gather(
    x: Array,
    out: Array,
    window: Window,
    channels: int,
    channels_last: bool,
    as_rows: bool,
    parallel: bool,
) -> None:
    """Fill `out`, image by image where an array must go through a copy."""
    if overlaps_itself(out) or np.may_share_memory(x, out):
        fresh = np.empty(out.shape, out.dtype)
        _gather(x, fresh, window, channels, channels_last, as_rows, parallel)
        out[...] = fresh
        return
    if not (is_direct(x, out.dtype) and is_direct(out, out.dtype)) and len(x) > 1:
        for n in range(len(x)):
            _gather(
                x[n : n + 1], out[n : n + 1], window, channels, channels_last, as_rows, parallel
            )
        return
    if not is_direct(out, out.dtype):
        fresh = np.empty(out.shape, out.dtype)
        _gather(x, fresh, window, channels, channels_last, as_rows, parallel)
        out[...] = fresh
        return
    if not is_direct(x, out.dtype):
        x = x.astype(out.dtype)
    from numbaconv.reference import gather  # here: the kernels are not needed to import the package

    gather.im2col(
        x, out, window, channels_last=channels_last, as_rows=as_rows, parallel=parallel
    )  # fmt: skip


def col2im(
    cols: npt.ArrayLike,
    output_size: int | tuple[int, ...],
    kernel_size: int | tuple[int, ...],
    dilation: int | tuple[int, ...] = 1,
    padding: Any = 0,
    stride: int | tuple[int, ...] = 1,
    *,
    layout: str = "channels_first",
    patches: str = "columns",
    out: Array | None = None,
    parallel: bool = True,
) -> Array:
    """Fold a matrix of patches back into feature maps, summing where patches overlap.

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
    array = arguments.as_array(cols, "cols")
    channels_last = arguments.choice(layout, "layout", arguments.LAYOUTS) == "channels_last"
    as_rows = arguments.choice(patches, "patches", arguments.PATCHES) == "rows"
    parallel = arguments.flag(parallel, "parallel")
    dtype = arguments.supported(array.dtype, "the dtype of cols")
    ndim = output_ndim(output_size, kernel_size)
    size = arguments.per_axis(output_size, "output_size", ndim, 0, _LARGEST_SIZE)
    kernel_axes = arguments.per_axis(kernel_size, "kernel_size", ndim)
    window = Window.parse(size, kernel_axes, stride, padding, dilation, name="output_size")
    batched, batch, channels = split_patches(array.shape, window, as_rows)
    shape = join_shape(batched, batch, channels, size, channels_last)
    arguments.check_addressable(shape, dtype)
    result = np.empty(shape, dtype) if out is None else arguments.check_out(out, shape, dtype)
    if result.size:
        source, target = as_batch(array, batched), as_batch(result, batched)
        _fold(source, target, window, channels, channels_last, as_rows, parallel)
        _approve(source, target, dtype)
    return result if out is None else out


def _fold(
    cols: Array,
    out: Array,
    window: Window,
    channels: int,
    channels_last: bool,
    as_rows: bool,
    parallel: bool,
) -> None:
    """Fill `out`, image by image where an array must go through a copy."""
    work = np.dtype(np.float32) if out.dtype == np.float16 else out.dtype
    if overlaps_itself(out) or np.may_share_memory(cols, out):
        fresh = np.empty(out.shape, out.dtype)
        _fold(cols, fresh, window, channels, channels_last, as_rows, parallel)
        out[...] = fresh
        return
    if not (is_direct(cols, work) and is_direct(out, work)):
        for n in range(len(cols)):
            source = cols[n : n + 1]
            if not is_direct(source, work):
                source = source.astype(work)
            target = out[n : n + 1]
            if is_direct(target, work):
                _fold(source, target, window, channels, channels_last, as_rows, parallel)
            else:
                fresh = np.empty(target.shape, work)
                _fold(source, fresh, window, channels, channels_last, as_rows, parallel)
                target[...] = fresh
        return
    # Here: the kernels are not needed to import the package.
    from numbaconv.reference import fold, fold_strips

    flat = flatten(cols, channels_last=False)
    result = flatten(out, channels_last=channels_last)
    long = window.overlap > SHORT_SUM
    if not long and fold_strips.fits(flat, work):
        fold_strips.col2im(
            flat, result, window, (len(out), channels), work, channels_last=channels_last,
            as_rows=as_rows, parallel=parallel,
        )  # fmt: skip
        return
    by_channel = as_rows and not long
    piece = min(window.size[-1], _PIECE)
    tasks = len(out) * math.prod(window.size[:-1]) * -(-window.size[-1] // piece)
    tasks *= 1 if by_channel else channels
    workers = threads.worker_count(tasks, work=cols.size, parallel=parallel)
    steps = flat.place[[5, 2] if as_rows else [2, 5]]
    space, waiting = None, result.data[:0].reshape(workers, 0)
    if long:
        space = workspace.take(workers * 2 * fold.SEGMENT * work.itemsize)
        waiting = space.view(work, (workers, 2 * fold.SEGMENT))
    for begin, end in launches.ranges(tasks, cols.size, launches.MOST_MOVED):
        if by_channel:
            threads.run(
                fold.col2im_by_channel, workers, begin, end, flat.data, flat.place, window.packed,
                channels, not channels_last, piece, result.data, result.place,
            )  # fmt: skip
        else:
            threads.run(
                fold.col2im_by_position, workers, workers, begin, end, flat.data, flat.place,
                steps, window.packed, channels, not channels_last, piece, result.data,
                result.place, waiting,
            )  # fmt: skip
    if space is not None:
        workspace.give_back(space)


def kernel_matrix(
    weight: npt.ArrayLike,
    groups: int = 1,
    *,
    layout: str = "channels_first",
    patches: str = "columns",
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
    channels_last = arguments.choice(layout, "layout", arguments.LAYOUTS) == "channels_last"
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


def kernel_ndim(kernel_size: Any, axes: int) -> int:
    """Return the number of spatial axes from `kernel_size`, or else from a batched `x`."""
    if arguments.is_sequence(kernel_size):
        ndim = len(kernel_size)
        if not 1 <= ndim <= 3:
            raise ValueError(f"kernel_size must have 1 to 3 entries, got {kernel_size!r}")
        return ndim
    if axes not in (4, 5):
        raise ValueError(
            f"kernel_size as an int needs a batched x of 4 or 5 axes, got {axes}; "
            "pass a tuple with one entry per spatial axis"
        )
    return axes - 2


def output_ndim(output_size: Any, kernel_size: Any) -> int:
    """Return the number of spatial axes of a result of `col2im`."""
    for value, name in ((output_size, "output_size"), (kernel_size, "kernel_size")):
        if arguments.is_sequence(value):
            if not 1 <= len(value) <= 3:
                raise ValueError(f"{name} must have 1 to 3 entries, got {value!r}")
            return len(value)
    return 2


def split_patches(shape: tuple[int, ...], window: Window, as_rows: bool) -> tuple[bool, int, int]:
    """Return (batched, batch, channels) of a matrix of patches of this shape."""
    form = "(N, L, C * prod(kernel_size))" if as_rows else "(N, C * prod(kernel_size), L)"
    if len(shape) not in (2, 3):
        raise ValueError(f"cols must have 3 axes, {form}, or 2 without N, got shape {shape}")
    length, positions = shape[-2:][::-1] if as_rows else shape[-2:]
    if positions != window.positions:
        raise ValueError(
            f"cols must be {form} with L = {window.positions} = prod{window.output} patches, "
            f"got {positions} (shape {shape})"
        )
    if length % window.taps:
        raise ValueError(
            f"cols must be {form} with a multiple of prod(kernel_size) = {window.taps} elements "
            f"in a patch, got {length} (shape {shape})"
        )
    batched = len(shape) == 3
    return batched, shape[0] if batched else 1, length // window.taps
