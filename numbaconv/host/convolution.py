"""Convolutions, plain and transposed, and their gradients."""

from typing import Any

import numpy as np

from numbaconv.adjoint import choice as adjoint
from numbaconv.kernels.long_sums import channel_sums
from numbaconv.problem import arguments, parsing
from numbaconv.problem.arrays import Array
from numbaconv.problem.geometry import ConvGeometry, Ints
from numbaconv.problem.options import ConvOptions
from numbaconv.problem.parsing import Form
from numbaconv.running import call, planning
from numbaconv.running.memo import remembered
from numbaconv.weight_grad import choice as weight_choice

_NAMES = ("x", "weight")


def convolve(
    options: ConvOptions, x: Any, weight: Any, bias: Any, out: Any, parallel: Any
) -> Array:  # fmt: skip
    """Return a convolution."""
    source, kernels = arguments.as_array(x, "x"), arguments.as_array(weight, "weight")
    forms = (source.shape, source.dtype), (kernels.shape, kernels.dtype)
    found = remembered(_resolve, options, *forms, False, _NAMES)
    if parallel is not True and parallel is not False:
        parallel = arguments.flag(parallel, "parallel")
    if bias is None:
        return call.run_once(found, source, kernels, None, out, parallel, (source, kernels))
    offsets = checked_bias(options, found, bias)
    return call.run_once(found, source, kernels, offsets, out, parallel, (source, kernels, offsets))


def resolve(
    options: ConvOptions,
    x: Form,
    weight: Form,
    *,
    prepared: bool = False,
    names: tuple[str, str] = _NAMES,
) -> call.Call:
    """Return how a convolution is computed, with weights that are `prepared` or packed in the call.

    Errors call the arguments that say the shapes by their `names`.
    """
    return remembered(_resolve, options, x, weight, prepared, names)


def _resolve(
    options: ConvOptions, x: Form, weight: Form, prepared: bool, names: tuple[str, str]
) -> call.Call:
    geometry, dtype = parsing.forward(options, x, weight, names)
    if options.transposed:
        return adjoint.resolve(geometry, dtype, options.algorithm)
    return planning.choose(geometry, dtype, options.algorithm, prepared)


def checked_bias(options: ConvOptions, found: call.Call, bias: Any) -> Array:
    """Return a caller's bias in the dtype of the result."""
    array = arguments.as_array(bias, "bias")
    parsing.check_bias(options, (found.geometry, found.dtype), (array.shape, array.dtype))
    # By way of the result's dtype: a float64 bias of a float16 result is rounded to float16 first.
    return array.astype(found.dtype, copy=False)


def input_grad(
    options: ConvOptions, input_shape: Any, weight: Any, grad_output: Any, out: Any, parallel: Any
) -> Array:
    """Return the gradient of a convolution with respect to its input."""
    grad, kernels = arguments.as_array(grad_output, "grad_output"), _conjugated(weight)
    shape = arguments.shape(input_shape, "input_shape")
    found = remembered(
        _resolve_grad, options, shape, (kernels.shape, kernels.dtype), (grad.shape, grad.dtype)
    )
    parallel = arguments.flag(parallel, "parallel")
    source = cropped(grad, found.geometry) if options.transposed else grad
    return call.run_once(found, source, kernels, None, out, parallel, (grad, kernels))


def _resolve_grad(options: ConvOptions, input_shape: Ints, weight: Form, grad: Form) -> call.Call:
    """Return how a gradient is computed: of each, plain and transposed, it is the other one."""
    geometry, dtype = parsing.input_grad(options, input_shape, weight, grad)
    if options.transposed:
        return planning.choose(geometry, dtype, options.algorithm)
    return adjoint.resolve(geometry, dtype, options.algorithm)


def _conjugated(weight: Any) -> Array:
    """Return weights as the gradient takes them: conjugated where complex."""
    kernels = arguments.as_array(weight, "weight")
    return np.conj(kernels) if kernels.dtype.kind == "c" else kernels


def cropped(x: Array, geometry: ConvGeometry) -> Array:
    """Return the part of an input that the windows of a `ConvGeometry.cropped` slide over."""
    stop = x.ndim - 1 if geometry.channels_last else x.ndim
    size = geometry.window.size
    index = [slice(None)] * x.ndim
    index[stop - len(size) : stop] = [slice(n) for n in size]
    return x[tuple(index)]


def weight_grad(
    options: ConvOptions, x: Any, weight_shape: Any, grad_output: Any, out: Any, parallel: Any
) -> Array:
    """Return the gradient of a convolution with respect to its weights."""
    source, grad = arguments.as_array(x, "x"), arguments.as_array(grad_output, "grad_output")
    shape = arguments.shape(weight_shape, "weight_shape")
    found = remembered(
        _resolve_weight_grad, options, (source.shape, source.dtype), shape, (grad.shape, grad.dtype)
    )
    parallel = arguments.flag(parallel, "parallel")
    if not options.transposed:
        return weight_choice.run(found, source, grad, out, parallel, conjugate="x")
    # The convolution that this is the adjoint of reads the output's gradient, and writes to `x`.
    read = cropped(grad, found.geometry)
    return weight_choice.run(found, read, source, out, parallel, conjugate="grad")


def _resolve_weight_grad(
    options: ConvOptions, x: Form, weight_shape: Ints, grad: Form
) -> weight_choice.Call:
    geometry, dtype = parsing.weight_grad(options, x, weight_shape, grad)
    return weight_choice.resolve(geometry, weight_shape, dtype, options.algorithm)


def bias_grad(options: ConvOptions, grad: Array) -> Array:
    """Return the sums over images and positions, in an order that is one for all arrays."""
    dtype = arguments.result_dtype(options.dtype, grad_output=grad.dtype)
    images = grad if grad.ndim == options.ndim + 2 else grad[None]
    return channel_sums(images, options.layout == "channels_last", dtype)
