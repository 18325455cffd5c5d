"""All gradients of a convolution, plain or transposed, in one call."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy.typing as npt

from numbaconv.api import input_grad, weight_grad
from numbaconv.api.types import IntOrAxes
from numbaconv.problem import arguments
from numbaconv.problem.arrays import Array
from numbaconv.problem.geometry import ConvGeometry, Ints
from numbaconv.running import call
from numbaconv.weight_grad.bias import channel_sums

NEEDS = ("input", "weight", "bias")


class Gradients(NamedTuple):
    """What a backward pass returns; None for what was not needed.

    Attributes
    ----------
    input, weight, bias : ndarray or None
        The gradients with respect to the forward's arguments, of their shapes.
    """

    input: Array | None
    weight: Array | None
    bias: Array | None


def conv2d_backward(
    grad_output: npt.ArrayLike,
    x: npt.ArrayLike,
    weight: npt.ArrayLike,
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
    parallel: bool = True,
) -> Gradients:
    """Return the gradients of `conv2d` with respect to its input, its weights and its bias.

    Parameters
    ----------
    grad_output : array_like
        The gradient with respect to the forward's result, of its shape.
    x, weight : array_like
        The forward's.
    stride, padding, dilation, groups, padding_mode, layout
        The forward's.
    needs : sequence of {"input", "weight", "bias"}, optional
        Which gradients to compute.
    dtype : dtype, optional
        Of the results; by default that of `conv2d_input_grad`, of `conv2d_weight_grad`, and of
        `grad_output`.
    algorithm, parallel
        As in `conv2d_input_grad` and `conv2d_weight_grad`. An algorithm that one of them does not
        have is an error if that one is needed.

    Returns
    -------
    Gradients
        A named tuple ``(input, weight, bias)``, with None for what was not needed.

    Raises
    ------
    TypeError, ValueError, MemoryError
        As in `conv2d_input_grad` and `conv2d_weight_grad`.

    Examples
    --------
    >>> import numpy as np
    >>> import numbaconv as nbc
    >>> x, weight = np.ones((2, 3, 8, 8)), np.ones((4, 3, 3, 3))
    >>> y = nbc.conv2d(x, weight, padding=1)
    >>> gradients = nbc.conv2d_backward(np.ones_like(y), x, weight, padding=1)
    >>> gradients.input.shape, gradients.weight.shape, gradients.bias
    ((2, 3, 8, 8), (4, 3, 3, 3), array([128., 128., 128., 128.]))
    """
    forward = {
        "stride": stride, "padding": padding, "dilation": dilation, "groups": groups,
        "padding_mode": padding_mode,
    }  # fmt: skip
    return _backward(
        input_grad.conv2d_input_grad, weight_grad.conv2d_weight_grad, 2, grad_output,
        x, weight, forward, needs, layout, dtype, algorithm, parallel,
    )  # fmt: skip


def conv1d_backward(
    grad_output: npt.ArrayLike,
    x: npt.ArrayLike,
    weight: npt.ArrayLike,
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
    parallel: bool = True,
) -> Gradients:
    """Return the gradients of `conv1d` with respect to its input, weights and bias.

    Parameters
    ----------
    grad_output : array_like
        The gradient with respect to the forward's result, of its shape.
    x, weight : array_like
        The forward's.
    stride, padding, dilation, groups, padding_mode, layout
        The forward's.
    needs, dtype, algorithm, parallel
        As in `conv2d_backward`.

    Returns
    -------
    Gradients
        A named tuple ``(input, weight, bias)``, with None for what was not needed.

    Raises
    ------
    TypeError, ValueError, MemoryError
        As in `conv2d_backward`.

    Examples
    --------
    >>> import numpy as np
    >>> import numbaconv as nbc
    >>> x, weight = np.ones((2, 3, 10)), np.ones((4, 3, 3))
    >>> y = nbc.conv1d(x, weight)
    >>> nbc.conv1d_backward(y, x, weight).bias.shape
    (4,)
    """
    forward = {
        "stride": stride, "padding": padding, "dilation": dilation, "groups": groups,
        "padding_mode": padding_mode,
    }  # fmt: skip
    return _backward(
        input_grad.conv1d_input_grad, weight_grad.conv1d_weight_grad, 1, grad_output,
        x, weight, forward, needs, layout, dtype, algorithm, parallel,
    )  # fmt: skip


def conv3d_backward(
    grad_output: npt.ArrayLike,
    x: npt.ArrayLike,
    weight: npt.ArrayLike,
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
    parallel: bool = True,
) -> Gradients:
    """Return the gradients of `conv3d` with respect to its input, weights and bias.

    Parameters
    ----------
    grad_output : array_like
        The gradient with respect to the forward's result, of its shape.
    x, weight : array_like
        The forward's.
    stride, padding, dilation, groups, padding_mode, layout
        The forward's.
    needs, dtype, algorithm, parallel
        As in `conv2d_backward`.

    Returns
    -------
    Gradients
        A named tuple ``(input, weight, bias)``, with None for what was not needed.

    Raises
    ------
    TypeError, ValueError, MemoryError
        As in `conv2d_backward`.

    Examples
    --------
    >>> import numpy as np
    >>> import numbaconv as nbc
    >>> x, weight = np.ones((1, 2, 4, 5, 6)), np.ones((3, 2, 2, 2, 2))
    >>> y = nbc.conv3d(x, weight)
    >>> nbc.conv3d_backward(y, x, weight).bias.shape
    (3,)
    """
    forward = {
        "stride": stride, "padding": padding, "dilation": dilation, "groups": groups,
        "padding_mode": padding_mode,
    }  # fmt: skip
    return _backward(
        input_grad.conv3d_input_grad, weight_grad.conv3d_weight_grad, 3, grad_output,
        x, weight, forward, needs, layout, dtype, algorithm, parallel,
    )  # fmt: skip


def conv_transpose2d_backward(
    grad_output: npt.ArrayLike,
    x: npt.ArrayLike,
    weight: npt.ArrayLike,
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
    parallel: bool = True,
) -> Gradients:
    """Return the gradients of `conv_transpose2d` with respect to its input, weights and bias.

    Parameters
    ----------
    grad_output : array_like
        The gradient with respect to the forward's result, of its shape.
    x, weight : array_like
        The forward's.
    stride, padding, output_padding, groups, dilation, layout
        The forward's.
    needs, dtype, algorithm, parallel
        As in `conv2d_backward`.

    Returns
    -------
    Gradients
        A named tuple ``(input, weight, bias)``, with None for what was not needed.

    Raises
    ------
    TypeError, ValueError, MemoryError
        As in `conv2d_backward`.

    Examples
    --------
    >>> import numpy as np
    >>> import numbaconv as nbc
    >>> x, weight = np.ones((2, 3, 4, 5)), np.ones((3, 6, 2, 2))
    >>> y = nbc.conv_transpose2d(x, weight, stride=2)
    >>> nbc.conv_transpose2d_backward(y, x, weight, stride=2).bias.shape
    (6,)
    """
    forward = {
        "stride": stride, "padding": padding, "output_padding": output_padding, "groups": groups,
        "dilation": dilation,
    }  # fmt: skip
    return _backward(
        input_grad.conv_transpose2d_input_grad,
        weight_grad.conv_transpose2d_weight_grad, 2, grad_output, x, weight, forward, needs,
        layout, dtype, algorithm, parallel,
    )  # fmt: skip


def conv_transpose1d_backward(
    grad_output: npt.ArrayLike,
    x: npt.ArrayLike,
    weight: npt.ArrayLike,
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
    parallel: bool = True,
) -> Gradients:
    """Return the gradients of `conv_transpose1d` with respect to its input, weights and bias.

    Parameters
    ----------
    grad_output : array_like
        The gradient with respect to the forward's result, of its shape.
    x, weight : array_like
        The forward's.
    stride, padding, output_padding, groups, dilation, layout
        The forward's.
    needs, dtype, algorithm, parallel
        As in `conv2d_backward`.

    Returns
    -------
    Gradients
        A named tuple ``(input, weight, bias)``, with None for what was not needed.

    Raises
    ------
    TypeError, ValueError, MemoryError
        As in `conv2d_backward`.

    Examples
    --------
    >>> import numpy as np
    >>> import numbaconv as nbc
    >>> x, weight = np.ones((2, 3, 5)), np.ones((3, 4, 2))
    >>> y = nbc.conv_transpose1d(x, weight, stride=2)
    >>> nbc.conv_transpose1d_backward(y, x, weight, stride=2).bias.shape
    (4,)
    """
    forward = {
        "stride": stride, "padding": padding, "output_padding": output_padding, "groups": groups,
        "dilation": dilation,
    }  # fmt: skip
    return _backward(
        input_grad.conv_transpose1d_input_grad,
        weight_grad.conv_transpose1d_weight_grad, 1, grad_output, x, weight, forward, needs,
        layout, dtype, algorithm, parallel,
    )  # fmt: skip


def conv_transpose3d_backward(
    grad_output: npt.ArrayLike,
    x: npt.ArrayLike,
    weight: npt.ArrayLike,
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
    parallel: bool = True,
) -> Gradients:
    """Return the gradients of `conv_transpose3d` with respect to its input, weights and bias.

    Parameters
    ----------
    grad_output : array_like
        The gradient with respect to the forward's result, of its shape.
    x, weight : array_like
        The forward's.
    stride, padding, output_padding, groups, dilation, layout
        The forward's.
    needs, dtype, algorithm, parallel
        As in `conv2d_backward`.

    Returns
    -------
    Gradients
        A named tuple ``(input, weight, bias)``, with None for what was not needed.

    Raises
    ------
    TypeError, ValueError, MemoryError
        As in `conv2d_backward`.

    Examples
    --------
    >>> import numpy as np
    >>> import numbaconv as nbc
    >>> x, weight = np.ones((1, 2, 2, 3, 4)), np.ones((2, 3, 2, 2, 2))
    >>> y = nbc.conv_transpose3d(x, weight, stride=2)
    >>> nbc.conv_transpose3d_backward(y, x, weight, stride=2).bias.shape
    (3,)
    """
    forward = {
        "stride": stride, "padding": padding, "output_padding": output_padding, "groups": groups,
        "dilation": dilation,
    }  # fmt: skip
    return _backward(
        input_grad.conv_transpose3d_input_grad,
        weight_grad.conv_transpose3d_weight_grad, 3, grad_output, x, weight, forward, needs,
        layout, dtype, algorithm, parallel,
    )  # fmt: skip


def _backward(
    input_grad: Callable[..., Array],
    weight_grad: Callable[..., Array],
    ndim: int,
    grad_output: npt.ArrayLike,
    x: npt.ArrayLike,
    weight: npt.ArrayLike,
    forward: dict[str, Any],
    needs: Sequence[str],
    layout: str,
    dtype: npt.DTypeLike | None,
    algorithm: str,
    parallel: bool,
) -> Gradients:
    """Compute what is needed; the forward's arguments are checked by whoever uses them."""
    wanted = checked_needs(needs)
    grad = arguments.as_array(grad_output, "grad_output")
    source, kernels = arguments.as_array(x, "x"), arguments.as_array(weight, "weight")
    check_forward(ndim, source.shape, kernels.shape, grad, forward, layout, dtype)
    options: dict[str, Any] = {
        **forward, "layout": layout, "dtype": dtype, "algorithm": algorithm, "parallel": parallel,
    }  # fmt: skip
    return Gradients(
        input_grad(source.shape, kernels, grad, **options) if "input" in wanted else None,
        weight_grad(source, kernels.shape, grad, **options) if "weight" in wanted else None,
        _bias_grad(grad, ndim, layout, dtype) if "bias" in wanted else None,
    )


