"""conv1d, conv2d, conv3d and their transposes over dask arrays."""

from typing import Any

import dask.array as da
import numpy as np
import numpy.typing as npt

from numbaconv.api.types import IntOrAxes
from numbaconv.dask import arrays, convolve
from numbaconv.problem import arguments
from numbaconv.problem.geometry import ConvGeometry


def conv2d(
    x: da.Array,
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
    algorithm: str = "auto",
    parallel: bool = False,
) -> da.Array:
    """Convolve images lazily: `numbaconv.conv2d` over a dask array.

    Parameters
    ----------
    x : dask array
        Of `numbaconv.conv2d`'s shapes, in any chunks: where windows cross from one to the next, a
        block gets its neighbours' borders. Results over chunks of channels are added up.
    weight, bias : array_like or dask array
        Of `numbaconv.conv2d`'s shapes. Every task gets all of them.
    stride, padding, dilation, groups, padding_mode, layout, dtype
        As in `numbaconv.conv2d`.
    algorithm : str, optional
        As in `numbaconv.conv2d`; ``"auto"`` and ``"exact"`` choose once, from the whole problem.
    parallel : bool, optional
        Whether a task may use ``numba.get_num_threads()`` threads. By default it uses the one that
        Dask runs it in.

    Returns
    -------
    dask array
        Of `numbaconv.conv2d`'s shape, in a block for each chunk of `x`: that of the windows whose
        middle lies in it.

    Raises
    ------
    TypeError
        An argument is of a wrong kind; `x` must be a dask array.
    ValueError
        An argument has a wrong value, as in `numbaconv.conv2d`, or chunks are not known.

    Examples
    --------
    >>> import dask.array as da
    >>> import numpy as np
    >>> import numbaconv.dask
    >>> images = da.ones((8, 3, 100, 100), chunks=(4, 3, 50, 30), dtype=np.float32)
    >>> maps = numbaconv.dask.conv2d(images, np.ones((2, 3, 3, 3), np.float32), padding="same")
    >>> maps.chunks
    ((4, 4), (2,), (50, 50), (30, 30, 30, 10))
    >>> float(maps[0, 0, 49, 29].compute())
    27.0
    """
    return _conv(
        2, x, weight, bias, stride, padding, dilation, groups, padding_mode, layout, dtype,
        algorithm, parallel,
    )  # fmt: skip


def conv1d(
    x: da.Array,
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
    algorithm: str = "auto",
    parallel: bool = False,
) -> da.Array:
    """Convolve signals lazily: `numbaconv.conv1d`; see `conv2d`."""
    return _conv(
        1, x, weight, bias, stride, padding, dilation, groups, padding_mode, layout, dtype,
        algorithm, parallel,
    )  # fmt: skip


def conv3d(
    x: da.Array,
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
    algorithm: str = "auto",
    parallel: bool = False,
) -> da.Array:
    """Convolve volumes lazily: `numbaconv.conv3d`; see `conv2d`."""
    return _conv(
        3, x, weight, bias, stride, padding, dilation, groups, padding_mode, layout, dtype,
        algorithm, parallel,
    )  # fmt: skip


def conv_transpose2d(
    x: da.Array,
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
    algorithm: str = "auto",
    parallel: bool = False,
) -> da.Array:
    """Convolve images transposed, lazily: `numbaconv.conv_transpose2d` over a dask array.

    Parameters
    ----------
    x, weight, bias
        Of `numbaconv.conv_transpose2d`'s shapes; kinds and chunks as in `conv2d`.
    stride, padding, output_padding, groups, dilation, output_size, layout, dtype
        As in `numbaconv.conv_transpose2d`.
    algorithm, parallel
        As in `conv2d`.

    Returns
    -------
    dask array
        Of `numbaconv.conv_transpose2d`'s shape, in a block for each chunk of `x`.

    Raises
    ------
    TypeError, ValueError
        As in `conv2d`.

    Examples
    --------
    >>> import dask.array as da
    >>> import numpy as np
    >>> import numbaconv.dask
    >>> images = da.ones((1, 3, 20, 20), chunks=(1, 3, 10, 20))
    >>> numbaconv.dask.conv_transpose2d(images, np.ones((3, 2, 2, 2)), stride=2).shape
    (1, 2, 40, 40)
    """
    return _conv_transpose(
        2, x, weight, bias, stride, padding, output_padding, groups, dilation, output_size, layout,
        dtype, algorithm, parallel,
    )  # fmt: skip


def conv_transpose1d(
    x: da.Array,
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
    algorithm: str = "auto",
    parallel: bool = False,
) -> da.Array:
    """Convolve signals transposed, lazily; see `conv_transpose2d`."""
    return _conv_transpose(
        1, x, weight, bias, stride, padding, output_padding, groups, dilation, output_size, layout,
        dtype, algorithm, parallel,
    )  # fmt: skip


def conv_transpose3d(
    x: da.Array,
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
    algorithm: str = "auto",
    parallel: bool = False,
) -> da.Array:
    """Convolve volumes transposed, lazily; see `conv_transpose2d`."""
    return _conv_transpose(
        3, x, weight, bias, stride, padding, output_padding, groups, dilation, output_size, layout,
        dtype, algorithm, parallel,
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
    algorithm: Any,
    parallel: Any,
) -> da.Array:
    source, kernels = arrays.lazy(x, "x"), arrays.shared(weight, "weight")
    geometry = ConvGeometry.parse(
        ndim, source.shape, kernels.shape, stride, padding, dilation, groups, padding_mode, layout
    )
    result = arguments.result_dtype(dtype, x=source.dtype, weight=kernels.dtype)
    offsets = _checked_bias(bias, geometry.out_channels, result)
    y = convolve.forward(
        geometry, arrays.batched(source, geometry.batched), kernels, offsets, result, algorithm,
        arguments.flag(parallel, "parallel"),
    )  # fmt: skip
    return arrays.unbatched(y, geometry.batched)


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
    algorithm: Any,
    parallel: Any,
) -> da.Array:
    source, kernels = arrays.lazy(x, "x"), arrays.shared(weight, "weight")
    geometry = ConvGeometry.parse_transposed(
        ndim, source.shape, kernels.shape, stride, padding, output_padding, groups, dilation,
        output_size, layout,
    )  # fmt: skip
    result = arguments.result_dtype(dtype, x=source.dtype, weight=kernels.dtype)
    offsets = _checked_bias(bias, geometry.in_channels, result)
    y = convolve.adjoint(
        geometry, arrays.batched(source, geometry.batched), kernels, offsets, result, algorithm,
        arguments.flag(parallel, "parallel"),
    )  # fmt: skip
    return arrays.unbatched(y, geometry.batched)


def _checked_bias(bias: Any, outputs: int, dtype: np.dtype[Any]) -> Any:
    """Return a caller's bias, which can be converted to the dtype of the result."""
    if bias is None:
        return None
    offsets = arrays.shared(bias, "bias")
    if offsets.shape != (outputs,):
        raise ValueError(f"bias must have shape ({outputs},), got {offsets.shape}")
    if not np.can_cast(offsets.dtype, dtype, "same_kind"):
        raise TypeError(f"bias of dtype {offsets.dtype} cannot be converted to {dtype}")
    # By way of the result's dtype: a float64 bias of a float16 result is rounded to that first.
    return offsets.astype(dtype)
