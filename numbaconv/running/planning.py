"""How a problem is computed: by which algorithm, and in boxes where an image is huge."""

from dataclasses import replace
from typing import Any

import numpy as np

from numbaconv import routes
from numbaconv.problem import arguments
from numbaconv.problem.geometry import ConvGeometry
from numbaconv.running import alike, choice, strips
from numbaconv.running.call import Call, is_huge, strip_flops, without_mode, work_dtype


def choose(
    geometry: ConvGeometry,
    result: np.dtype[Any],
    algorithm: Any,
    prepared: bool = False,
    *,
    cut: bool = True,
) -> Call:
    """Choose the algorithm of a problem whose result has this dtype.

    A huge image is `cut` into boxes.
    """
    arguments.choice(algorithm, "algorithm", ("auto", "exact", *routes.names()))
    work = work_dtype(result)
    shape = geometry.output_shape
    arguments.check_addressable(shape, result)
    empty = 0 in shape or geometry.patch_size == 0
    if empty:
        _check_empty(algorithm, geometry, work)
        chosen, estimates = "im2col", {"im2col": 0.0}
    else:
        seen = alike.with_channels_first(geometry)
        chosen, estimates = choice.choose(algorithm, seen, work, prepared=prepared)
    route = routes.load(chosen)
    inner = geometry if route.OWN_PADDING else without_mode(geometry)
    pads = inner is not geometry
    if pads and not empty and not is_huge(geometry, work) and strips.framing_pays(geometry):
        frame = strips.FramedPlan(geometry, lambda small: _as_the_whole(small, work, chosen))
        return Call(
            geometry, result, work, chosen, estimates, frame, shape, empty, reads=route.READS
        )  # fmt: skip
    if cut and not empty and is_huge(geometry, work):
        pads, plan = geometry.window.padding_mode != "zeros", _in_boxes(geometry, result, chosen)
        return Call(
            geometry, result, work, chosen, estimates, plan, shape, empty, pads=pads,
            writes_any=True,
        )  # fmt: skip
    first = alike.with_channels_first(inner)
    if chosen != "im2col" and first is not inner:
        plan = alike.Plan(first, work, route.plan)
        reads = alike.READS
    else:
        plan, reads = route.plan(inner, work), route.READS
    return Call(
        geometry, result, work, chosen, estimates, plan, shape, empty, reads=reads, pads=pads,
        writes_any=route.WRITES_ANY,
    )  # fmt: skip


def _in_boxes(geometry: ConvGeometry, result: np.dtype[Any], algorithm: str) -> routes.Plan:
    """Return the plan of an image that is computed box by box."""
    work = work_dtype(result)

    def chosen(small: ConvGeometry) -> Call:
        return _as_the_whole(small, work, algorithm)

    return strips.Plan(strips.forward(without_mode(geometry), strip_flops(work), chosen))


def _as_the_whole(small: ConvGeometry, work: np.dtype[Any], algorithm: str) -> Call:
    """Return how a part is computed: as the whole, unless it is too small for that."""
    try:
        return choose(small, work, algorithm, cut=False)
    except ValueError:
        return choose(small, work, "exact", cut=False)


def _check_empty(algorithm: str, geometry: ConvGeometry, work: np.dtype[Any]) -> None:
    """Refuse what a named algorithm would refuse of the same problem with an image in it."""
    if algorithm in routes.names() and geometry.out_channels and geometry.patch_size:
        one = replace(geometry, batch=1)
        if 0 not in one.output_shape:
            choice.choose(algorithm, one, work, prepared=False)
