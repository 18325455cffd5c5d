"""From checked arguments to results on the device: what all doors have in common."""

from collections.abc import Callable
from typing import Any

import numpy as np

from numbaconv import routes
from numbaconv.cuda import arrays, convolve, copying, launch
from numbaconv.cuda.arrays import DeviceArray, Ints
from numbaconv.cuda.places import Images
from numbaconv.problem import arguments
from numbaconv.running.call import work_dtype


def check_algorithm(algorithm: Any) -> str:
    """Return the name of an algorithm that the device has."""
    name = arguments.choice(algorithm, "algorithm", ("auto", "exact", *routes.names()))
    if name not in ("auto", "exact", *convolve.NAMES):
        raise ValueError(
            f"algorithm={name!r} cannot run on the device, which has "
            f"{', '.join(map(repr, convolve.NAMES))}"
        )
    return name


def work_type(dtype: np.dtype[Any]) -> Any:
    """Return the type that kernels compute a result of `dtype` in."""
    work = work_dtype(dtype)
    # Small integers are summed in 32 bits: modulo 2**n the bits are the same.
    return np.int32 if work.kind == "i" and work.itemsize < 4 else work.type


def run(
    out: Any,
    shape: Ints,
    dtype: np.dtype[Any],
    inputs: tuple[DeviceArray | None, ...],
    compute: Callable[[DeviceArray, Any], None],
) -> Any:
    """Return the caller's `out`, or a new array, with what `compute` enqueues into an array.

    `compute` gets the array and the stream. Where `out` overlaps an input, or itself, it gets
    another array, which is copied.
    """
    given = None if out is None else arrays.check_out(out, shape, dtype)
    with launch.lock:
        stream = arrays.common_stream(*inputs, given)
        crossed = given is not None and (
            given.overlaps_itself() or any(a is not None and given.overlaps(a) for a in inputs)
        )
        result = launch.allocate(shape, dtype, stream) if given is None or crossed else out
        target = given if given is not None and not crossed else arrays.of(result, stream)
        if target.size:
            compute(target, stream)
        if given is not None and crossed:
            copy_array(target, given, stream)
        # On the arrays' own streams, what was read may be overwritten now, and the result be read.
        named = {a.stream for a in (*inputs, given) if a is not None and a.stream != 0}
        unnamed = (0,) if given is not None and given.stream == 0 else ()
        launch.release(stream, (*named, *unnamed))
    return result if out is None else out


def copy_array(source: DeviceArray, target: DeviceArray, stream: Any) -> None:
    """Enqueue the copy of an array of up to five axes, converted to the target's dtype."""
    images, channels = ((1,) * (5 - len(source.shape)) + source.shape)[:2]
    copying.copy(_as_images(source, stream), _as_images(target, stream), images, channels)


def _as_images(array: DeviceArray, stream: Any) -> Images:
    """Return an array of up to five axes as images: its axes, whatever they mean, in order."""
    missing = 5 - len(array.shape)
    image, channel, *steps = (*((0,) * missing), *array.strides)
    _, _, *size = (*((1,) * missing), *array.shape)
    return Images(
        array.data, array.dtype, array.base, image, channel, (steps[0], steps[1], steps[2]),
        (size[0], size[1], size[2]), stream,
    )  # fmt: skip


def flat_bias(bias: DeviceArray | None, stream: Any) -> Any:
    """Return a bias as contiguous memory of its own dtype, or None."""
    if bias is None:
        return None
    if bias.size <= 1 or bias.strides == (1,):
        return bias.data
    kept = launch.borrow("bias", bias.size, bias.dtype, stream)
    target = arrays.over(kept, bias.shape, bias.dtype, stream)
    copy_array(bias, target, stream)
    return kept
