"""The backend of dask arrays: see `numbaconv.api.backends.Backend`.

Arguments are checked as for NumPy's arrays; nothing is computed. Tasks use the thread that Dask
runs them in, whatever `parallel` says.
"""

from typing import Any

import dask.array as da
import numpy as np

from numbaconv.dask import arrays, pools
from numbaconv.dask import convolve as convolutions
from numbaconv.dask.arrays import shared as take
from numbaconv.host.pools import check_divisible, check_ordered
from numbaconv.problem import arguments, parsing
from numbaconv.problem.geometry import split_shape
from numbaconv.problem.options import (
    AdaptiveOptions,
    ConvOptions,
    PatchOptions,
    PoolOptions,
    ScatterOptions,
    UnpoolOptions,
)
from numbaconv.problem.parsing import Form
from numbaconv.problem.pool_geometry import (
    AdaptiveGeometry,
    PoolGeometry,
    ScatterGeometry,
    check_indices,
    divisor,
    unpooled_size,
)
from numbaconv.weight_grad import choice as weight_choice

__all__ = [
    "avg_pool",
    "avg_pool_backward",
    "bias_grad",
    "col2im",
    "convolve",
    "im2col",
    "input_grad",
    "max_pool",
    "max_pool_backward",
    "max_unpool",
    "take",
    "weight_grad",
]


def convolve(
    options: ConvOptions, x: Any, weight: Any, bias: Any, out: Any, parallel: Any
) -> da.Array:
    """Return a convolution: a block for each chunk of `x`."""
    _check(out, parallel)
    source, kernels = arrays.lazy(x, "x"), arrays.shared(weight, "weight")
    geometry, dtype = asked = parsing.forward(options, _form(source), _form(kernels))
    offsets = None
    if bias is not None:
        offsets = arrays.shared(bias, "bias")
        parsing.check_bias(options, asked, _form(offsets))
        # By way of the result's dtype: a float64 bias of a float16 result is rounded to that first.
        offsets = offsets.astype(dtype)
    make = convolutions.adjoint if options.transposed else convolutions.forward
    images = arrays.batched(source, geometry.batched)
    y = make(geometry, images, kernels, offsets, dtype, options.algorithm)
    return arrays.unbatched(y, geometry.batched)


def input_grad(
    options: ConvOptions, input_shape: Any, weight: Any, grad_output: Any, out: Any, parallel: Any
) -> da.Array:
    """Return the gradient of a convolution with respect to its input."""
    _check(out, parallel)
    grad, kernels = arrays.lazy(grad_output, "grad_output"), arrays.shared(weight, "weight")
    if kernels.dtype.kind == "c":
        kernels = np.conj(kernels)
    shape = arguments.shape(input_shape, "input_shape")
    geometry, dtype = parsing.input_grad(options, shape, _form(kernels), _form(grad))
    images = arrays.batched(grad, geometry.batched)
    if options.transposed:
        images = arrays.cropped(images, geometry)
    make = convolutions.forward if options.transposed else convolutions.adjoint
    y = make(geometry, images, kernels, None, dtype, options.algorithm)
    return arrays.unbatched(y, geometry.batched)


def weight_grad(
    options: ConvOptions, x: Any, weight_shape: Any, grad_output: Any, out: Any, parallel: Any
) -> da.Array:
    """Return the gradient of a convolution with respect to its weights, in one chunk."""
    _check(out, parallel)
    source, grad = arrays.lazy(x, "x"), arrays.lazy(grad_output, "grad_output")
    shape = arguments.shape(weight_shape, "weight_shape")
    geometry, dtype = parsing.weight_grad(options, _form(source), shape, _form(grad))
    weight_choice.resolve(geometry, shape, dtype, options.algorithm)  # may refuse it, now
    read, other = arrays.batched(source, geometry.batched), arrays.batched(grad, geometry.batched)
    conjugate = "x"
    if options.transposed:
        # The convolution that it is the adjoint of reads the output's gradient, and writes to x.
        read, other, conjugate = arrays.cropped(other, geometry), read, "grad"
    return convolutions.weight_grad(
        geometry, read, shape, other, dtype, options.algorithm, conjugate
    )  # fmt: skip


def bias_grad(options: ConvOptions, grad: Any) -> da.Array:
    """Return the gradient with respect to the bias."""
    last = options.layout == "channels_last"
    dtype = arguments.result_dtype(options.dtype, grad_output=grad.dtype)
    images = arrays.batched(grad, grad.ndim == options.ndim + 2)
    return convolutions.bias_grad(images, images.ndim - 1 if last else 1, dtype)


def max_pool(options: PoolOptions, x: Any, return_indices: Any, out: Any, parallel: Any) -> Any:
    """Return maxima, and where they are in the whole channel."""
    _check(out, parallel)
    source = arrays.lazy(x, "x")
    check_ordered(source.dtype)
    wanted = arguments.flag(return_indices, "return_indices")
    geometry = PoolGeometry.parse(options, source.shape)
    images = arrays.batched(source, geometry.batched)
    found = pools.max_pool(geometry, images, with_indices=wanted)
    if not isinstance(found, tuple):
        return arrays.unbatched(found, geometry.batched)
    return tuple(arrays.unbatched(a, geometry.batched) for a in found)


