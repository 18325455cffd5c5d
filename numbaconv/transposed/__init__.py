"""Transposed convolution, and with it the gradient of a convolution with respect to its input.

Both are the adjoint of one `ConvGeometry`: an array of its output shape comes in, one of its input
shape goes out. ``im2col`` is the reference (one GEMM, then col2im); ``phases`` makes it small
convolutions of stride 1; ``padding`` folds back what a padding mode has read twice.
"""

from typing import Any

import numpy as np

from numbaconv import arguments, call, routes
from numbaconv.geometry import ConvGeometry
from numbaconv.jit import native_available
from numbaconv.native import emit


def resolve(geometry: ConvGeometry, dtype: np.dtype[Any], algorithm: Any) -> call.Call:
    """Choose the algorithm of a problem whose result has this dtype."""
    arguments.choice(algorithm, "algorithm", ("auto", "exact", *routes.NAMES))
    work = call.work_dtype(dtype)
    shape = geometry.input_shape
    arguments.check_addressable(shape, dtype, "this padding")
    empty = 0 in shape or geometry.out_channels == 0 or geometry.window.positions == 0
    inner = call.without_mode(geometry)
    plan: Any
    if empty or _takes_reference(inner, work, algorithm):
        from numbaconv.transposed import im2col

        chosen, plan = "im2col", im2col.Plan(inner, work)
    else:
        from numbaconv.transposed import phases

        chosen, plan = "phases", phases.Plan(inner, work, algorithm)
    if inner is not geometry:
        from numbaconv.transposed import padding

        plan = padding.Plan(geometry, plan, work)
    reads: Any = "any" if chosen == "im2col" else "contiguous"
    return call.Call(geometry, dtype, work, chosen, {}, plan, shape, empty, reads=reads)


def _takes_reference(geometry: ConvGeometry, work: np.dtype[Any], algorithm: str) -> bool:
    """Return whether the reference route runs a problem."""
    if algorithm not in ("auto", "exact"):
        return algorithm == "im2col"
    from numbaconv.transposed import phases

    return (
        not emit.supports(work)
        or native_available() is not None
        or phases.refusal(geometry) is not None
    )
