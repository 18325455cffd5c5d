"""The backend of device arrays: see `numbaconv.api.backends.Backend`.

Arguments are checked as for NumPy's arrays; results are enqueued, and nothing is waited for.
"""

from typing import Any

import numpy as np

from numbaconv.cuda import call, matrices, transposed, weight_sums
from numbaconv.cuda import convolve as convolutions
from numbaconv.cuda.arrays import DeviceArray, take
from numbaconv.cuda.call import Plan
from numbaconv.cuda.matrices import Matrix
from numbaconv.cuda.places import Images, Weights
from numbaconv.problem import arguments, parsing
from numbaconv.problem.geometry import ConvGeometry, Ints
from numbaconv.problem.options import ConvOptions, PatchOptions
from numbaconv.problem.parsing import Form
from numbaconv.problem.patch_geometry import PatchGeometry
from numbaconv.running.memo import remembered

#: A geometry, the dtype of the result, an algorithm, and the result's shape.
Resolved = tuple[ConvGeometry, np.dtype[Any], str, Ints]


def convolve(options: ConvOptions, x: Any, weight: Any, bias: Any, out: Any, parallel: Any) -> Any:
    """Return a convolution."""
    arguments.flag(parallel, "parallel")
    source, kernels = take(x, "x"), take(weight, "weight")
    offsets = None if bias is None else take(bias, "bias")

    def resolve() -> Plan:
        found = remembered(_resolve, options, _form(source), _form(kernels))
        geometry, dtype, chosen, shape = found
        if offsets is not None:
            parsing.check_bias(options, (geometry, dtype), _form(offsets))

        def compute(target: DeviceArray, stream: Any) -> None:
            _forward(options).run(
                chosen, geometry, _images(geometry, source, stream),
                Weights.of(kernels, geometry.groups, geometry.channels_last),
                call.flat_bias(offsets, stream), _images(geometry, target, stream),
                call.work_type(dtype),
            )  # fmt: skip

        return Plan(shape, dtype, compute)

    inputs = (source, kernels, offsets)
    return call.run((convolve, options), options.numbers, inputs, source, out, resolve)


def _resolve(options: ConvOptions, x: Form, weight: Form) -> Resolved:
    """Return how a convolution is computed."""
    geometry, dtype = parsing.forward(options, x, weight)
    shape = geometry.result_shape(transposed=options.transposed)
    return _chosen(options, _forward(options), geometry, dtype, shape)


def input_grad(
    options: ConvOptions, input_shape: Any, weight: Any, grad_output: Any, out: Any, parallel: Any
) -> Any:
    """Return the gradient of a convolution with respect to its input."""
    arguments.flag(parallel, "parallel")
    kernels, grad = take(weight, "weight"), take(grad_output, "grad_output")
    shape = arguments.shape(input_shape, "input_shape")

    def resolve() -> Plan:
        found = remembered(_resolve_input_grad, options, shape, _form(kernels), _form(grad))
        geometry, dtype, chosen, _ = found

        def compute(target: DeviceArray, stream: Any) -> None:
            source = _images(geometry, grad, stream)
            _adjoint(options).run(
                chosen, geometry, _cropped(source, geometry) if options.transposed else source,
                Weights.of(kernels, geometry.groups, geometry.channels_last),
                None, _images(geometry, target, stream), call.work_type(dtype),
                conjugated=kernels.dtype.kind == "c",
            )  # fmt: skip

        return Plan(shape, dtype, compute)

    what = (input_grad, options, shape)
    return call.run(what, options.numbers, (kernels, grad), grad, out, resolve)


def _resolve_input_grad(
    options: ConvOptions, input_shape: Ints, weight: Form, grad: Form
) -> Resolved:
    geometry, dtype = parsing.input_grad(options, input_shape, weight, grad)
    return _chosen(options, _adjoint(options), geometry, dtype, input_shape)


def _forward(options: ConvOptions) -> Any:
    """Return the room that runs what is asked."""
    return transposed if options.transposed else convolutions


def _adjoint(options: ConvOptions) -> Any:
    """Return the room that runs its gradient: of each, plain and transposed, it is the other."""
    return convolutions if options.transposed else transposed


def _chosen(
    options: ConvOptions, room: Any, geometry: ConvGeometry, dtype: np.dtype[Any], shape: Ints
) -> Resolved:
    """Return how a room runs a problem whose result has this shape."""
    chosen = room.choose(call.check_algorithm(options.algorithm), geometry)
    arguments.check_addressable(shape, dtype)
    return geometry, dtype, chosen, shape


def weight_grad(
    options: ConvOptions, x: Any, weight_shape: Any, grad_output: Any, out: Any, parallel: Any
) -> Any:
    """Return the gradient of a convolution with respect to its weights."""
    arguments.flag(parallel, "parallel")
    source, grad = take(x, "x"), take(grad_output, "grad_output")
    shape = arguments.shape(weight_shape, "weight_shape")
    conjugated = "" if source.dtype.kind != "c" else "grad" if options.transposed else "x"

    def resolve() -> Plan:
        found = remembered(_resolve_weight_grad, options, _form(source), shape, _form(grad))
        geometry, dtype, chosen, _ = found

        def compute(target: DeviceArray, stream: Any) -> None:
            read, other = _images(geometry, source, stream), _images(geometry, grad, stream)
            if options.transposed:
                # What it is the adjoint of reads the output's gradient, and writes to x.
                read, other = _cropped(other, geometry), read
            weight_sums.run(
                chosen, geometry, read, other,
                Weights.of(target, geometry.groups, geometry.channels_last), call.work_type(dtype),
                conjugated,
            )  # fmt: skip

        return Plan(shape, dtype, compute)

    what = (weight_grad, options, shape)
    return call.run(what, options.numbers, (source, grad), grad, out, resolve)


