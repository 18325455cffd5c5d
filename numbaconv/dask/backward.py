"""All gradients of a convolution over dask arrays, in one call."""

from collections.abc import Callable, Sequence
from typing import Any

import dask.array as da
import numpy.typing as npt

from numbaconv.api.backward import NEEDS, Gradients, check_forward, checked_needs
from numbaconv.api.types import IntOrAxes
from numbaconv.dask import arrays, input_gradients, weight_gradients, weight_sums
from numbaconv.problem import arguments


def conv2d_backward(
    grad_output: da.Array,
    x: da.Array,
    weight: Any,
    stride: IntOrAxes = 1,
    padding: Any = 0,
    dilation: IntOrAxes = 1,
    groups: int = 1,
    *,
    needs: Sequence[str] = NEEDS,
    padding_mode: str = "zeros",
    layout: str = "channels_first",
    dtype: npt.DTypeLike | None = None,
    algorithm: str = "auto",
    parallel: bool = False,
) -> Gradients:
    """Return the gradients of `conv2d` with respect to its input, its weights and its bias, lazily.

    Parameters
    ----------
    grad_output, x : dask array
        The gradient with respect to the forward's result, and its input, each in any chunks.
    weight : array_like or dask array
        The forward's.
    stride, padding, dilation, groups, padding_mode, layout
        The forward's.
    needs : sequence of {"input", "weight", "bias"}, optional
        What to compute.
    dtype, algorithm, parallel
        As in `conv2d_input_grad`.

    Returns
    -------
    Gradients
        A named tuple ``(input, weight, bias)`` of dask arrays, None for what is not needed.

    Raises
    ------
    TypeError, ValueError
        As in `conv2d`.

    Examples
    --------
    >>> import dask.array as da
    >>> import numpy as np
    >>> import numbaconv.dask
    >>> x, grad = (da.ones((4, 1, n, n), chunks=(1, 1, 5, 4)) for n in (11, 9))
    >>> found = numbaconv.dask.conv2d_backward(grad, x, np.ones((1, 1, 3, 3)))
    >>> found.bias.compute()
    array([324.])
    """
    forward = {
        "stride": stride, "padding": padding, "dilation": dilation, "groups": groups,
        "padding_mode": padding_mode,
    }  # fmt: skip
    return _backward(
        input_gradients.conv2d_input_grad, weight_gradients.conv2d_weight_grad, 2, grad_output, x,
        weight, forward, needs, layout, dtype, algorithm, parallel,
    )  # fmt: skip


def conv1d_backward(
    grad_output: da.Array,
    x: da.Array,
    weight: Any,
    stride: IntOrAxes = 1,
    padding: Any = 0,
    dilation: IntOrAxes = 1,
    groups: int = 1,
    *,
    needs: Sequence[str] = NEEDS,
    padding_mode: str = "zeros",
    layout: str = "channels_first",
    dtype: npt.DTypeLike | None = None,
    algorithm: str = "auto",
    parallel: bool = False,
) -> Gradients:
    """Return `numbaconv.conv1d_backward` lazily; see `conv2d_backward`."""
    forward = {
        "stride": stride, "padding": padding, "dilation": dilation, "groups": groups,
        "padding_mode": padding_mode,
    }  # fmt: skip
    return _backward(
        input_gradients.conv1d_input_grad, weight_gradients.conv1d_weight_grad, 1, grad_output, x,
        weight, forward, needs, layout, dtype, algorithm, parallel,
    )  # fmt: skip


def conv3d_backward(
    grad_output: da.Array,
    x: da.Array,
    weight: Any,
    stride: IntOrAxes = 1,
    padding: Any = 0,
    dilation: IntOrAxes = 1,
    groups: int = 1,
    *,
    needs: Sequence[str] = NEEDS,
    padding_mode: str = "zeros",
    layout: str = "channels_first",
    dtype: npt.DTypeLike | None = None,
    algorithm: str = "auto",
    parallel: bool = False,
) -> Gradients:
    """Return `numbaconv.conv3d_backward` lazily; see `conv2d_backward`."""
    forward = {
        "stride": stride, "padding": padding, "dilation": dilation, "groups": groups,
        "padding_mode": padding_mode,
    }  # fmt: skip
    return _backward(
        input_gradients.conv3d_input_grad, weight_gradients.conv3d_weight_grad, 3, grad_output, x,
        weight, forward, needs, layout, dtype, algorithm, parallel,
    )  # fmt: skip


