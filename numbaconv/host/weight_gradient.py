"""Gradients of convolutions with respect to their weights and their bias."""

from typing import Any

from numbaconv.host.convolution import cropped
from numbaconv.problem import arguments, parsing
from numbaconv.problem.arrays import Array
from numbaconv.problem.geometry import Ints
from numbaconv.problem.options import ConvOptions
from numbaconv.problem.parsing import Form
from numbaconv.running.memo import remembered
from numbaconv.weight_grad import choice
from numbaconv.weight_grad.bias import channel_sums


def weight_grad(
    options: ConvOptions, x: Any, weight_shape: Any, grad_output: Any, out: Any, parallel: Any
) -> Array:
    """Return the gradient of a convolution with respect to its weights."""
    source, grad = arguments.as_array(x, "x"), arguments.as_array(grad_output, "grad_output")
    shape = arguments.shape(weight_shape, "weight_shape")
    found = remembered(
        _resolve, options, (source.shape, source.dtype), shape, (grad.shape, grad.dtype)
    )
    parallel = arguments.flag(parallel, "parallel")
    if not options.transposed:
        return choice.run(found, source, grad, out, parallel, conjugate="x")
    # The convolution that this is the adjoint of reads the output's gradient, and writes to `x`.
    read = cropped(grad, found.geometry)
    return choice.run(found, read, source, out, parallel, conjugate="grad")


def _resolve(options: ConvOptions, x: Form, weight_shape: Ints, grad: Form) -> choice.Call:
    geometry, dtype = parsing.weight_grad(options, x, weight_shape, grad)
    return choice.resolve(geometry, weight_shape, dtype, options.algorithm)


def bias_grad(options: ConvOptions, grad: Array) -> Array:
    """Return the sums over images and positions, in an order that is one for all arrays."""
    dtype = arguments.result_dtype(options.dtype, grad_output=grad.dtype)
    images = grad if grad.ndim == options.ndim + 2 else grad[None]
    return channel_sums(images, options.layout == "channels_last", dtype)
