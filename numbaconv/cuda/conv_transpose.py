"""conv_transpose1d, conv_transpose2d and conv_transpose3d over device arrays."""

from typing import Any

import numpy.typing as npt

from numbaconv.api.types import IntOrAxes
from numbaconv.cuda import arrays, call, transposed
from numbaconv.cuda.places import Images, Weights
from numbaconv.problem import arguments
from numbaconv.problem.geometry import ConvGeometry


def conv_transpose2d(
    x: Any,
    weight: Any,
    bias: Any = None,
    stride: IntOrAxes = 1,
    padding: Any = 0,
    output_padding: IntOrAxes = 0,
    groups: int = 1,
    dilation: IntOrAxes = 1,
    *,
    output_size: IntOrAxes | None = None,
    layout: str = "channels_first",
    dtype: npt.DTypeLike | None = None,
    out: Any = None,
    algorithm: str = "auto",
) -> Any:
    """Convolve images transposed: `numbaconv.conv_transpose2d` over device arrays.

    Parameters
    ----------
    x, weight, bias : device array
        Of `numbaconv.conv_transpose2d`'s shapes.
    stride, padding, output_padding, groups, dilation, output_size, layout, dtype
        As in `numbaconv.conv_transpose2d`.
    out, algorithm
        As in `conv2d`. ``"im2col"`` is one product, then col2im; the others make each remainder
        modulo the stride by a convolution of stride 1.

    Returns
    -------
    device array
        Of `numbaconv.conv_transpose2d`'s shape, or `out`.

    Raises
    ------
    TypeError, ValueError
        As in `conv2d`.

    Examples
    --------
    >>> import numpy as np
    >>> from numba import cuda
    >>> import numbaconv.cuda
    >>> image = cuda.to_device(np.array([[[[1.0, 2.0]]]]))
    >>> kernel = cuda.to_device(np.array([[[[1.0, 10.0, 100.0]]]]))
    >>> numbaconv.cuda.conv_transpose2d(image, kernel, stride=(1, 2)).copy_to_host()
    array([[[[  1.,  10., 102.,  20., 200.]]]])
    """
    return _conv_transpose(
        2, x, weight, bias, stride, padding, output_padding, groups, dilation, output_size, layout,
        dtype, out, algorithm,
    )  # fmt: skip


def conv_transpose1d(
    x: Any,
    weight: Any,
    bias: Any = None,
    stride: IntOrAxes = 1,
    padding: Any = 0,
    output_padding: IntOrAxes = 0,
    groups: int = 1,
    dilation: IntOrAxes = 1,
    *,
    output_size: IntOrAxes | None = None,
    layout: str = "channels_first",
    dtype: npt.DTypeLike | None = None,
    out: Any = None,
    algorithm: str = "auto",
) -> Any:
    """Convolve signals transposed: `numbaconv.conv_transpose1d`; see `conv_transpose2d`."""
    return _conv_transpose(
        1, x, weight, bias, stride, padding, output_padding, groups, dilation, output_size, layout,
        dtype, out, algorithm,
    )  # fmt: skip


def conv_transpose3d(
    x: Any,
    weight: Any,
    bias: Any = None,
    stride: IntOrAxes = 1,
    padding: Any = 0,
    output_padding: IntOrAxes = 0,
    groups: int = 1,
    dilation: IntOrAxes = 1,
    *,
    output_size: IntOrAxes | None = None,
    layout: str = "channels_first",
    dtype: npt.DTypeLike | None = None,
    out: Any = None,
    algorithm: str = "auto",
) -> Any:
    """Convolve volumes transposed: `numbaconv.conv_transpose3d`; see `conv_transpose2d`."""
    return _conv_transpose(
        3, x, weight, bias, stride, padding, output_padding, groups, dilation, output_size, layout,
        dtype, out, algorithm,
    )  # fmt: skip


def _conv_transpose(
    ndim: int,
    x: Any,
    weight: Any,
    bias: Any,
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
) -> Any:
    source, kernels = arrays.take(x, "x"), arrays.take(weight, "weight")
    geometry = ConvGeometry.parse_transposed(
        ndim, source.shape, kernels.shape, stride, padding, output_padding, groups, dilation,
        output_size, layout,
    )  # fmt: skip
    result = arguments.result_dtype(dtype, x=source.dtype, weight=kernels.dtype)
    chosen = transposed.choose(call.check_algorithm(algorithm), geometry)
    offsets = None if bias is None else call.check_bias(bias, geometry.in_channels, result)
    arguments.check_addressable(geometry.input_shape, result)
    last, batched = geometry.channels_last, geometry.batched

    def compute(target: arrays.DeviceArray, stream: Any) -> None:
        transposed.run(
            chosen,
            geometry,
            Images.of(source.batched(batched), last, stream),
            Weights.of(kernels, geometry.groups, last),
            call.flat_bias(offsets, stream),
            Images.of(target.batched(batched), last, stream),
            call.work_type(result),
        )

    return call.run(out, geometry.input_shape, result, (source, kernels, offsets), compute)
