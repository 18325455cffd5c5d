"""conv1d, conv2d and conv3d over device arrays."""

from typing import Any

import numpy.typing as npt

from numbaconv.api.types import IntOrAxes
from numbaconv.cuda import arrays, call, convolve
from numbaconv.cuda.places import Images, Weights
from numbaconv.problem import arguments
from numbaconv.problem.geometry import ConvGeometry


def conv2d(
    x: Any,
    weight: Any,
    bias: Any = None,
    stride: IntOrAxes = 1,
    padding: Any = 0,
    dilation: IntOrAxes = 1,
    groups: int = 1,
    *,
    padding_mode: str = "zeros",
    layout: str = "channels_first",
    dtype: npt.DTypeLike | None = None,
    out: Any = None,
    algorithm: str = "auto",
) -> Any:
    """Convolve images on the device: `numbaconv.conv2d` over device arrays.

    Parameters
    ----------
    x, weight, bias : device array
        Of `numbaconv.conv2d`'s shapes: anything with ``__cuda_array_interface__``, of any strides.
    stride, padding, dilation, groups, padding_mode, layout, dtype
        As in `numbaconv.conv2d`.
    out : device array, optional
        Where to write: of exactly the result's shape and dtype, any strides. It may overlap an
        input.
    algorithm : {"auto", "exact", "im2col", "direct", "depthwise"}, optional
        ``"im2col"`` makes the column matrix in device memory and multiplies it, by cuBLAS where
        CuPy is installed; ``"direct"`` gathers patches into shared memory as they are multiplied;
        ``"depthwise"`` needs groups of one input channel. All form and sum every product.

    Returns
    -------
    device array
        Of `numbaconv.conv2d`'s shape: Numba's, with ``__cuda_array_interface__``; or `out`. It is
        written on the stream that the interface of `x` names (or else of another argument), and
        names that stream; nothing is waited for.

    Raises
    ------
    TypeError
        An argument is of a wrong kind; a NumPy array must be copied to the device first.
    ValueError
        An argument has a wrong value, as in `numbaconv.conv2d`, or an array is not aligned.

    References
    ----------
    S. Chetlur et al., "cuDNN: Efficient primitives for deep learning", arXiv:1410.0759, section 3.

    Examples
    --------
    >>> import numpy as np
    >>> from numba import cuda
    >>> import numbaconv.cuda
    >>> image = cuda.to_device(np.arange(25.0).reshape(1, 1, 5, 5))
    >>> box = cuda.to_device(np.ones((1, 1, 3, 3)))
    >>> numbaconv.cuda.conv2d(image, box).copy_to_host()
    array([[[[ 54.,  63.,  72.],
             [ 99., 108., 117.],
             [144., 153., 162.]]]])
    """
    return _conv(
        2, x, weight, bias, stride, padding, dilation, groups, padding_mode, layout, dtype, out,
        algorithm,
    )  # fmt: skip


def conv1d(
    x: Any,
    weight: Any,
    bias: Any = None,
    stride: IntOrAxes = 1,
    padding: Any = 0,
    dilation: IntOrAxes = 1,
    groups: int = 1,
    *,
    padding_mode: str = "zeros",
    layout: str = "channels_first",
    dtype: npt.DTypeLike | None = None,
    out: Any = None,
    algorithm: str = "auto",
) -> Any:
    """Convolve signals on the device: `numbaconv.conv1d`; see `conv2d`."""
    return _conv(
        1, x, weight, bias, stride, padding, dilation, groups, padding_mode, layout, dtype, out,
        algorithm,
    )  # fmt: skip


def conv3d(
    x: Any,
    weight: Any,
    bias: Any = None,
    stride: IntOrAxes = 1,
    padding: Any = 0,
    dilation: IntOrAxes = 1,
    groups: int = 1,
    *,
    padding_mode: str = "zeros",
    layout: str = "channels_first",
    dtype: npt.DTypeLike | None = None,
    out: Any = None,
    algorithm: str = "auto",
) -> Any:
    """Convolve volumes on the device: `numbaconv.conv3d`; see `conv2d`."""
    return _conv(
        3, x, weight, bias, stride, padding, dilation, groups, padding_mode, layout, dtype, out,
        algorithm,
    )  # fmt: skip


def _conv(
    ndim: int,
    x: Any,
    weight: Any,
    bias: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: Any,
    padding_mode: Any,
    layout: Any,
    dtype: npt.DTypeLike | None,
    out: Any,
    algorithm: Any,
) -> Any:
    source, kernels = arrays.take(x, "x"), arrays.take(weight, "weight")
    geometry = ConvGeometry.parse(
        ndim, source.shape, kernels.shape, stride, padding, dilation, groups, padding_mode, layout
    )
    result = arguments.result_dtype(dtype, x=source.dtype, weight=kernels.dtype)
    chosen = convolve.choose(call.check_algorithm(algorithm), geometry)
    offsets = None if bias is None else call.check_bias(bias, geometry.out_channels, result)
    arguments.check_addressable(geometry.output_shape, result)
    last, batched = geometry.channels_last, geometry.batched

    def compute(target: arrays.DeviceArray, stream: Any) -> None:
        convolve.run(
            chosen,
            geometry,
            Images.of(source.batched(batched), last, stream),
            Weights.of(kernels, geometry.groups, last),
            call.flat_bias(offsets, stream),
            Images.of(target.batched(batched), last, stream),
            call.work_type(result),
        )

    return call.run(out, geometry.output_shape, result, (source, kernels, offsets), compute)