def max_pool_backward(
    options: ScatterOptions, grad_output: Any, indices: Any, out: Any, parallel: Any
) -> da.Array:
    """Return the gradient of a max pool; spatial axes become one chunk."""
    _check(out, parallel)
    grad, where = arrays.lazy(grad_output, "grad_output"), arrays.lazy(indices, "indices")
    found = ScatterGeometry.parse(options, grad.shape)
    check_indices(where.shape, where.dtype, grad.shape, "grad_output")
    images, places = (arrays.batched(a, found.batched) for a in (grad, where))
    made = pools.scatter(pools.scatter_block, images, places, found.size, options)
    return arrays.unbatched(made, found.batched)


def max_unpool(
    options: UnpoolOptions, x: Any, indices: Any, out: Any, parallel: Any
) -> da.Array:  # fmt: skip
    """Return maxima where they were; spatial axes become one chunk."""
    _check(out, parallel)
    source, where = arrays.lazy(x, "x"), arrays.lazy(indices, "indices")
    last = arguments.is_channels_last(options.layout)
    check_indices(where.shape, where.dtype, source.shape, "x")
    batched, _, _, pooled = split_shape(source.shape, options.ndim, last)
    size = unpooled_size(options, pooled, channels_last=last)
    images, places = (arrays.batched(a, batched) for a in (source, where))
    made = pools.scatter(pools.unpool_block, images, places, size, options)
    return arrays.unbatched(made, batched)


def avg_pool(options: PoolOptions, x: Any, out: Any, parallel: Any) -> da.Array:
    """Return the mean of each window."""
    _check(out, parallel)
    source = arrays.lazy(x, "x")
    dtype = arguments.supported(source.dtype, "the dtype of x")
    counted = divisor(options)
    geometry = PoolGeometry.parse(options, source.shape)
    y = pools.average_pool(geometry, arrays.batched(source, geometry.batched), counted, dtype)
    return arrays.unbatched(y, geometry.batched)


def avg_pool_backward(
    options: PoolOptions, grad_output: Any, input_shape: Any, out: Any, parallel: Any
) -> da.Array:
    """Return the gradient of an average pool with respect to its input."""
    _check(out, parallel)
    grad = arrays.lazy(grad_output, "grad_output")
    check_divisible(grad.dtype)
    counted = divisor(options)
    shape = arguments.shape(input_shape, "input_shape")
    geometry = PoolGeometry.parse(options, shape, "input_shape")
    arguments.check_grad(grad.shape, geometry.output_shape)
    y = pools.average_pool_backward(geometry, arrays.batched(grad, geometry.batched), counted)
    return arrays.unbatched(y, geometry.batched)


def adaptive_max_pool(
    options: AdaptiveOptions, x: Any, return_indices: Any, out: Any, parallel: Any
) -> Any:
    """Return maxima, and where they are in the whole channel; spatial axes become one chunk."""
    _check(out, parallel)
    source = arrays.lazy(x, "x")
    check_ordered(source.dtype)
    wanted = arguments.flag(return_indices, "return_indices")
    geometry = AdaptiveGeometry.parse(options, source.shape)
    images = arrays.batched(source, geometry.batched)
    values = pools.adapt(pools.adaptive_max_block, images, geometry.output, options)
    made = arrays.unbatched(values, geometry.batched)
    if not wanted:
        return made
    index = np.dtype(np.int64)
    where = pools.adapt(pools.adaptive_index_block, images, geometry.output, options, index)
    return made, arrays.unbatched(where, geometry.batched)


def adaptive_avg_pool(options: AdaptiveOptions, x: Any, out: Any, parallel: Any) -> da.Array:
    """Return means; spatial axes become one chunk."""
    _check(out, parallel)
    source = arrays.lazy(x, "x")
    arguments.supported(source.dtype, "the dtype of x")
    geometry = AdaptiveGeometry.parse(options, source.shape)
    images = arrays.batched(source, geometry.batched)
    made = pools.adapt(pools.adaptive_average_block, images, geometry.output, options)
    return arrays.unbatched(made, geometry.batched)


def adaptive_avg_pool_backward(
    options: AdaptiveOptions, grad_output: Any, input_shape: Any, out: Any, parallel: Any
) -> da.Array:
    """Return the gradient of those means; spatial axes become one chunk."""
    _check(out, parallel)
    grad = arrays.lazy(grad_output, "grad_output")
    check_divisible(grad.dtype)
    shape = arguments.shape(input_shape, "input_shape")
    geometry = AdaptiveGeometry.of_gradient(options, shape, grad.shape)
    images = arrays.batched(grad, geometry.batched)
    made = pools.adapt(pools.adaptive_back_block, images, geometry.size, options)
    return arrays.unbatched(made, geometry.batched)


def im2col(options: PatchOptions, x: Any, out: Any, parallel: Any) -> da.Array:
    """Refuse: a matrix of patches is not made in chunks."""
    raise TypeError(f"im2col takes no dask arrays, got one for x: {_ONE_BLOCK}")


def col2im(options: PatchOptions, cols: Any, out: Any, parallel: Any) -> da.Array:
    """Refuse: a matrix of patches is not folded in chunks."""
    raise TypeError(f"col2im takes no dask arrays, got one for cols: {_ONE_BLOCK}")


_ONE_BLOCK = (
    "call it on one block at a time, by dask.array.map_blocks, or on what compute() returns"
)


def _check(out: Any, parallel: Any) -> None:
    """Refuse what lazy arrays have not got."""
    if out is not None:
        raise TypeError(
            "out is not taken for dask arrays, whose results are lazy: use what is returned, or "
            "store it, by dask.array.store"
        )
    arguments.flag(parallel, "parallel")


def _form(array: Any) -> Form:
    return array.shape, array.dtype
