"""What each function of convolution is asked, checked: a geometry, and the dtype of the result.

Every backend (`numbaconv.host`, `numbaconv.cuda`, `numbaconv.dask`) begins here, so that all of
them take and refuse the same. An array is given as its shape and its dtype. A backward pass is
asked for the gradients that are needed.
"""

from typing import Any, NamedTuple

import numpy as np

from numbaconv.problem import arguments
from numbaconv.problem.geometry import ConvGeometry, Ints
from numbaconv.problem.options import ConvOptions

#: The shape of an array, and its dtype.
Form = tuple[Ints, np.dtype[Any]]
#: The gradients of a backward pass.
NEEDS = ("input", "weight", "bias")
Asked = tuple[ConvGeometry, np.dtype[Any]]


def forward(
    options: ConvOptions, x: Form, weight: Form, names: tuple[str, str] = ("x", "weight")
) -> Asked:
    """Check a convolution, plain or transposed; errors call shapes by their `names`."""
    geometry = ConvGeometry.parse(options, x[0], weight[0], *names)
    return geometry, arguments.result_dtype(options.dtype, x=x[1], weight=weight[1])


def input_grad(options: ConvOptions, input_shape: Ints, weight: Form, grad: Form) -> Asked:
    """Check a gradient with respect to the input.

    Of a transposed convolution the geometry is `ConvGeometry.cropped`, and so must be `grad`.
    """
    geometry = ConvGeometry.parse(options, input_shape, weight[0], name="input_shape")
    found = _with_grad(options, geometry, grad)
    return found, arguments.result_dtype(options.dtype, weight=weight[1], grad_output=grad[1])


def weight_grad(options: ConvOptions, x: Form, weight_shape: Ints, grad: Form) -> Asked:
    """Check a gradient with respect to the weights; of cropped ones as in `input_grad`."""
    geometry = ConvGeometry.parse(options, x[0], weight_shape, weight_name="weight_shape")
    found = _with_grad(options, geometry, grad)
    return found, arguments.result_dtype(options.dtype, x=x[1], grad_output=grad[1])


def backward(options: ConvOptions, x_shape: Ints, weight_shape: Ints, grad: Form) -> bool:
    """Raise what is wrong with shapes and options, by the names that a backward pass has for them.

    All of it first, whatever is needed.
    """
    arguments.result_dtype(options.dtype, grad_output=grad[1])
    _with_grad(options, ConvGeometry.parse(options, x_shape, weight_shape), grad)
    return True


def _with_grad(options: ConvOptions, geometry: ConvGeometry, grad: Form) -> ConvGeometry:
    """Check that a gradient is of the result's shape; return the geometry, cropped if need be."""
    arguments.check_grad(grad[0], geometry.result_shape(transposed=options.transposed))
    return geometry.cropped if options.transposed else geometry


def check_bias(options: ConvOptions, asked: Asked, bias: Form) -> None:
    """Raise unless a bias fits the result of `forward`."""
    geometry, dtype = asked
    outputs = geometry.in_channels if options.transposed else geometry.out_channels
    arguments.check_bias(*bias, outputs, dtype)


class Gradients(NamedTuple):
    """What a backward pass returns; None for what was not needed.

    Attributes
    ----------
    input, weight, bias : array or None
        The gradients with respect to the forward's arguments, of their shapes.
    """

    input: Any
    weight: Any
    bias: Any


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
