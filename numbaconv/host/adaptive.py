"""Adaptive pools and the backward pass of their means."""

from typing import TYPE_CHECKING, Any

from numbaconv.host.pools import check_divisible, check_ordered
from numbaconv.problem import arguments
from numbaconv.problem.adaptive_geometry import AdaptiveGeometry
from numbaconv.problem.arrays import Array
from numbaconv.problem.geometry import Ints
from numbaconv.problem.options import AdaptiveOptions
from numbaconv.problem.parsing import Form
from numbaconv.running.memo import remembered

if TYPE_CHECKING:
    from numbaconv.pooling import adaptive

# `numbaconv.pooling` is imported where it is needed, which importing the package is not.


def adaptive_max_pool(
    options: AdaptiveOptions, x: Any, return_indices: Any, out: Any, parallel: Any
) -> Any:
    """Return the largest value in each window, and where they are if wanted."""
    from numbaconv.pooling import forward

    array = arguments.as_array(x, "x")
    wanted = arguments.flag(return_indices, "return_indices")
    pool = remembered(_resolve_maximum, options, (array.shape, array.dtype), wanted)
    parallel = arguments.flag(parallel, "parallel")
    values, indices = forward.maximum(pool, array, out, parallel, indices=wanted)
    return (values, indices) if wanted else values


def _resolve_maximum(options: AdaptiveOptions, x: Form, indices: bool) -> "adaptive.AnyPlan":
    from numbaconv.pooling import adaptive

    shape, dtype = x
    check_ordered(dtype)
    return adaptive.maximum_plan(_parsed(options, shape, dtype), dtype, indices=indices)


def adaptive_avg_pool(options: AdaptiveOptions, x: Any, out: Any, parallel: Any) -> Array:
    """Return the mean of each window."""
    from numbaconv.pooling import forward

    array = arguments.as_array(x, "x")
    pool = remembered(_resolve_mean, options, (array.shape, array.dtype))
    return forward.mean(pool, array, out, arguments.flag(parallel, "parallel"))


def _resolve_mean(options: AdaptiveOptions, x: Form) -> "adaptive.AnyPlan":
    from numbaconv.pooling import adaptive

    shape, dtype = x
    arguments.supported(dtype, "the dtype of x")
    return adaptive.mean_plan(_parsed(options, shape, dtype), dtype)


def _parsed(options: AdaptiveOptions, shape: Ints, dtype: Any) -> AdaptiveGeometry:
    geometry = AdaptiveGeometry.parse(options, shape)
    arguments.check_addressable(geometry.output_shape, dtype)
    return geometry


def adaptive_avg_pool_backward(
    options: AdaptiveOptions, grad_output: Any, input_shape: Any, out: Any, parallel: Any
) -> Array:
    """Return the gradient of adaptive means with respect to their input."""
    from numbaconv.pooling import adaptive

    grad = arguments.as_array(grad_output, "grad_output")
    check_divisible(grad.dtype)
    shape = arguments.shape(input_shape, "input_shape")
    plan = remembered(_resolve_gradient, options, shape, (grad.shape, grad.dtype))
    return adaptive.gradient(plan, grad, out, arguments.flag(parallel, "parallel"))


def _resolve_gradient(options: AdaptiveOptions, input_shape: Ints, grad: Form) -> Any:
    from numbaconv.pooling import adaptive

    geometry = AdaptiveGeometry.of_gradient(options, input_shape, grad[0])
    arguments.check_addressable(input_shape, grad[1])
    return adaptive.gradient_plan(geometry, grad[1])
