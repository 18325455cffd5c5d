"""The gradient of a convolution with respect to its weights.

Each plan keeps sums of its own kind: it starts them, adds some images at a time, and writes their
total. ``im2col`` is the reference. Very large images are taken in boxes.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np

from numbaconv import routes
from numbaconv.kernels import recording
from numbaconv.kernels.long_sums import Total
from numbaconv.problem import arguments
from numbaconv.problem.arrays import Array, is_direct
from numbaconv.problem.cuts import even_block
from numbaconv.problem.geometry import ConvGeometry, Ints
from numbaconv.running import call, results, strips
from numbaconv.running.results import converted
from numbaconv.weight_grad.layout import INTERLEAVED

# Positions of a box, and along its last axis.
_MOST_POSITIONS = 1 << 19
_MOST_COLUMNS = 1 << 15
#: The reference first.
NAMES = ("im2col", "direct")


class AnyPlan(Protocol):
    """A problem as one algorithm runs it."""

    #: How many images are converted at a time, where they must be; launches take so many, or
    #: several times as many.
    images_at_once: int
    #: After how many images, such a multiple, sums are to be drained.
    images_a_sum: int

    def readable(self, array: Array) -> bool:
        """Return whether an aligned array of the plan's dtype is read where it is."""

    def start(self, images: int) -> Any:
        """Return sums of nothing, for so many images in all."""

    def add(self, sums: Any, x: Array, grad: Array, first: int, parallel: bool) -> None:
        """Add what some images come to, of which the first since sums were empty is `first`."""

    def drain(self, sums: Any) -> None:
        """Set aside what the sums have come to: so many terms are added one after another."""

    def finish(self, sums: Any, out: Array, parallel: bool) -> None:
        """Write the gradient to `out`, in the caller's layout."""


@dataclass(frozen=True, slots=True)
class Call:
    """A signature and how it is computed; the fields are those of `numbaconv.running.call.Call`."""

    geometry: ConvGeometry
    dtype: np.dtype[Any]
    work: np.dtype[Any]
    plan: AnyPlan
    shape: Ints
    empty: bool
    pads: bool
    images: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "images", call.images_at_once(self.geometry, self.work))


def resolve(
    geometry: ConvGeometry, shape: Ints, dtype: np.dtype[Any], algorithm: Any
) -> Call:  # fmt: skip
    """Choose the algorithm of a problem whose result has this shape and dtype."""
    arguments.choice(algorithm, "algorithm", ("auto", "exact", *routes.names()))
    if algorithm in routes.names() and algorithm not in NAMES:
        raise ValueError(
            f"algorithm={algorithm!r} cannot run this problem: the weight gradient has "
            f"{', '.join(map(repr, NAMES))} only"
        )
    work = call.work_dtype(dtype)
    empty = 0 in shape or geometry.batch == 0 or geometry.window.positions == 0
    pads, grows = False, True
    make: Callable[..., Any]
    if empty or _takes_reference(geometry, work, algorithm):
        from numbaconv.reference import weight_grad

        inner, make = geometry, weight_grad.Plan
    else:
        from numbaconv.weight_grad import direct

        inner, make = call.without_mode(geometry), direct.plan
        pads = inner is not geometry
        # Of the batch a plan needs to know how many images may be taken together.
        inner = replace(inner, batch=even_block(geometry.batch, INTERLEAVED))
        grows = not direct.by_rows(inner, work)
    plan: Any = None
    if not empty:
        plan = _planned(inner, shape, work, make, grows)
        pads = pads or (inner.window.padding_mode != "zeros" and isinstance(plan, Boxes))
    return Call(geometry, dtype, work, plan, shape, empty, pads)


def _planned(
    geometry: ConvGeometry, shape: Ints, work: np.dtype[Any], make: Callable[..., AnyPlan],
    grows: bool,
) -> AnyPlan:  # fmt: skip
    """Return the plan of a problem: of a very large image in boxes."""
    if needed(geometry, work, grows=grows):
        return Boxes(
            call.without_mode(geometry), shape, work, lambda box: make(replace(box, batch=1), work)
        )  # fmt: skip
    return make(geometry, work)


def _takes_reference(geometry: ConvGeometry, work: np.dtype[Any], algorithm: str) -> bool:
    """Return whether the reference route runs a problem."""
    if algorithm == "im2col":
        return True
    from numbaconv.weight_grad import direct

    reason = direct.refusal(geometry, work)
    if reason is not None and algorithm == "direct":
        raise ValueError(f"algorithm='direct' cannot run this problem: {reason}")
    return reason is not None


def run(found: Call, x: Array, grad: Array, out: Any, parallel: bool, conjugate: str) -> Array:
    """Return the gradient of the weights; of complex arrays one is taken conjugated."""

    def compute(target: Array) -> None:
        if found.empty:
            target[...] = 0
            return
        batched = found.geometry.batched
        source, other = (call.as_signed(a if batched else a[None], found.work) for a in (x, grad))
        sums = found.plan.start(len(source))
        _add_all(found, sums, source, other, parallel, conjugate)
        found.plan.finish(sums, call.as_signed(target, found.work), parallel)

    return results.into(out, found.shape, found.dtype, (x, grad), compute)


