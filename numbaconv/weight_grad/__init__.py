"""The gradient of a convolution with respect to its weights.

Each plan keeps sums of its own kind: it starts them, adds some images at a time, and writes their
total. ``im2col`` is the reference.
"""

from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from numbaconv import arguments, call, routes
from numbaconv.arrays import Array, is_direct
from numbaconv.geometry import ConvGeometry, Ints

#: The reference first.
NAMES = ("im2col", "direct")


class Plan(Protocol):
    """A problem as one algorithm runs it."""

    #: How many images are converted at a time, where they must be.
    images_at_once: int

    def readable(self, array: Array) -> bool:
        """Return whether an aligned array of the plan's dtype is read where it is."""

    def start(self, images: int) -> Any:
        """Return sums of nothing, for so many images in all."""

    def add(self, sums: Any, x: Array, grad: Array, first: int, parallel: bool) -> None:
        """Add what some images come to, of which the first is number `first`."""

    def finish(self, sums: Any, out: Array, parallel: bool) -> None:
        """Write the gradient to `out`, in the caller's layout."""


@dataclass(frozen=True, slots=True)
class Call:
    """A signature and how it is computed; the fields are those of `numbaconv.call.Call`."""

    geometry: ConvGeometry
    dtype: np.dtype[Any]
    work: np.dtype[Any]
    plan: Plan
    shape: Ints
    empty: bool
    pads: bool


def resolve(
    geometry: ConvGeometry, shape: Ints, dtype: np.dtype[Any], algorithm: Any
) -> Call:  # fmt: skip
    """Choose the algorithm of a problem whose result has this shape and dtype."""
    arguments.choice(algorithm, "algorithm", ("auto", "exact", *routes.NAMES))
    if algorithm in routes.NAMES and algorithm not in NAMES:
        raise ValueError(
            f"algorithm={algorithm!r} cannot run this problem: the weight gradient has "
            f"{', '.join(map(repr, NAMES))} only"
        )
    work = call.work_dtype(dtype)
    empty = 0 in shape or geometry.batch == 0 or geometry.window.positions == 0
    plan: Plan
    pads = False
    if empty or _takes_reference(geometry, work, algorithm):
        from numbaconv.weight_grad import im2col

        plan = im2col.Plan(geometry, work)
    else:
        from numbaconv.weight_grad import direct

        inner = call.without_mode(geometry)
        pads = inner is not geometry
        plan = direct.plan(replace(inner, batch=1), work)
    return Call(geometry, dtype, work, plan, shape, empty, pads)


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
    result, target = call.targets(out, found.shape, found.dtype, (x, grad))
    if found.empty:
        target[...] = 0
    else:
        if not found.geometry.batched:
            x, grad = x[None], grad[None]
        x, grad = call.as_signed(x, found.work), call.as_signed(grad, found.work)
        sums = found.plan.start(len(x))
        kept = found.work.kind != "c" and not found.pads
        if kept and _readable(found, x) and _readable(found, grad):
            step = call.images_at_once(found.geometry, found.work)
            for n in range(0, len(x), step):
                found.plan.add(sums, x[n : n + step], grad[n : n + step], n, parallel)
        else:
            _add_converted(found, sums, x, grad, parallel, conjugate)
        found.plan.finish(sums, call.as_signed(target, found.work), parallel)
    if target is not result:
        result[...] = target
    return result if out is None else out


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
            source = np.array(source, found.work, order="C")
        if not _readable(found, other):
            other = np.array(other, found.work, order="C")
        if found.work.kind == "c" and conjugate == "x":
            source = np.conj(source)
        elif found.work.kind == "c":
            other = np.conj(other)
        found.plan.add(sums, source, other, n, parallel)
