"""Transposed convolution, and with it the gradient of a convolution with respect to its input.

Both are the adjoint of one `ConvGeometry`: an array of its output shape comes in, one of its input
shape goes out. ``im2col`` is the reference (one GEMM, then col2im); ``phases`` makes it small
convolutions of stride 1; ``padding`` folds back what a padding mode has read twice.
"""

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
    if _takes_reference(geometry, work, algorithm):
        from numbaconv.reference import adjoint

        chosen, plan = "im2col", adjoint.Plan(geometry, work)
    else:
        from numbaconv.adjoint import phases

        chosen, plan = "phases", phases.Plan(geometry, work, algorithm)
    return call.Call(
        geometry, work, work, chosen, {}, plan, geometry.input_shape, False,
        reads="any" if chosen == "im2col" else "contiguous", writes_any=chosen == "im2col",
    )  # fmt: skip


def _in_boxes(geometry: ConvGeometry, work: np.dtype[Any], algorithm: Any) -> call.Call:
    """Return how an image is computed that is too much work for a launch."""
    boxes = strips.adjoint(
        geometry, call.strip_flops(work), lambda small: _choose(small, work, algorithm)
    )
    return call.Call(
        geometry, work, work, "boxes", {}, strips.Plan(boxes), geometry.input_shape, False,
        writes_any=True,
    )  # fmt: skip


def _takes_reference(geometry: ConvGeometry, work: np.dtype[Any], algorithm: str) -> bool:
    """Return whether the reference route runs a problem."""
    if algorithm not in ("auto", "exact"):
        return algorithm == "im2col"
    from numbaconv.adjoint import phases

    return (
        not emit.supports(work)
        or native_available() is not None
        or phases.refusal(geometry) is not None
    )
