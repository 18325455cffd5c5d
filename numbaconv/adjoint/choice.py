"""Transposed convolution, and with it the gradient of a convolution with respect to its input.

Both are the adjoint of one `ConvGeometry`: an array of its output shape comes in, one of its input
shape goes out. ``im2col`` is the reference (one GEMM, then col2im); ``phases`` makes it small
convolutions of stride 1; ``product`` makes columns by the fast kernels, and folds them; ``padding``
folds back what a padding mode has read twice.
"""

import math
from dataclasses import replace
from typing import Any

import numpy as np

from numbaconv import routes
from numbaconv.kernels.jit import native_available
from numbaconv.native import emit
from numbaconv.problem import arguments
from numbaconv.problem.geometry import ConvGeometry
from numbaconv.running import call, strips


def resolve(geometry: ConvGeometry, dtype: np.dtype[Any], algorithm: Any) -> call.Call:
    """Choose the algorithm of a problem whose result has this dtype."""
    arguments.choice(algorithm, "algorithm", ("auto", "exact", *routes.names()))
    work = call.work_dtype(dtype)
    shape = geometry.input_shape
    arguments.check_addressable(shape, dtype)
    empty = 0 in shape or geometry.out_channels == 0 or geometry.window.positions == 0
    inner = call.without_mode(geometry)
    if empty:
        found = _choose(inner, work, "im2col")
    elif call.is_huge(inner, work):
        found = _in_boxes(inner, work, algorithm)
    else:
        found = _choose(inner, work, algorithm)
    plan: Any = found.plan
    if inner is not geometry:
        from numbaconv.adjoint import padding

        plan = padding.Plan(geometry, found, work)
    return replace(found, geometry=geometry, dtype=dtype, plan=plan, shape=shape, empty=empty)


def _choose(geometry: ConvGeometry, work: np.dtype[Any], algorithm: Any) -> call.Call:
    """Choose the algorithm of a problem with padding of zeros."""
    plan: Any
    chosen = "im2col"
    if algorithm in ("auto", "exact"):
        chosen, plan = _cheapest(geometry, work, algorithm)
    elif algorithm != "im2col":
        from numbaconv.adjoint import phases

        chosen, plan = "phases", phases.Plan(geometry, work, algorithm)
    if chosen == "im2col":
        from numbaconv.reference import adjoint

        plan = adjoint.Plan(geometry, work)
    return call.Call(
        geometry, work, work, chosen, {}, plan, geometry.input_shape, False,
        reads="any" if chosen == "im2col" else "contiguous", writes_any=chosen == "im2col",
    )  # fmt: skip


def _cheapest(geometry: ConvGeometry, work: np.dtype[Any], algorithm: str) -> tuple[str, Any]:
    """Return what is estimated to take least, and its plan; None for the reference route."""
    if not emit.supports(work) or native_available() is not None:
        return "im2col", None
    from numbaconv.adjoint import phases, product

    estimate = math.inf
    found: tuple[str, Any] = "im2col", None
    if phases.refusal(geometry) is None:
        plan = phases.Plan(geometry, work, algorithm)
        estimate, found = plan.cost, ("phases", plan)
    for name, route in (("product", product.Columns), ("rows", product.Runs)):
        if route.refusal(geometry, work) is None:
            other = route.cost(geometry, work)
            if other < estimate:
                estimate, found = other, (name, route(geometry, work))
    return found


def _in_boxes(geometry: ConvGeometry, work: np.dtype[Any], algorithm: Any) -> call.Call:
    """Return how an image is computed that is too much work for a launch."""
    boxes = strips.adjoint(
        geometry, call.strip_flops(work), lambda small: _choose(small, work, algorithm)
    )
    return call.Call(
        geometry, work, work, "boxes", {}, strips.Plan(boxes), geometry.input_shape, False,
        writes_any=True,
    )  # fmt: skip
