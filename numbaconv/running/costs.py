"""What each algorithm costs: the model that ``algorithm="auto"`` chooses by.

An estimate counts cycles of one core: vector multiply-adds at two a cycle, elements moved, bytes of
weights that come from beyond the L2 cache, and calls. It knows shapes, dtype, layout and CPU, and
never the number of threads. The constants were fitted by ``benchmarks/calibrate.py``, which also
measures the regret (time of the chosen algorithm over that of the best).
"""

import math
from typing import Any

import numpy as np

from numbaconv import routes
from numbaconv.native import isa
from numbaconv.problem.geometry import ConvGeometry, three_axes

# Cycles: of one vector multiply-add, by kind of element ...
_MULTIPLY = {"f4": 0.56, "f8": 0.56, "i1": 1.7, "i2": 0.85, "i4": 1.3, "i8": 4.0}
# ... of a call of a register tile, of an element that direct copies, of one that is transposed,
_TILE = 60.0
_COPY = 0.25
_TRANSPOSE = 0.6
# of a weight that is packed, and of one that is transformed, for each element of its result,
_PACK = 0.45
_TRANSFORM_WEIGHT = 0.85
# of a tile's elements in and out of Winograd's domain, a lane,
_TRANSFORM_IN = 0.4
_TRANSFORM_OUT = 0.5
# of a byte of transformed weights that does not fit the cache,
_STREAM = 0.1
# of a tap of a vector that depthwise sums, of a plane, of a byte of its input and output,
_SUM = 0.8
_PLANE = 100.0
_BYTE = 0.08
# of any call, in which the reference takes part with its column matrix and np.dot.
_CALL = {"im2col": 200_000.0, "direct": 20_000.0, "winograd": 24_000.0, "depthwise": 8_000.0,
         "fft": 300_000.0}  # fmt: skip
_REFERENCE = 2.0
_PRODUCT = 3000.0
_CACHE = 1 << 20


def estimate(name: str, geometry: ConvGeometry, dtype: np.dtype[Any], *, prepared: bool) -> float:
    """Return the estimated cycles of one core; `prepared` leaves the packing of weights out."""
    work = {
        "im2col": _im2col, "direct": _direct, "winograd": _winograd, "depthwise": _depthwise,
        "fft": _fft,
    }[name](geometry, dtype, prepared)  # fmt: skip
    return _CALL[name] + work


def choose(
    request: str, geometry: ConvGeometry, dtype: np.dtype[Any], *, prepared: bool
) -> tuple[str, dict[str, float]]:
    """Return the algorithm for a request, and the estimates of all that could run.

    Raises ValueError if the one that is asked for cannot run.
    """
    refused = routes.refusals(geometry, dtype)
    if request in routes.NAMES and refused[request] is not None:
        raise ValueError(f"algorithm={request!r} cannot run this problem: {refused[request]}")
    costs = {
        name: estimate(name, geometry, dtype, prepared=prepared)
        for name, reason in refused.items()
        if reason is None
    }
    if request in routes.NAMES:
        return request, costs
    allowed = {name: costs[name] for name in costs if may_choose(request, name, dtype)}
    return min(allowed, key=allowed.__getitem__), costs


def may_choose(request: str, name: str, dtype: np.dtype[Any]) -> bool:
    """Return whether "auto" or "exact" may choose an algorithm.

    The error of "fft" is bounded by norms, so in double precision small results beside large ones
    would be wrong.
    """
    if name in routes.EXACT:
        return True
    return request == "auto" and (name != "fft" or dtype in (np.float32, np.complex64))


def _weights(geometry: ConvGeometry) -> int:
    return geometry.out_channels * geometry.patch_size


def _vectors(geometry: ConvGeometry, lanes: int) -> float:
    """Return the vectors of output positions of one channel of the batch."""
    *_, width = geometry.window.output
    rows = geometry.window.positions // max(width, 1)
    flat = math.ceil(geometry.window.positions / lanes)
    return geometry.batch * min(flat * 1.02, rows * math.ceil(width / lanes))