def conv_transpose2d_backward(
    grad_output: da.Array,
    x: da.Array,
    weight: Any,
    stride: IntOrAxes = 1,
    padding: Any = 0,
    output_padding: IntOrAxes = 0,
    groups: int = 1,
    dilation: IntOrAxes = 1,
    *,
    needs: Sequence[str] = NEEDS,
    layout: str = "channels_first",
    dtype: npt.DTypeLike | None = None,
    algorithm: str = "auto",
    parallel: bool = False,
) -> Gradients:
    """Return `numbaconv.conv_transpose2d_backward` lazily; see `conv2d_backward`."""
    forward = {
        "stride": stride, "padding": padding, "output_padding": output_padding, "groups": groups,
        "dilation": dilation,
    }  # fmt: skip
    return _backward(
        input_gradients.conv_transpose2d_input_grad,
        weight_gradients.conv_transpose2d_weight_grad, 2, grad_output, x, weight, forward, needs,
        layout, dtype, algorithm, parallel,
    )  # fmt: skip


def conv_transpose1d_backward(
    grad_output: da.Array,
    x: da.Array,
    weight: Any,
    stride: IntOrAxes = 1,
    padding: Any = 0,
    output_padding: IntOrAxes = 0,
    groups: int = 1,
    dilation: IntOrAxes = 1,
    *,
    needs: Sequence[str] = NEEDS,
    layout: str = "channels_first",
    dtype: npt.DTypeLike | None = None,
    algorithm: str = "auto",
    parallel: bool = False,
) -> Gradients:
    """Return `numbaconv.conv_transpose1d_backward` lazily; see `conv2d_backward`."""
    forward = {
        "stride": stride, "padding": padding, "output_padding": output_padding, "groups": groups,
        "dilation": dilation,
    }  # fmt: skip
    return _backward(
        input_gradients.conv_transpose1d_input_grad,
        weight_gradients.conv_transpose1d_weight_grad, 1, grad_output, x, weight, forward, needs,
        layout, dtype, algorithm, parallel,
    )  # fmt: skip


def conv_transpose3d_backward(
    grad_output: da.Array,
    x: da.Array,
    weight: Any,
    stride: IntOrAxes = 1,
    padding: Any = 0,
    output_padding: IntOrAxes = 0,
    groups: int = 1,
    dilation: IntOrAxes = 1,
    *,
    needs: Sequence[str] = NEEDS,
    layout: str = "channels_first",
    dtype: npt.DTypeLike | None = None,
    algorithm: str = "auto",
    parallel: bool = False,
) -> Gradients:
    """Return `numbaconv.conv_transpose3d_backward` lazily; see `conv2d_backward`."""
    forward = {
        "stride": stride, "padding": padding, "output_padding": output_padding, "groups": groups,
        "dilation": dilation,
    }  # fmt: skip
    return _backward(
        input_gradients.conv_transpose3d_input_grad,
        weight_gradients.conv_transpose3d_weight_grad, 3, grad_output, x, weight, forward, needs,
        layout, dtype, algorithm, parallel,
    )  # fmt: skip


def _backward(
    input_grad: Callable[..., da.Array],
    weight_grad: Callable[..., da.Array],
    ndim: int,
    grad_output: Any,
    x: Any,
    weight: Any,
    forward: dict[str, Any],
    needs: Sequence[str],
    layout: str,
    dtype: npt.DTypeLike | None,
    algorithm: str,
    parallel: bool,
) -> Gradients:
    wanted = checked_needs(needs)
    grad, source = arrays.lazy(grad_output, "grad_output"), arrays.lazy(x, "x")
    kernels = arrays.shared(weight, "weight")
    check_forward(ndim, source.shape, kernels.shape, grad, forward, layout, dtype)
    options: dict[str, Any] = {
        **forward, "layout": layout, "dtype": dtype, "algorithm": algorithm, "parallel": parallel,
    }  # fmt: skip
    bias = _bias_grad(grad, ndim, layout, dtype) if "bias" in wanted else None
    return Gradients(
        input_grad(source.shape, kernels, grad, **options) if "input" in wanted else None,
        weight_grad(source, kernels.shape, grad, **options) if "weight" in wanted else None,
        bias,
    )


def _bias_grad(grad: da.Array, ndim: int, layout: Any, dtype: npt.DTypeLike | None) -> da.Array:
    last = layout == "channels_last"
    result = arguments.result_dtype(dtype, grad_output=grad.dtype)
    images = arrays.batched(grad, grad.ndim == ndim + 2)
    return weight_sums.bias_grad(images, images.ndim - 1 if last else 1, result)