def _resolve_weight_grad(options: ConvOptions, x: Form, weight_shape: Ints, grad: Form) -> Resolved:
    geometry, dtype = parsing.weight_grad(options, x, weight_shape, grad)
    chosen = weight_sums.choose(call.check_algorithm(options.algorithm))
    return geometry, dtype, chosen, weight_shape


def bias_grad(options: ConvOptions, grad: DeviceArray) -> Any:
    """Return the sums over images and positions."""

    def resolve() -> Plan:
        last = options.layout == "channels_last"
        dtype = arguments.result_dtype(options.dtype, grad_output=grad.dtype)
        images = grad.batched(len(grad.shape) == options.ndim + 2)
        channels = images.shape[-1 if last else 1]

        def compute(target: DeviceArray, stream: Any) -> None:
            weight_sums.sum_bias(
                images.shape[0], channels, Images.of(images, last, stream), target,
                call.work_type(dtype), stream,
            )  # fmt: skip

        return Plan((channels,), dtype, compute)

    return call.run((bias_grad, options), options.numbers, (grad,), grad, None, resolve)


def im2col(options: PatchOptions, x: Any, out: Any, parallel: Any) -> Any:
    """Return the matrix of an image's patches."""
    arguments.flag(parallel, "parallel")
    source = take(x, "x")

    def resolve() -> Plan:
        dtype = arguments.supported(source.dtype, "the dtype of x")
        patches, geometry, shape = remembered(_resolve_patches, options, source.shape)
        arguments.check_addressable(shape, dtype)

        def compute(target: DeviceArray, stream: Any) -> None:
            image, matrix = _images(geometry, source, stream), _matrix(patches, target)
            matrices.gather(geometry, image, matrix, dtype.type, not patches.channels_last)

        return Plan(shape, dtype, compute)

    return call.run((im2col, options), options.numbers, (source,), source, out, resolve)


def col2im(options: PatchOptions, cols: Any, out: Any, parallel: Any) -> Any:
    """Return the image that sums a matrix of patches; each element gathers what belongs to it."""
    arguments.flag(parallel, "parallel")
    source = take(cols, "cols")

    def resolve() -> Plan:
        dtype = arguments.supported(source.dtype, "the dtype of cols")
        patches, geometry, shape = remembered(_resolve_folded, options, source.shape)
        arguments.check_addressable(shape, dtype)
        work = call.work_type(dtype)

        def compute(target: DeviceArray, stream: Any) -> None:
            image, matrix = _images(geometry, target, stream), _matrix(patches, source)
            matrices.fold(geometry, matrix, image, None, work, not patches.channels_last)

        return Plan(shape, dtype, compute)

    return call.run((col2im, options), options.numbers, (source,), source, out, resolve)


def _resolve_patches(
    options: PatchOptions, shape: Ints
) -> tuple[PatchGeometry, ConvGeometry, Ints]:
    patches = PatchGeometry.parse(options, shape)
    return patches, _as_convolution(patches), patches.matrix_shape


def _resolve_folded(options: PatchOptions, shape: Ints) -> tuple[PatchGeometry, ConvGeometry, Ints]:
    patches = PatchGeometry.parse_folded(options, shape)
    return patches, _as_convolution(patches), patches.image_shape


def _no_pools(*_: Any) -> Any:
    """Refuse pools."""
    raise TypeError(
        "pools take no arrays on a device: copy them to the host first, for example with "
        "copy_to_host() of numba.cuda's arrays"
    )


max_pool = max_pool_backward = max_unpool = avg_pool = avg_pool_backward = _no_pools
adaptive_max_pool = adaptive_avg_pool = adaptive_avg_pool_backward = _no_pools


def _as_convolution(patches: PatchGeometry) -> ConvGeometry:
    """Return the convolution whose patches these are; it has one output channel."""
    return ConvGeometry(
        patches.batch, patches.channels, 1, 1, patches.window, patches.channels_last,
        patches.batched,
    )  # fmt: skip


def _form(array: DeviceArray) -> Form:
    return array.shape, array.dtype


def _images(geometry: ConvGeometry, array: DeviceArray, stream: Any) -> Images:
    """Return a caller's array as the images of a problem."""
    return Images.of(array.batched(geometry.batched), geometry.channels_last, stream)


def _cropped(images: Images, geometry: ConvGeometry) -> Images:
    """Return the part of an input that the windows of a `ConvGeometry.cropped` slide over."""
    return images.cut(tuple(slice(n) for n in geometry.window.size))


def _matrix(patches: PatchGeometry, array: DeviceArray) -> Matrix:
    """Return where a matrix of patches lies."""
    batched = array.batched(patches.batched)
    image, *steps = batched.strides
    position, element = steps if patches.as_rows else steps[::-1]
    return Matrix(batched.data, batched.base, image, element, position)