def _direct(geometry: ConvGeometry, dtype: np.dtype[Any], prepared: bool) -> float:
    from numbaconv.routes.direct.cut import tile_shape

    lanes = isa.host().lanes(dtype)
    outputs = geometry.out_channels // geometry.groups
    channels = geometry.in_channels // geometry.groups
    rows, wide = tile_shape(outputs, lanes)
    blocks = geometry.groups * math.ceil(outputs / rows)
    vectors = _vectors(geometry, lanes)
    multiply = _MULTIPLY[dtype.str[1:]]
    cycles = vectors * blocks * (rows * geometry.patch_size * multiply + _TILE / wide + 4 * rows)
    kernel = three_axes(geometry.window.kernel, 1)
    positions = geometry.batch * geometry.window.positions
    if not geometry.window.is_pointwise:
        cycles += positions * geometry.in_channels * kernel[0] * kernel[2] * _COPY
        cycles += geometry.batch * geometry.groups * (400 + 30 * channels)
    if geometry.channels_last:
        cycles += (
            positions * (geometry.in_channels * kernel[2] + geometry.out_channels) * _TRANSPOSE
        )
    return cycles if prepared else cycles + _weights(geometry) * _PACK


def _winograd(geometry: ConvGeometry, dtype: np.dtype[Any], prepared: bool) -> float:
    from numbaconv.routes.winograd.plan import plan

    this = plan(geometry, dtype)
    lanes = this.lanes
    tiles = geometry.batch * this.down * this.across
    panels = math.ceil(tiles / this.panel)
    padded = panels * this.panel / lanes
    rows = this.blocks * this.rows
    n = this.elements
    multiply = _MULTIPLY["f4"]
    cycles = padded * rows * this.channels * n * multiply + panels * this.blocks * n * _TILE
    cycles += padded * this.channels * n * _TRANSFORM_IN * 16
    cycles += padded * this.outputs * n * _TRANSFORM_OUT * 16
    nbytes = rows * this.channels * n * 4
    if nbytes > _CACHE:
        cycles += nbytes * _STREAM
    if prepared:
        return cycles
    written = nbytes * _STREAM if nbytes > 8 * _CACHE else 0.0
    return cycles + rows * this.channels * n * _TRANSFORM_WEIGHT + written


def _depthwise(geometry: ConvGeometry, dtype: np.dtype[Any], prepared: bool) -> float:
    lanes = isa.host().lanes(dtype)
    *_, width = geometry.window.output
    rows = geometry.batch * geometry.window.positions // max(width, 1)
    multiply = _MULTIPLY[dtype.str[1:]] / _MULTIPLY["f4"]
    if geometry.channels_last:
        vectors = rows * width * math.ceil(geometry.out_channels / lanes)
    else:
        vectors = rows * math.ceil(width / lanes) * geometry.out_channels
    sums = _SUM if geometry.window.taps <= 49 else 2 * _SUM
    nbytes = rows * width * geometry.out_channels * dtype.itemsize
    planes = geometry.batch * geometry.out_channels * _PLANE
    return vectors * (geometry.patch_size * sums * multiply + 4) + nbytes * _BYTE + planes


def _im2col(geometry: ConvGeometry, dtype: np.dtype[Any], prepared: bool) -> float:
    lanes = isa.host().nbytes / dtype.itemsize
    factor = {"f": 1.0, "c": 4.0}.get(dtype.kind, 8.0)
    columns = geometry.batch * geometry.window.positions * geometry.patch_size * geometry.groups
    products = geometry.batch * geometry.groups * _PRODUCT
    return _REFERENCE * (geometry.flops / 4 / lanes * factor + columns * _COPY) + products


def _fft(geometry: ConvGeometry, dtype: np.dtype[Any], prepared: bool) -> float:
    from numbaconv.routes.fft import plan

    this = plan(geometry, dtype)
    points = math.prod(this.block)
    transform = points * math.log2(points) * 4.0
    blocks = geometry.batch * this.blocks
    products = points * geometry.out_channels * geometry.in_channels / geometry.groups * 2.5
    cycles = blocks * ((geometry.in_channels + geometry.out_channels) * transform + products)
    pairs = geometry.out_channels * geometry.in_channels / geometry.groups
    return cycles if prepared else cycles + pairs * transform
