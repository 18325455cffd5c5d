"""Winograd's minimal filtering: fewer multiplications for 3x3 and 5x5 kernels of stride 1.

Tiles of the input are transformed, multiplied with transformed weights element by element (one
matrix product over the channels for each of the n x n elements), and transformed back: A. Lavin,
S. Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016, section 4. F(4x4, 3x3)
multiplies 36 times where the direct sum does 144, at an error that its points keep small.

With channels first a lane is a tile (`first`), with channels last a channel (`last`). A `dilated`
convolution is that of each phase of its positions.

An image whose result is not finite somewhere is computed again by the direct route, because a tile
spreads one NaN or infinity over all its outputs. So are all images where weights are not finite,
and what holds nothing but tiny numbers, which the transforms would round to few bits.
"""

from dataclasses import replace
from typing import Any

import numpy as np

from numbaconv.kernels import held
from numbaconv.kernels.jit import native_available
from numbaconv.problem.geometry import ConvGeometry
from numbaconv.routes import cycles
from numbaconv.routes.winograd import dilated, first, last
from numbaconv.routes.winograd.tiling import Tiling

#: What this route is (see `numbaconv.routes.Algorithm`).
EXACT, READS, WRITES_ANY, OWN_PADDING = False, "rows", False, False
# Cycles of any call, and of one that transforms weights.
_CALL, _TRANSFORMING_CALL = 12_000.0, 20_000.0
# Of a weight that is transformed, for each element of its result,
_TRANSFORM_WEIGHT = 0.4
# of a byte of transformed weights that does not fit the cache, and how many bytes that holds.
_STREAM, _WRITTEN = 0.01, 0.1
_CACHE = 1 << 20


def refusal(geometry: ConvGeometry, dtype: np.dtype[Any]) -> str | None:
    """Return why this route cannot run the problem, or None."""
    window = geometry.window
    if dtype != np.float32:
        return f"it computes in float32 only, not in {dtype}"
    if window.ndim == 3:
        return "it takes one or two spatial axes"
    if geometry.groups > 1:
        return f"it takes no groups, got groups={geometry.groups}"
    if any(s != 1 for s in window.stride):
        return "it needs stride 1"
    if any(k not in (1, 3, 5) for k in window.kernel) or window.taps == 1:
        return f"it takes kernels of 3 or 5 along an axis (or 1 along one), got {window.kernel}"
    if _is_dilated(geometry) and (reason := dilated.refusal(geometry)) is not None:
        return reason
    found = plan(replace(geometry, batch=max(geometry.batch, 1)), dtype).refusal
    return found or native_available()


def _is_dilated(geometry: ConvGeometry) -> bool:
    return max(dilated.dilation_of(geometry)) > 1


@held.shared
def plan(geometry: ConvGeometry, dtype: np.dtype[Any]) -> Tiling | dilated.Plan:
    """Return the plan of a problem."""
    if _is_dilated(geometry):
        return dilated.Plan(geometry)
    return last.Plan(geometry) if geometry.channels_last else first.Plan(geometry)


def cost(geometry: ConvGeometry, dtype: np.dtype[Any], *, prepared: bool) -> float:
    """Return the estimated cycles of one core; `prepared` leaves the packing of weights out."""
    this = plan(geometry, dtype)
    if isinstance(this, dilated.Plan):
        copied = dilated.COPY * geometry.batch * (this.elements + this.results)
        return dilated.SMALL * _cost(this.inner, prepared) + copied
    return _cost(this, prepared)


def _cost(this: Tiling, prepared: bool) -> float:
    rows, n = this.blocks * this.rows, this.elements
    total = this.cycles(cycles.MULTIPLY["f4"], cycles.TILE)
    nbytes = rows * this.channels * n * 4
    if nbytes > _CACHE:
        total += nbytes * _STREAM
    if prepared:
        return float(_CALL + total)
    written = nbytes * _WRITTEN if nbytes > 8 * _CACHE else 0.0
    transformed = rows * this.channels * n * _TRANSFORM_WEIGHT
    return float(_TRANSFORMING_CALL + total + transformed + written)
