"""The gradient of a convolution with respect to its weights.

Each plan keeps sums of its own kind: it starts them, adds some images at a time, and writes their
total. ``im2col`` is the reference.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from numbaconv import routes
from numbaconv.problem import arguments
from numbaconv.problem.arrays import Array, is_direct
from numbaconv.problem.cuts import even_block
from numbaconv.problem.geometry import ConvGeometry, Ints
from numbaconv.running import call, results
from numbaconv.running.results import converted
from numbaconv.weight_grad import boxes
from numbaconv.weight_grad.boxes import AnyPlan
from numbaconv.weight_grad.layout import INTERLEAVED

#: The reference first.
NAMES = ("im2col", "direct")


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
        pads = pads or (inner.window.padding_mode != "zeros" and isinstance(plan, boxes.Plan))
    return Call(geometry, dtype, work, plan, shape, empty, pads)


def _planned(
    geometry: ConvGeometry, shape: Ints, work: np.dtype[Any], make: Callable[..., AnyPlan],
    grows: bool,
) -> AnyPlan:  # fmt: skip
    """Return the plan of a problem: of a very large image in boxes."""
    if boxes.needed(geometry, work, grows=grows):
        return boxes.Plan(
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