def _add_all(found: Call, sums: Any, x: Array, grad: Array, parallel: bool, conjugate: str) -> None:
    """Add what all images come to, as many at a time as one launch takes."""
    kept = found.work.kind != "c" and not found.pads
    if not (kept and _readable(found, x) and _readable(found, grad)):
        _add_converted(found, sums, x, grad, parallel, conjugate)
        return
    together = found.plan.images_at_once
    step = found.images // together * together
    step = min(max(step, together), found.plan.images_a_sum)
    for n in range(0, len(x), step):
        _add(found, sums, x[n : n + step], grad[n : n + step], n, parallel)


def _readable(found: Call, array: Array) -> bool:
    return is_direct(array, found.work) and found.plan.readable(array)


def _add_converted(
    found: Call, sums: Any, x: Array, grad: Array, parallel: bool, conjugate: str
) -> None:
    """Add image by image, or few at a time, through suitable copies."""
    step = found.plan.images_at_once
    for n in range(0, len(x), step):
        source, other = x[n : n + step], grad[n : n + step]
        if found.pads:
            source = call.pad(found.geometry, source, found.work)
        elif not _readable(found, source):
            source = converted(source, found.work, parallel)
        if not _readable(found, other):
            other = converted(other, found.work, parallel)
        if found.work.kind == "c" and conjugate == "x":
            source = np.conj(source)
        elif found.work.kind == "c":
            other = np.conj(other)
        _add(found, sums, source, other, n, parallel)


def _add(found: Call, sums: Any, x: Array, grad: Array, first: int, parallel: bool) -> None:
    """Add some images, of which the first is number `first`; drain the sums now and then."""
    since = first % found.plan.images_a_sum
    if first and since == 0:
        found.plan.drain(sums)
    found.plan.add(sums, x, grad, since, parallel)


def needed(geometry: ConvGeometry, work: np.dtype[Any], *, grows: bool) -> bool:
    """Return whether an image is too large for one plan, whose memory `grows` with it or not."""
    output = geometry.window.output
    many = math.prod(output) > 2 * _MOST_POSITIONS or output[-1] > 2 * _MOST_COLUMNS
    return call.is_huge(geometry, work) or (grows and many)


class Boxes:
    """A problem in boxes.

    Parameters
    ----------
    geometry : ConvGeometry
        The convolution; its padding is of zeros, unless `make`'s plans take another.
    shape : tuple of int
        Of the gradient.
    dtype : dtype
        Of all arrays.
    make : callable
        Returns the plan of a geometry.
    """

    images_at_once = 1
    images_a_sum = 1 << 62

    def __init__(
        self, geometry: ConvGeometry, shape: Ints, dtype: np.dtype[Any],
        make: Callable[[ConvGeometry], AnyPlan],
    ) -> None:  # fmt: skip
        self.shape, self.dtype, self.make = shape, dtype, make
        self.boxes = strips.weight_boxes(geometry, _sizes(geometry, dtype))

    def readable(self, array: Array) -> bool:
        """Return whether an array of the right dtype is read where it is: boxes are copied."""
        return True

    def start(self, images: int) -> list[Total]:
        """Return a sum of nothing."""
        if recording.active:
            recording.refuse()  # NumPy adds what boxes come to
        return []

    def add(self, sums: list[Total], x: Array, grad: Array, first: int, parallel: bool) -> None:
        """Add what some images come to."""
        for n in range(len(x)):
            for geometry, source, target in self.boxes:
                plan = self.make(geometry)
                part = np.empty(self.shape, self.dtype)
                own = plan.start(1)
                a, b = (np.ascontiguousarray(array) for array in (x[n][source[1:]],
                                                                  grad[n][target[1:]]))  # fmt: skip
                plan.add(own, a[None], b[None], 0, parallel)
                plan.finish(own, part, parallel)
                if sums:
                    sums[0].add(part)
                else:
                    sums.append(Total(part))

    def drain(self, sums: list[Total]) -> None:
        """Do nothing: the sum is compensated already."""

    def finish(self, sums: list[Total], out: Array, parallel: bool) -> None:
        """Write the gradient to `out`."""
        out[...] = sums[0].value


def _sizes(geometry: ConvGeometry, dtype: np.dtype[Any]) -> Ints:
    """Return the sizes of boxes along each axis."""
    output = geometry.window.output
    image = geometry.flops // max(geometry.batch, 1)
    each = list(strips.box_sizes(output, image, call.strip_flops(dtype)))
    each[-1] = min(each[-1], _MOST_COLUMNS)
    for axis in range(len(each)):
        while math.prod(each) > _MOST_POSITIONS and each[axis] > 1:
            each[axis] = -(-each[axis] // 2)
    return tuple(each)
