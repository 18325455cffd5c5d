"""From a geometry to a result: how a problem is computed, and its run on arrays of any form."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from numbaconv import routes
from numbaconv.kernels import recording
from numbaconv.problem.arrays import Array, is_direct, writeable
from numbaconv.problem.geometry import ConvGeometry, Ints
from numbaconv.running import results
from numbaconv.running.packed import Packed
from numbaconv.running.results import assign, converted

# Multiplications and additions of one launch, in float32.
_MOST_FLOPS = 40_000_000_000
# Elements that are converted at once, unless an image has more.
_CONVERTED = 1 << 19
#: Padding modes as `numpy.pad` calls them.
NUMPY_MODES = {
    "reflect": "reflect", "replicate": "edge", "circular": "wrap", "symmetric": "symmetric",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Call:
    """A problem, and how it is computed.

    Parameters
    ----------
    geometry : ConvGeometry
        The caller's problem.
    dtype, work : dtype
        Of the result, and of the computation.
    algorithm : str
        The chosen one.
    costs : dict of str to float
        The estimated cycles of all that could run.
    plan : Plan
        The chosen algorithm's plan, of zero padding unless it is the reference's.
    shape : tuple of int
        Of the result.
    empty : bool
        Whether no products are summed: the result has no elements, or nothing but the bias.
    reads : {"any", "rows", "contiguous"}
        What inputs the plan takes: of any strides, of contiguous rows, or contiguous.
    pads : bool
        Whether the plan takes an input that holds its padding already.
    writes_any : bool
        Whether the plan writes to outputs of any strides.

    Attributes
    ----------
    images : int
        How many images one launch takes.
    """

    geometry: ConvGeometry
    dtype: np.dtype[Any]
    work: np.dtype[Any]
    algorithm: str
    costs: dict[str, float]
    plan: routes.Plan
    shape: Ints
    empty: bool
    reads: Literal["any", "rows", "contiguous"] = "any"
    pads: bool = False
    writes_any: bool = False
    images: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "images", images_at_once(self.geometry, self.work))


def is_huge(geometry: ConvGeometry, work: np.dtype[Any]) -> bool:
    """Return whether one image is too much work for a launch."""
    return geometry.flops // max(geometry.batch, 1) > 2 * strip_flops(work)


def without_mode(geometry: ConvGeometry) -> ConvGeometry:
    """Return the problem over an input that holds its padding, unless that is of zeros."""
    window = geometry.window
    if window.padding_mode == "zeros":
        return geometry
    size = tuple(n + low + high for n, (low, high) in zip(window.size, window.padding, strict=True))
    none = ((0, 0),) * window.ndim
    return replace(geometry, window=replace(window, size=size, padding=none, padding_mode="zeros"))


def pack(call: Call, weight: Array, bias: Array | None, parallel: bool, *, keep: bool) -> Packed:
    """Return weights and bias in the form of the chosen algorithm."""
    work = call.work
    if bias is None and weight.dtype is work and weight.flags.carray:
        return call.plan.pack(weight, None, parallel, keep=keep)
    if bias is not None:
        bias = writeable(np.ascontiguousarray(bias, work))
    if call.algorithm == "im2col":
        weight = weight if is_direct(weight, work) else weight.astype(work)
    else:
        weight = np.ascontiguousarray(as_signed(weight, work), work)
        if not weight.flags.aligned:
            weight = weight.copy()
    return call.plan.pack(weight, bias, parallel, keep=keep)


def run_once(
    call: Call, x: Array, weight: Array, bias: Array | None, out: Any, parallel: bool,
    inputs: tuple[Any, ...],
) -> Array:  # fmt: skip
    """Return the convolution of `x` with weights that are packed for this call alone."""
    packed = pack(call, weight, bias, parallel, keep=False)
    result = run(call, x, packed, out, parallel, inputs)
    packed.release()
    return result


def run(
    call: Call, x: Array, packed: Packed, out: Any, parallel: bool, inputs: tuple[Any, ...]
) -> Array:
    """Return the convolution of `x`; `inputs` are all arrays that `out` might overlap."""

    def compute(target: Array) -> None:
        if call.empty:
            _run_empty(call, packed, target)
            return
        source = x if call.geometry.batched else x[None]
        images = target if call.geometry.batched else target[None]
        if (
            source.dtype is call.work
            and source.flags.carray
            and images.flags.carray
            and images.dtype is call.work
            and not call.pads
        ):
            whole = run_plan(call, source, packed, images, parallel)
            if recording.active and call.plan.replayable and whole:
                recording.approve()
        else:
            run_parts(call, source, packed, images, parallel)

    return results.into(out, call.shape, call.dtype, inputs, compute)


def run_parts(call: Call, x: Array, packed: Packed, out: Array, parallel: bool) -> None:
    """Run arrays of any form: all at once, or image by image through suitable copies."""
    x, out = as_signed(x, call.work), as_signed(out, call.work)
    for source, target in _suitable(call, x, out, parallel):
        run_plan(call, source, packed, target, parallel)


def run_plan(call: Call, x: Array, packed: Packed, out: Array, parallel: bool) -> bool:
    """Run a plan, a few images at a time where they are large; return whether at once."""
    step = call.images
    if len(x) <= step:
        call.plan.run(x, packed, out, parallel)
        return True
    for n in range(0, len(x), step):
        call.plan.run(x[n : n + step], packed, out[n : n + step], parallel)
    return False


def images_at_once(geometry: ConvGeometry, work: np.dtype[Any]) -> int:
    """Return how many images one launch takes: Ctrl-C is not seen before it ends."""
    image = geometry.flops // max(geometry.batch, 1)
    return max(1, most_flops(work) // max(image, 1))


def strip_flops(work: np.dtype[Any]) -> int:
    """Return the most work of a box of an image, which is copied out and in: of two launches."""
    return 2 * most_flops(work)


def most_flops(work: np.dtype[Any]) -> int:
    """Return the most work of one launch: some tenths of a second, a second on a slow machine."""
    slower = work.itemsize // 4 * (4 if work.kind == "c" else 1)
    return _MOST_FLOPS // max(slower, 1)


def _suitable(
    call: Call, x: Array, out: Array, parallel: bool
) -> Iterator[tuple[Array, Array]]:  # fmt: skip
    """Yield input and output in parts that the plan can take.

    What must be converted is converted a few images at a time, so that the extra memory does not
    grow with the batch.
    """
    x_fits = not call.pads and _readable(call, x)
    out_fits = is_direct(out, call.work) and (call.writes_any or out.flags.c_contiguous)
    if x_fits and out_fits:
        yield x, out
        return
    images = max(1, _CONVERTED * len(x) // max(x.size, out.size, 1))
    for n in range(0, len(x), images):
        source, result = x[n : n + images], out[n : n + images]
        if call.pads:
            source = pad(call.geometry, source, call.work)
        elif not x_fits:
            source = converted(source, call.work, parallel)
        target = result if out_fits else np.empty(result.shape, call.work)
        yield source, target
        if target is not result:
            assign(result, target, parallel)


def _readable(call: Call, array: Array) -> bool:
    """Return whether the plan takes an input as it is."""
    if not is_direct(array, call.work):
        return False
    if call.reads == "any" or array.flags.c_contiguous:
        return True
    if call.reads == "contiguous":
        return False
    # Rows may lie anywhere, but each is contiguous; a pointwise kernel sees the image as one row.
    inner = array[0] if call.geometry.channels_last else array[0, 0]
    if call.geometry.window.is_pointwise and not call.geometry.channels_last:
        return bool(inner.flags.c_contiguous)
    return array.shape[-1] <= 1 or array.strides[-1] == array.itemsize


def pad(geometry: ConvGeometry, image: Array, dtype: np.dtype[Any]) -> Array:
    """Return a batch of images with its padding."""
    pairs = [*geometry.window.padding]
    pairs = [(0, 0), *pairs, (0, 0)] if geometry.channels_last else [(0, 0), (0, 0), *pairs]
    mode: Any = NUMPY_MODES[geometry.window.padding_mode]
    return np.ascontiguousarray(np.pad(image.astype(dtype), pairs, mode))


def _run_empty(call: Call, packed: Packed, out: Array) -> None:
    """Write what sums of no products come to: the bias, or zero."""
    bias: Any = 0 if packed.bias is None else packed.bias
    if packed.bias is not None and not call.geometry.channels_last:
        bias = bias.reshape(-1, *(1,) * call.geometry.window.ndim)
    out[...] = bias


def work_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the dtype that kernels compute a result of `dtype` in.

    float16 is summed in float32. Unsigned integers share the kernels of signed ones: modulo 2**n
    the bits of sums and products are the same.
    """
    if dtype == np.float16:
        return np.dtype(np.float32)
    # One object for each dtype: what is compared most often is compared by identity.
    return np.dtype(f"i{dtype.itemsize}") if dtype.kind in "iu" else np.dtype(dtype.str)


def as_signed(array: Array, work: np.dtype[Any]) -> Array:
    """Return an unsigned array as the signed type `work` of its size: the same bits, no copy."""
    same_bits = array.dtype.kind == "u" and work.kind == "i" and array.itemsize == work.itemsize
    return array.view(array.dtype.str.replace("u", "i")) if same_bits else array
