"""Pools, plain and adaptive, their backward passes and unpooling."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from numbaconv.problem import arguments
from numbaconv.problem.arrays import Array
from numbaconv.problem.geometry import Ints, split_shape
from numbaconv.problem.options import AdaptiveOptions, PoolOptions, ScatterOptions, UnpoolOptions
from numbaconv.problem.parsing import Form
from numbaconv.problem.pool_geometry import (
    AdaptiveGeometry,
    PoolGeometry,
    ScatterGeometry,
    check_indices,
    divisor,
    unpooled_size,
)
from numbaconv.running.memo import remembered

if TYPE_CHECKING:
    from numbaconv.pooling import adaptive
    from numbaconv.pooling.forward import AnyPlan

# `numbaconv.pooling` is imported where it is needed, which importing the package is not.


def max_pool(options: PoolOptions, x: Any, return_indices: Any, out: Any, parallel: Any) -> Any:
    """Return the largest value in each window, and where they are if wanted."""
    return _maximum(_resolve_maximum, _with_flags(options), x, return_indices, out, parallel)


def _maximum(
    resolve: Callable[..., Any], options: PoolOptions | AdaptiveOptions, x: Any,
    return_indices: Any, out: Any, parallel: Any,
) -> Any:  # fmt: skip
    from numbaconv.pooling import forward

    array = arguments.as_array(x, "x")
    wanted = arguments.flag(return_indices, "return_indices")
    pool = remembered(resolve, options, (array.shape, array.dtype), wanted)
    parallel = arguments.flag(parallel, "parallel")
    values, indices = forward.maximum(pool, array, out, parallel, indices=wanted)
    return (values, indices) if wanted else values


def _resolve_maximum(options: PoolOptions, x: Form, indices: bool) -> "AnyPlan":
    from numbaconv.pooling import forward

    shape, dtype = x
    check_ordered(dtype)
    geometry = PoolGeometry.parse(options, shape)
    return forward.maximum_plan(geometry, dtype, indices=indices)


def check_ordered(dtype: np.dtype[Any]) -> None:
    """Raise TypeError for what has no largest value."""
    if arguments.supported(dtype, "the dtype of x").kind == "c":
        raise TypeError(f"x must be of a real dtype, complex numbers have no maximum: got {dtype}")


def max_pool_backward(
    options: ScatterOptions, grad_output: Any, indices: Any, out: Any, parallel: Any
) -> Array:
    """Return the gradient of a max pool with respect to its input."""
    from numbaconv.pooling.scatter import scattered

    grad = arguments.as_array(grad_output, "grad_output")
    arguments.supported(grad.dtype, "the dtype of grad_output")
    found = ScatterGeometry.parse(options, grad.shape)
    arguments.check_addressable(found.input_shape, grad.dtype)
    places = _checked_indices(indices, grad.shape, "grad_output")
    parallel = arguments.flag(parallel, "parallel")
    return scattered(
        grad, places, options.ndim, found.size, found.channels_last, out, parallel, add=True
    )


def max_unpool(options: UnpoolOptions, x: Any, indices: Any, out: Any, parallel: Any) -> Array:
    """Return maxima where they were, among zeros."""
    from numbaconv.pooling.scatter import scattered

    ndim = options.ndim
    array = arguments.as_array(x, "x")
    dtype = arguments.supported(array.dtype, "the dtype of x")
    last = arguments.is_channels_last(options.layout)
    _, _, _, size = split_shape(array.shape, ndim, last)
    wanted = unpooled_size(options, size, channels_last=last)
    arguments.check_addressable((*array.shape[: array.ndim - ndim], *wanted), dtype)
    places = _checked_indices(indices, array.shape, "x")
    parallel = arguments.flag(parallel, "parallel")
    return scattered(array, places, ndim, wanted, last, out, parallel, add=False)


def _checked_indices(value: Any, shape: Ints, name: str) -> Array:
    places = arguments.as_array(value, "indices")
    check_indices(places.shape, places.dtype, shape, name)
    return places


def avg_pool(options: PoolOptions, x: Any, out: Any, parallel: Any) -> Array:
    """Return the mean of each window."""
    from numbaconv.pooling import forward

    array = arguments.as_array(x, "x")
    pool = remembered(_resolve_mean, _with_flags(options), (array.shape, array.dtype))
    parallel = arguments.flag(parallel, "parallel")
    return forward.mean(pool, array, out, parallel)


def _resolve_mean(options: PoolOptions, x: Form) -> "AnyPlan":
    from numbaconv.pooling import forward

    shape, dtype = x
    arguments.supported(dtype, "the dtype of x")
    include_pad, number = divisor(options)
    return forward.mean_plan(PoolGeometry.parse(options, shape), dtype, include_pad, number)


def avg_pool_backward(
    options: PoolOptions, grad_output: Any, input_shape: Any, out: Any, parallel: Any
) -> Array:
    """Return the gradient of an average pool with respect to its input."""
    from numbaconv.pooling.spread import spread

    grad = arguments.as_array(grad_output, "grad_output")
    check_divisible(grad.dtype)
    shape = arguments.shape(input_shape, "input_shape")
    plan = remembered(_resolve_spread, _with_flags(options), shape, (grad.shape, grad.dtype))
    parallel = arguments.flag(parallel, "parallel")
    return spread(plan, grad, out, parallel)


def check_divisible(dtype: np.dtype[Any]) -> None:
    """Raise TypeError for gradients that cannot be divided."""
    if arguments.supported(dtype, "the dtype of grad_output").kind not in "fc":
        raise TypeError(f"grad_output must be of a float or complex dtype, got {dtype}")


def _resolve_spread(options: PoolOptions, input_shape: Ints, grad: Form) -> Any:
    from numbaconv.pooling.spread import planned

    include_pad, number = divisor(options)
    geometry = PoolGeometry.parse(options, input_shape, "input_shape")
    arguments.check_grad(grad[0], geometry.output_shape)
    arguments.check_addressable(input_shape, np.dtype(grad[1]))
    return planned(geometry, grad[1], include_pad, number)


def _with_flags(options: PoolOptions) -> PoolOptions:
    """Return options whose flags are bools: 1 equals True, but must be refused."""
    ceil, include = options.ceil_mode, options.count_include_pad
    if type(ceil) is bool and type(include) is bool:
        return options
    return options._replace(
        ceil_mode=arguments.flag(ceil, "ceil_mode"),
        count_include_pad=arguments.flag(include, "count_include_pad"),
    )


def adaptive_max_pool(
    options: AdaptiveOptions, x: Any, return_indices: Any, out: Any, parallel: Any
) -> Any:
    """Return the largest value in each window, and where they are if wanted."""
    return _maximum(_resolve_adaptive_maximum, options, x, return_indices, out, parallel)


def _resolve_adaptive_maximum(
    options: AdaptiveOptions, x: Form, indices: bool
) -> "adaptive.AnyPlan":
    from numbaconv.pooling import adaptive

    shape, dtype = x
    check_ordered(dtype)
    return adaptive.maximum_plan(_parse_adaptive(options, shape, dtype), dtype, indices=indices)


def adaptive_avg_pool(options: AdaptiveOptions, x: Any, out: Any, parallel: Any) -> Array:
    """Return the mean of each window."""
    from numbaconv.pooling import forward

    array = arguments.as_array(x, "x")
    pool = remembered(_resolve_adaptive_mean, options, (array.shape, array.dtype))
    return forward.mean(pool, array, out, arguments.flag(parallel, "parallel"))


def _resolve_adaptive_mean(options: AdaptiveOptions, x: Form) -> "adaptive.AnyPlan":
    from numbaconv.pooling import adaptive

    shape, dtype = x
    arguments.supported(dtype, "the dtype of x")
    return adaptive.mean_plan(_parse_adaptive(options, shape, dtype), dtype)


def _parse_adaptive(options: AdaptiveOptions, shape: Ints, dtype: Any) -> AdaptiveGeometry:
    geometry = AdaptiveGeometry.parse(options, shape)
    arguments.check_addressable(geometry.output_shape, dtype)
    return geometry


def adaptive_avg_pool_backward(
    options: AdaptiveOptions, grad_output: Any, input_shape: Any, out: Any, parallel: Any
) -> Array:
    """Return the gradient of adaptive means with respect to their input."""
    from numbaconv.pooling.spread import spread

    grad = arguments.as_array(grad_output, "grad_output")
    check_divisible(grad.dtype)
    shape = arguments.shape(input_shape, "input_shape")
    plan = remembered(_resolve_adaptive_gradient, options, shape, (grad.shape, grad.dtype))
    return spread(plan, grad, out, arguments.flag(parallel, "parallel"))


def _resolve_adaptive_gradient(options: AdaptiveOptions, input_shape: Ints, grad: Form) -> Any:
    from numbaconv.pooling import adaptive

    geometry = AdaptiveGeometry.of_gradient(options, input_shape, grad[0])
    arguments.check_addressable(input_shape, grad[1])
    return adaptive.gradient_plan(geometry, grad[1])
