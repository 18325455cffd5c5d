"""All gradients of a convolution, plain or transposed, in one call."""

from collections.abc import Sequence
from typing import Any

import numpy.typing as npt

from numbaconv.api import again, backends
from numbaconv.problem.options import ConvOptions
from numbaconv.problem.parsing import NEEDS, Gradients, checked_needs
from numbaconv.problem.types import Algorithm, IntOrAxes, Layout, Padding, PaddingMode


def conv2d_backward(
    grad_output: npt.ArrayLike,
    x: npt.ArrayLike,
    weight: npt.ArrayLike,
    stride: IntOrAxes = 1,
    padding: Padding = 0,
    dilation: IntOrAxes = 1,
    groups: int = 1,
    *,
    needs: Sequence[str] = NEEDS,
    padding_mode: PaddingMode = "zeros",
    layout: Layout = "channels_first",
    dtype: npt.DTypeLike | None = None,
    algorithm: Algorithm = "auto",
    parallel: bool = True,
) -> Gradients:
    """Return the gradients of `conv2d` with respect to its input, its weights and its bias.

    Arrays of Dask's and arrays on a device are taken as by `conv2d`.

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
    options = ConvOptions(
        ndim=2, stride=stride, padding=padding, dilation=dilation, groups=groups,
        padding_mode=padding_mode, layout=layout, dtype=dtype, algorithm=algorithm,
    )  # fmt: skip
    return _backward(options, grad_output, x, weight, needs, parallel)


def conv1d_backward(
    grad_output: npt.ArrayLike,
    x: npt.ArrayLike,
    weight: npt.ArrayLike,
    stride: IntOrAxes = 1,
    padding: Padding = 0,
    dilation: IntOrAxes = 1,
    groups: int = 1,
    *,
    needs: Sequence[str] = NEEDS,
    padding_mode: PaddingMode = "zeros",
    layout: Layout = "channels_first",
    dtype: npt.DTypeLike | None = None,
    algorithm: Algorithm = "auto",
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
    options = ConvOptions(
        ndim=1, stride=stride, padding=padding, dilation=dilation, groups=groups,
        padding_mode=padding_mode, layout=layout, dtype=dtype, algorithm=algorithm,
    )  # fmt: skip
    return _backward(options, grad_output, x, weight, needs, parallel)


def conv3d_backward(
    grad_output: npt.ArrayLike,
    x: npt.ArrayLike,
    weight: npt.ArrayLike,
    stride: IntOrAxes = 1,
    padding: Padding = 0,
    dilation: IntOrAxes = 1,
    groups: int = 1,
    *,
    needs: Sequence[str] = NEEDS,
    padding_mode: PaddingMode = "zeros",
    layout: Layout = "channels_first",
    dtype: npt.DTypeLike | None = None,
    algorithm: Algorithm = "auto",
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
    options = ConvOptions(
        ndim=3, stride=stride, padding=padding, dilation=dilation, groups=groups,
        padding_mode=padding_mode, layout=layout, dtype=dtype, algorithm=algorithm,
    )  # fmt: skip
    return _backward(options, grad_output, x, weight, needs, parallel)


def conv_transpose2d_backward(
    grad_output: npt.ArrayLike,
    x: npt.ArrayLike,
    weight: npt.ArrayLike,
    stride: IntOrAxes = 1,
    padding: Padding = 0,
    output_padding: IntOrAxes = 0,
    groups: int = 1,
    dilation: IntOrAxes = 1,
    *,
    needs: Sequence[str] = NEEDS,
    layout: Layout = "channels_first",
    dtype: npt.DTypeLike | None = None,
    algorithm: Algorithm = "auto",
    parallel: bool = True,
) -> Gradients:
    """Return the gradients of `conv_transpose2d` with respect to its input, weights and bias.

    Arrays of Dask's and arrays on a device are taken as by `conv2d`.

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
    options = ConvOptions(
        ndim=2, stride=stride, padding=padding, dilation=dilation, groups=groups, layout=layout,
        dtype=dtype, algorithm=algorithm, transposed=True, output_padding=output_padding,
    )  # fmt: skip
    return _backward(options, grad_output, x, weight, needs, parallel)


def conv_transpose1d_backward(
    grad_output: npt.ArrayLike,
    x: npt.ArrayLike,
    weight: npt.ArrayLike,
    stride: IntOrAxes = 1,
    padding: Padding = 0,
    output_padding: IntOrAxes = 0,
    groups: int = 1,
    dilation: IntOrAxes = 1,
    *,
    needs: Sequence[str] = NEEDS,
    layout: Layout = "channels_first",
    dtype: npt.DTypeLike | None = None,
    algorithm: Algorithm = "auto",
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
    options = ConvOptions(
        ndim=1, stride=stride, padding=padding, dilation=dilation, groups=groups, layout=layout,
        dtype=dtype, algorithm=algorithm, transposed=True, output_padding=output_padding,
    )  # fmt: skip
    return _backward(options, grad_output, x, weight, needs, parallel)


def conv_transpose3d_backward(
    grad_output: npt.ArrayLike,
    x: npt.ArrayLike,
    weight: npt.ArrayLike,
    stride: IntOrAxes = 1,
    padding: Padding = 0,
    output_padding: IntOrAxes = 0,
    groups: int = 1,
    dilation: IntOrAxes = 1,
    *,
    needs: Sequence[str] = NEEDS,
    layout: Layout = "channels_first",
    dtype: npt.DTypeLike | None = None,
    algorithm: Algorithm = "auto",
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
    options = ConvOptions(
        ndim=3, stride=stride, padding=padding, dilation=dilation, groups=groups, layout=layout,
        dtype=dtype, algorithm=algorithm, transposed=True, output_padding=output_padding,
    )  # fmt: skip
    return _backward(options, grad_output, x, weight, needs, parallel)


def _backward(
    options: ConvOptions, grad_output: Any, x: Any, weight: Any, needs: Any, parallel: Any
) -> Gradients:
    """Compute what is needed, on the backend of the arrays."""
    from numbaconv.problem import parsing  # here: not needed to import the package
    from numbaconv.running import memo

    backend = backends.of(grad_output)
    wanted = checked_needs(needs)
    grad, source = backend.take(grad_output, "grad_output"), backend.take(x, "x")
    kernels = backend.take(weight, "weight")
    memo.remembered(
        parsing.backward, options, source.shape, kernels.shape, (grad.shape, grad.dtype)
    )
    found: dict[str, Any] = dict.fromkeys(NEEDS)
    if "input" in wanted:
        found["input"] = again.run(
            "input_grad", grad_output, options, (source.shape, kernels, grad), None, parallel
        )
    if "weight" in wanted:
        found["weight"] = again.run(
            "weight_grad", grad_output, options, (source, kernels.shape, grad), None, parallel
        )
    if "bias" in wanted:
        found["bias"] = backend.bias_grad(options, grad)
    return Gradients(**found)