def check_forward(
    ndim: int,
    x_shape: Ints,
    weight_shape: Ints,
    grad: Any,
    forward: dict[str, Any],
    layout: Any,
    dtype: npt.DTypeLike | None,
) -> None:
    """Raise what is wrong with shapes and options, by the names that a backward pass has for them.

    All of it first, whatever is needed.
    """
    arguments.result_dtype(dtype, grad_output=grad.dtype)
    values = tuple(forward.values())
    signature = (ndim, x_shape, weight_shape, tuple(grad.shape), layout, *values)
    call.remembered(
        _check_transposed if "output_padding" in forward else _check, signature, *values
    )


def _check(
    ndim: int,
    x_shape: Ints,
    weight_shape: Ints,
    grad_shape: Ints,
    layout: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: Any,
    padding_mode: Any,
) -> bool:
    """Raise what is wrong with the shapes and options of a convolution's backward pass."""
    geometry = ConvGeometry.parse(
        ndim, x_shape, weight_shape, stride, padding, dilation, groups, padding_mode, layout
    )
    arguments.check_grad(grad_shape, geometry.output_shape)
    return True


def _check_transposed(
    ndim: int,
    x_shape: Ints,
    weight_shape: Ints,
    grad_shape: Ints,
    layout: Any,
    stride: Any,
    padding: Any,
    output_padding: Any,
    groups: Any,
    dilation: Any,
) -> bool:
    """Do the same for a transposed convolution."""
    geometry = ConvGeometry.parse_transposed(
        ndim, x_shape, weight_shape, stride, padding, output_padding, groups, dilation, None, layout
    )
    arguments.check_grad(grad_shape, geometry.input_shape)
    return True


def checked_needs(needs: Any) -> tuple[str, ...]:
    """Return the names of wanted gradients, all of which must be of `NEEDS`."""
    expected = f"needs must be a tuple or list of names among {NEEDS}"
    if isinstance(needs, str) or not arguments.is_sequence(needs):
        raise TypeError(f"{expected}, got {arguments.shortened(needs)}")
    for need in needs:
        if not isinstance(need, str):
            raise TypeError(f"{expected}, got {arguments.shortened(needs)}")
        if need not in NEEDS:
            raise ValueError(f"{expected}, got {arguments.shortened(needs)}")
    return tuple(needs)


def _bias_grad(grad: Array, ndim: int, layout: Any, dtype: npt.DTypeLike | None) -> Array:
    """Return the sums over images and positions, in an order that is one for all arrays."""
    last = layout == "channels_last"
    result = arguments.result_dtype(dtype, grad_output=grad.dtype)
    return channel_sums(grad if grad.ndim == ndim + 2 else grad[None], last, result)
