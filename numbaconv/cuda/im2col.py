"""im2col and col2im over device arrays."""

from typing import Any

from numbaconv.api.matrices import kernel_ndim, output_ndim, split_patches
from numbaconv.api.types import IntOrAxes
from numbaconv.cuda import arrays, call, matrices
from numbaconv.cuda.arrays import DeviceArray
from numbaconv.cuda.matrices import Matrix
from numbaconv.cuda.places import Images
from numbaconv.problem import arguments
from numbaconv.problem.geometry import ConvGeometry, Window, join_shape, split_shape


def im2col(
    x: Any,
    kernel_size: IntOrAxes,
    dilation: IntOrAxes = 1,
    padding: Any = 0,
    stride: IntOrAxes = 1,
    *,
    padding_mode: str = "zeros",
    layout: str = "channels_first",
    patches: str = "columns",
    out: Any = None,
) -> Any:
    """Lay every patch of an input out as a column (or a row) of one matrix, on the device.

    Parameters
    ----------
    x : device array
        As in `numbaconv.im2col`.
    kernel_size, dilation, padding, stride, padding_mode, layout, patches
        As in `numbaconv.im2col`.
    out : device array, optional
        Where to write: of exactly the result's shape and dtype, any strides.

    Returns
    -------
    device array
        ``(N, C * prod(kernel_size), L)``, or ``(N, L, C * prod(kernel_size))`` for rows; or `out`.

    Raises
    ------
    TypeError, ValueError
        As in `numbaconv.im2col`; and for arrays that are not on the device, or not aligned.

    Examples
    --------
    >>> import numpy as np
    >>> from numba import cuda
    >>> import numbaconv.cuda
    >>> image = cuda.to_device(np.arange(9.0).reshape(1, 3, 3))
    >>> numbaconv.cuda.im2col(image, (2, 2)).copy_to_host()
    array([[0., 1., 3., 4.],
           [1., 2., 4., 5.],
           [3., 4., 6., 7.],
           [4., 5., 7., 8.]])
    """
    source = arrays.take(x, "x")
    last = arguments.choice(layout, "layout", arguments.LAYOUTS) == "channels_last"
    as_rows = arguments.choice(patches, "patches", arguments.PATCHES) == "rows"
    dtype = arguments.supported(source.dtype, "the dtype of x")
    ndim = kernel_ndim(kernel_size, len(source.shape))
    batched, batch, channels, size = split_shape(source.shape, ndim, last)
    kernel = arguments.per_axis(kernel_size, "kernel_size", ndim)
    window = Window.parse(size, kernel, stride, padding, dilation, padding_mode)
    geometry = ConvGeometry(batch, channels, 1, 1, window, last, batched)
    matrix = (channels * window.taps, window.positions)
    shape = (batch, *(matrix[::-1] if as_rows else matrix))
    arguments.check_addressable(shape, dtype)

    def compute(target: DeviceArray, stream: Any) -> None:
        image = Images.of(source.batched(batched), last, stream)
        matrix = _matrix(target.batched(batched), as_rows)
        matrices.gather(geometry, image, matrix, dtype.type, not last)

    return call.run(out, shape if batched else shape[1:], dtype, (source,), compute)


def col2im(
    cols: Any,
    output_size: IntOrAxes,
    kernel_size: IntOrAxes,
    dilation: IntOrAxes = 1,
    padding: Any = 0,
    stride: IntOrAxes = 1,
    *,
    layout: str = "channels_first",
    patches: str = "columns",
    out: Any = None,
) -> Any:
    """Fold a matrix of patches back on the device, summing where they overlap.

    Parameters
    ----------
    cols : device array
        As in `numbaconv.col2im`.
    output_size, kernel_size, dilation, padding, stride, layout, patches
        As in `numbaconv.col2im`.
    out : device array, optional
        Where to write: of exactly the result's shape and dtype, any strides.

    Returns
    -------
    device array
        ``(N, C, *output_size)``, or ``(N, *output_size, C)``; or `out`. Each element gathers what
        belongs to it, so that the result is the same each time.

    Raises
    ------
    TypeError, ValueError
        As in `numbaconv.col2im`; and for arrays that are not on the device, or not aligned.

    Examples
    --------
    >>> import numpy as np
    >>> from numba import cuda
    >>> import numbaconv.cuda
    >>> cols = numbaconv.cuda.im2col(cuda.to_device(np.ones((1, 3, 3))), (2, 2))
    >>> numbaconv.cuda.col2im(cols, (3, 3), (2, 2)).copy_to_host()
    array([[[1., 2., 1.],
            [2., 4., 2.],
            [1., 2., 1.]]])
    """
    source = arrays.take(cols, "cols")
    last = arguments.choice(layout, "layout", arguments.LAYOUTS) == "channels_last"
    as_rows = arguments.choice(patches, "patches", arguments.PATCHES) == "rows"
    dtype = arguments.supported(source.dtype, "the dtype of cols")
    ndim = output_ndim(output_size, kernel_size)
    size = arguments.per_axis(output_size, "output_size", ndim, 0)
    kernel = arguments.per_axis(kernel_size, "kernel_size", ndim)
    window = Window.parse(size, kernel, stride, padding, dilation, name="output_size")
    batched, batch, channels = split_patches(source.shape, window, as_rows)
    geometry = ConvGeometry(batch, channels, 1, 1, window, last, batched)
    shape = join_shape(batched, batch, channels, size, last)
    arguments.check_addressable(shape, dtype)

    def compute(target: DeviceArray, stream: Any) -> None:
        image = Images.of(target.batched(batched), last, stream)
        matrix = _matrix(source.batched(batched), as_rows)
        matrices.fold(geometry, matrix, image, None, call.work_type(dtype), not last)

    return call.run(out, shape, dtype, (source,), compute)


def _matrix(array: DeviceArray, as_rows: bool) -> Matrix:
    """Return where a batched matrix of patches lies."""
    image, *steps = array.strides
    position, element = steps if as_rows else steps[::-1]
    return Matrix(array.data, array.base, image, element, position)
