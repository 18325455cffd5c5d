"""From checked arguments to results on the device: what all doors have in common."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from numbaconv import routes
from numbaconv.cuda import arrays, convolve, copying, launch
from numbaconv.cuda.arrays import DeviceArray, Ints
from numbaconv.cuda.places import Images
from numbaconv.kernels import held
from numbaconv.problem import arguments
from numbaconv.running import memo
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


class Plan(NamedTuple):
    """How a call is computed: the result's shape and dtype, and what enqueues it.

    `compute` gets the result's array and the stream.
    """

    shape: Ints
    dtype: np.dtype[Any]
    compute: Callable[[DeviceArray, Any], None]


def run(
    what: tuple[Any, ...],
    numbers: tuple[Any, ...],
    inputs: tuple[DeviceArray | None, ...],
    about: DeviceArray,
    out: Any,
    resolve: Callable[[], Plan],
) -> Any:
    """Return the caller's `out`, or a new array of the kind of `about`, with what is computed.

    Where a call like this one has been recorded, that is enqueued again; else what `resolve` finds
    out from arguments that nobody has checked yet. Where `out` overlaps an input, or itself, a new
    array is made, and copied.

    Parameters
    ----------
    what, numbers : tuple
        All that the call depends on beside arrays, and of that what should be numbers.
    inputs : tuple of DeviceArray or None
        The arrays that are read.
    about : DeviceArray
        The array which the call is about: the result is of its owner's kind.
    out : array or None
        Where to write.
    resolve : callable
        Returns the plan, or raises for wrong arguments.
    """
    target = None if out is None else arrays.take(out, "out")
    key, found = _recorded(what, numbers, inputs, target)
    plan = resolve() if found is None else None
    shape, dtype = (found or plan).shape, (found or plan).dtype  # type: ignore[union-attr]
    result, crossed = out, False
    if target is not None:
        arrays.check_out(target, shape, dtype)
        crossed = target.overlaps_itself() or any(
            a is not None and target.overlaps(a) for a in inputs
        )
    with launch.lock:
        if target is None:
            result = arrays.empty(about.owner, shape, dtype)
            target = None if result is None else arrays.take(result, "result")
        stream = arrays.common_stream(*inputs, target)
        given = target
        if target is None or crossed:
            made = launch.allocate(shape, dtype, stream)
            target = arrays.of(made, stream)
            result = made if result is None else result
        if target.size:
            if found is not None and not crossed and found.fits(target):
                read = tuple(a.data for a in inputs if a is not None)
                found.enqueue((*read, target.data), stream)
            else:
                compute = (plan or resolve()).compute
                if key is None or crossed:
                    compute(target, stream)
                else:
                    _record(key, compute, inputs, target, stream)
        if given is not None and crossed:
            copy_array(target, given, stream)
        # On the arrays' own streams, what was read may be overwritten now, and the result be read.
        named = {a.stream for a in (*inputs, given) if a is not None and a.stream != 0}
        unnamed = (0,) if given is not None and given.stream == 0 else ()
        launch.release(stream, (*named, *unnamed))
    return result


def _recorded(
    what: tuple[Any, ...],
    numbers: tuple[Any, ...],
    inputs: tuple[DeviceArray | None, ...],
    out: DeviceArray | None,
) -> tuple[Any, Any]:
    """Return the key of a call, if there can be a recording of it, and the recording."""
    if launch.SIMULATED or not memo.is_plain(numbers):
        return None, None
    forms = [None if a is None else a.form for a in (*inputs, out)]
    key = (run, what, *forms)
    try:
        return key, held.find(key)
    except TypeError:  # what cannot be hashed is an error, or a dtype spelled as a list
        return None, None


def _record(
    key: Any,
    compute: Callable[[DeviceArray, Any], None],
    inputs: tuple[DeviceArray | None, ...],
    target: DeviceArray,
    stream: Any,
) -> None:
    """Enqueue a computation, and keep what it has enqueued."""
    from numbaconv.cuda import replay  # there is no such thing in the simulator

    made = replay.record(compute, tuple(a for a in inputs if a is not None), target, stream)
    if made is not None:
        held.keep(key, made)


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
