"""Winograd's minimal filtering: fewer multiplications for 3x3 and 5x5 kernels of stride 1.

Tiles of the input are transformed, multiplied with transformed weights element by element (one
matrix product over the channels for each of the n x n elements), and transformed back: A. Lavin,
S. Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016, section 4. F(4x4, 3x3)
multiplies 36 times where the direct sum does 144, at an error that `toomcook` keeps small.

All stages of a block of tiles are fused in one worker's cache; where tiles are few, the transformed
input is shared, and workers share the output channels. A tile's result does not depend on where it
lies in a block, nor on its neighbours.

An image whose result is not finite somewhere is computed again by the direct route, because a tile
spreads one NaN or infinity over all its outputs. So are all images where weights are not finite,
and what holds nothing but tiny numbers, which the transforms would round to few bits.
"""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from numbaconv.kernels import held, recording, threads, workspace
from numbaconv.kernels.jit import native_available
from numbaconv.native import isa
from numbaconv.native.rows import copier
from numbaconv.native.tile import tile
from numbaconv.native.transpose import kernel_packer, transposer
from numbaconv.native.winograd import input_transform, output_transform, weight_transform
from numbaconv.problem.arrays import Array, address
from numbaconv.problem.geometry import ConvGeometry
from numbaconv.routes import cycles
from numbaconv.routes.direct import places
from numbaconv.routes.direct import plan as direct
from numbaconv.routes.winograd import loops
from numbaconv.routes.winograd.stages import Shape
from numbaconv.running.packed import Packed
from numbaconv.teams import jobs

#: What this route is (see `numbaconv.routes.Algorithm`).
EXACT, READS, WRITES_ANY, OWN_PADDING = False, "rows", False, False
# Cycles of any call.
_CALL = 24_000.0
# Of a weight that is transformed, for each element of its result,
_TRANSFORM_WEIGHT = 0.85
# of a tile's elements in and out of Winograd's domain, a lane,
_TRANSFORM_IN = 0.4
_TRANSFORM_OUT = 0.5
# of a byte of transformed weights that does not fit the cache, and how many bytes that holds.
_STREAM = 0.1
_CACHE = 1 << 20

# Bytes of transformed tiles in a worker's cache, and of those that all workers share at once.
_OWN_BYTES = 1 << 20
_SHARED_BYTES = 1 << 24
_MOST_PANEL_BYTES = 1 << 24
_PRODUCT_BYTES = 3 << 19
# Lanes that may be empty, as a share of the tiles, before narrow panels are better.
_MOST_EMPTY = 0.15
_ITEM = 4
# Numbers of images and workers, and strides, for which a plan keeps its tables.
_MOST_SCHEDULES = 4
_FLOAT = np.dtype(np.float32)


def refusal(geometry: ConvGeometry, dtype: np.dtype[Any]) -> str | None:
    """Return why this route cannot run the problem, or None."""
    window = geometry.window
    if dtype != np.float32:
        return f"it computes in float32 only, not in {dtype}"
    if geometry.channels_last:
        return "it takes channels first only"
    if window.ndim == 3:
        return "it takes one or two spatial axes"
    if geometry.groups > 1:
        return f"it takes no groups, got groups={geometry.groups}"
    if any(s != 1 for s in window.stride) or any(d != 1 for d in window.dilation):
        return "it needs stride 1 and dilation 1"
    if any(k not in (1, 3, 5) for k in window.kernel) or window.taps == 1:
        return f"it takes kernels of 3 or 5 along an axis (or 1 along one), got {window.kernel}"
    this = plan(replace(geometry, batch=max(geometry.batch, 1)), dtype)
    if this.panel_bytes > _MOST_PANEL_BYTES:
        return f"the transformed tiles of {geometry.in_channels} channels would not fit"
    if 4 * (this.n[0] + this.m[0]) * this.across * this.m[1] * _ITEM > _MOST_PANEL_BYTES:
        return f"rows of {this.output[1]} outputs would not fit its buffers"
    return native_available()


def tile_outputs(geometry: ConvGeometry) -> tuple[int, int]:
    """Return the outputs of a tile, (tall, wide): F(4, 3) on large maps, F(2, 3) on small ones."""
    tall, wide = (1, *geometry.window.output)[-2:]
    kernel = (1, *geometry.window.kernel)[-2:]
    return _outputs_along(tall, wide, kernel[0], kernel), _outputs_along(
        wide, tall, kernel[1], kernel
    )


def _outputs_along(size: int, other: int, taps: int, kernel: tuple[int, ...]) -> int:
    if taps == 1:
        return 1
    if taps == 5:
        return 2
    # Beside a 5 only the same n = 6 is worthwhile.
    small = max(size, other) <= 8 and size <= 8
    return 2 if small and 5 not in kernel else 4


class Plan:
    """Everything that follows from a geometry.

    Parameters
    ----------
    geometry : ConvGeometry
        The problem; its batch does not matter.
    """

    replayable = True

    def __init__(self, geometry: ConvGeometry) -> None:
        self.geometry = geometry
        window = geometry.window
        self.kernel = (1, *window.kernel)[-2:]
        self.size = (1, *window.size)[-2:]
        self.output = (1, *window.output)[-2:]
        low = ((0, 0), *window.padding)[-2:]
        self.low = low[0][0], low[1][0]
        self.m = tile_outputs(geometry)
        self.n = self.m[0] + self.kernel[0] - 1, self.m[1] + self.kernel[1] - 1
        self.elements = self.n[0] * self.n[1]
        self.channels, self.outputs = geometry.in_channels, geometry.out_channels
        self.work = self.outputs * self.output[0] * self.output[1] * self.channels
        self.strides = places.contiguous_strides(geometry, _ITEM)
        self.lanes = isa.host().lanes(np.dtype(np.float32))
        self.down = -(-self.output[0] // self.m[0])
        self.across = -(-self.output[1] // self.m[1])
        tiles = geometry.batch * self.down * self.across
        wide, narrow = isa.host().tile, isa.host().narrow
        # A narrow register tile where a wide panel would be half empty.
        empty = -tiles % (wide[1] * self.lanes) / tiles
        most, self.vectors = narrow if empty > _MOST_EMPTY else wide
        self.blocks = -(-self.outputs // most)
        self.rows = -(-self.outputs // self.blocks)
        self.panel = self.vectors * self.lanes
        # Panels and strides that are no multiples of a page, so that their lines do not collide.
        self.weight_xi = _aligned(self.channels * self.rows * _ITEM) + 64
        self.weight_block = _aligned(self.elements * self.weight_xi)
        self.xi_stride = self.channels * self.panel * _ITEM + 64
        self.panel_bytes = _aligned(self.elements * self.xi_stride) + 64
        self.no_bias = np.zeros(self.blocks * self.rows, np.float32)
        self.schedules: dict[Any, tuple[Any, ...]] = {}

    @property
    def pack_key(self) -> tuple[Any, ...]:
        """The tile's outputs, and the rows of the register tile."""
        return self.m, self.rows

    @property
    def packed_nbytes(self) -> int:
        """The size of transformed weights."""
        return self.blocks * self.weight_block

    def pack(self, weight: Array, bias: Array | None, parallel: bool, *, keep: bool) -> Packed:
        """Return transformed weights, as panels for each element of a tile."""
        return self._pack(loops.pack, transposer(_FLOAT), weight, bias, parallel, keep)

    def pack_flipped(
        self, weight: Array, bias: Array | None, parallel: bool, *, keep: bool,
        flip: Callable[[Array], Array],
    ) -> Packed:  # fmt: skip
        """Do the same from ``(C, O, *kernel)``, with each kernel flipped, as `flip` does it."""
        packer = kernel_packer(self.rows, _FLOAT)
        packed = self._pack(loops.pack_flipped, packer, weight, bias, parallel, keep)
        return packed._replace(adapt=flip)

    def _pack(
        self, kernel: jobs.TeamKernel, packer: int, weight: Array, bias: Array | None,
        parallel: bool, keep: bool,
    ) -> Packed:  # fmt: skip
        nbytes = self.packed_nbytes
        space = workspace.Workspace(nbytes) if keep else workspace.take(nbytes)
        taps = self.kernel[0] * self.kernel[1]
        panel = _aligned((self.channels * taps * self.rows + 64) * _ITEM)
        workers = jobs.team_size(self.blocks, work=weight.size * 8, parallel=parallel)
        memory = workspace.take(workers * panel)
        flipped = kernel is loops.pack_flipped
        more = (threads.tables(workers, 2, taps + self.lanes),) if flipped else ()
        jobs.run(
            kernel, workers, address(weight), space.address, memory.address, panel,
            self.blocks, self.rows, self.outputs, self.channels, taps, self.weight_block,
            self.weight_xi, packer,
            weight_transform(self.m[0], self.kernel[0], self.m[1], self.kernel[1]), *more,
        )  # fmt: skip
        workspace.give_back(memory)
        padded = self.no_bias if bias is None else bias
        alive = (space, padded)
        return Packed(weight, bias, space.address, address(padded), alive, None if keep else space)

    def run(self, x: Array, packed: Packed, out: Array, parallel: bool) -> None:
        """Write the convolution to `out`; images whose result is not finite go the direct way."""
        images = len(x)
        workers = jobs.team_size(1 << 30, work=images * self.work, parallel=parallel)
        plain = x.flags.c_contiguous
        strides = self.strides if plain else places.byte_strides(x, self.geometry)
        nbytes, shared, kept, *tables, alive = self.schedule(images, workers, strides)
        space, scratch = workspace.take(nbytes * workers + shared), kept.take(workers)
        counter, *worker_tables = scratch
        jobs.run(
            loops.convolve_shared if shared else loops.convolve, workers, images,
            address(x), packed.address,
            packed.bias_address, address(out), space.address,
            space.address + nbytes * workers, counter, *tables, *worker_tables,
        )  # fmt: skip
        good = not counter[1]
        if recording.active:
            recording.keep(alive, constants=(self.no_bias,), check=counter[1:])
        workspace.give_back(space)
        kept.give_back(scratch)
        if not good:
            recording.refuse()
            self._repair(x, packed, out, parallel)

    def _repair(self, x: Array, packed: Packed, out: Array, parallel: bool) -> None:
        """Compute images again whose result is not finite somewhere, and those that are tiny."""
        exact = direct.plan(self.geometry, np.dtype(np.float32))
        panels = exact.pack(packed.plain_weight, packed.bias, parallel, keep=False)
        tiny = _is_tiny(packed.weight)
        for n in range(len(x)):
            if tiny or _is_tiny(x[n]) or not np.isfinite(out[n]).all():
                exact.run(x[n : n + 1], panels, out[n : n + 1], parallel)
        panels.release()

    def workspace_nbytes(self, images: int, workers: int) -> int:
        """Return the memory that `run` borrows."""
        nbytes, shared, *_ = self.schedule(images, workers, self.strides)
        return int(nbytes * workers + shared)

    def schedule(self, images: int, workers: int, strides: tuple[int, ...]) -> tuple[Any, ...]:
        """Return (bytes a worker, bytes shared, and the tables of `loops.convolve`)."""
        key = images, workers, strides
        found = self.schedules.get(key)
        if found is None:
            if len(self.schedules) >= _MOST_SCHEDULES:
                self.schedules.clear()
            found = self.schedules[key] = self._schedule(images, workers, strides)
            held.grew(found)
        return found

    def _schedule(self, images: int, workers: int, strides: tuple[int, ...]) -> tuple[Any, ...]:
        panels = -(-images * self.down * self.across // self.panel)
        block, cuts, shared, group, channel_cuts = _cut(self, panels, workers)
        product_bytes = block * self.elements * self.rows * self.panel * _ITEM
        out_group = 1
        if block * self.panel_bytes > _OWN_BYTES:
            # The transformed tiles do not fit: read them once for several output blocks.
            share = -(-self.blocks // cuts)
            groups = -(-share * product_bytes // _PRODUCT_BYTES)
            out_group = -(-share // groups)
        tiles = block * self.panel
        whole = all(o % m == 0 for o, m in zip(self.output, self.m, strict=True))
        # A block's tiles come from so many images, each with a halo above and below.
        per_image = self.down * self.across
        runs = 2 + -(-tiles // per_image)
        tile_rows = -(-tiles // self.across) + 2 * runs
        in_rows = tile_rows * self.m[0] + runs * self.n[0]
        pitch = (self.across * self.m[1] + self.n[1]) * _ITEM
        pitch = -(-pitch // 16) * 16
        out_pitch = (self.output[1] if whole else self.across * self.m[1]) * _ITEM
        own_tiles = 0 if shared else block * self.panel_bytes
        products = _aligned(out_group * product_bytes) + 64
        buffer = _aligned(in_rows * pitch + 256)
        out_buffer = 0 if whole else _aligned(tile_rows * self.m[0] * out_pitch + 256)
        products_at = _aligned(own_tiles) + 64
        buffer_at = products_at + products
        out_at = buffer_at + buffer
        shape = Shape(
            lanes=self.lanes, tile_rows=self.rows, panel=self.panel, block=block,
            channels=self.channels, outputs=self.outputs, out_blocks=self.blocks,
            out_group=out_group, cuts=cuts,
            channel_cuts=channel_cuts, shared=int(shared), group=group, n_tall=self.n[0],
            n_wide=self.n[1], m_tall=self.m[0], m_wide=self.m[1], across=self.across,
            down=self.down, height=self.size[0], width=self.size[1], out_height=self.output[0],
            out_width=self.output[1], low_height=self.low[0], low=self.low[1],
            high=self.low[1] + self.size[1], pitch=pitch, x_image=strides[0],
            x_channel=strides[1], x_row=strides[3], whole=int(whole), out_pitch=out_pitch,
            xi_stride=self.xi_stride, panel_bytes=self.panel_bytes, weight_xi=self.weight_xi,
            weight_block=self.weight_block, tiles_offset=0, products_offset=products_at,
            buffer_offset=buffer_at, out_offset=out_at,
            worker_bytes=_aligned(out_at + out_buffer) + 64,
        )  # fmt: skip
        float32 = np.dtype(np.float32)
        zeros = np.zeros(self.rows)
        rows = np.arange(tile_rows * self.m[0] + 8, dtype=np.int64) * out_pitch
        natives = np.array(
            [
                copier(1, float32),
                input_transform(*self.n),
                tile(self.rows, self.vectors, float32, masked=False, terms=self.channels),
                output_transform(self.m[0], self.kernel[0], self.m[1], self.kernel[1]),
                copier(1, float32, exact=True),
                zeros.ctypes.data,
                rows.ctypes.data,
            ],
            np.int64,
        )
        offsets = np.arange(self.channels + 32, dtype=np.int64) * self.panel * _ITEM
        return (
            shape.worker_bytes,
            group * block * self.panel_bytes if shared else 0,
            threads.Scratch(2, (3, max(in_rows, tiles) + self.panel), (runs + 1, 5)),
            np.array(shape, np.int64), natives, offsets,
            (zeros, rows),
        )  # fmt: skip


def _is_tiny(array: Array) -> bool:
    """Return whether an array's largest number is not zero, and tiny."""
    return bool(0 < np.abs(array).max() < loops.TINY)


def _aligned(nbytes: int) -> int:
    return -(-nbytes // 64) * 64


def _cut(plan: Plan, panels: int, workers: int) -> tuple[int, int, bool, int, int]:
    """Return (panels a block, output cuts, shared?, blocks a group, channel cuts)."""
    fits = max(1, _OWN_BYTES // plan.panel_bytes)
    block = min(fits, 2, max(1, panels // (2 * workers)))
    if workers == 1 or panels // block >= 3 * workers:
        return block, 1, False, 1, 1
    # Few tiles: all of them at once, so that each weight is read once.
    block = max(1, min(panels, _SHARED_BYTES // plan.panel_bytes, 8))
    group = max(1, min(-(-panels // block), _SHARED_BYTES // (block * plan.panel_bytes)))
    cuts = min(plan.blocks, 4 * workers)
    return block, cuts, True, group, min(plan.channels, 2 * workers)


@held.shared
def plan(geometry: ConvGeometry, dtype: np.dtype[Any]) -> Plan:
    """Return the plan of a problem."""
    return Plan(geometry)


def cost(geometry: ConvGeometry, dtype: np.dtype[Any], *, prepared: bool) -> float:
    """Return the estimated cycles of one core; `prepared` leaves the packing of weights out."""
    this = plan(geometry, dtype)
    lanes = this.lanes
    tiles = geometry.batch * this.down * this.across
    panels = math.ceil(tiles / this.panel)
    padded = panels * this.panel / lanes
    rows = this.blocks * this.rows
    n = this.elements
    multiply = cycles.MULTIPLY["f4"]
    total = padded * rows * this.channels * n * multiply + panels * this.blocks * n * cycles.TILE
    total += padded * this.channels * n * _TRANSFORM_IN * 16
    total += padded * this.outputs * n * _TRANSFORM_OUT * 16
    nbytes = rows * this.channels * n * 4
    if nbytes > _CACHE:
        total += nbytes * _STREAM
    if prepared:
        return float(_CALL + total)
    written = nbytes * _STREAM if nbytes > 8 * _CACHE else 0.0
    return float(_CALL + total + rows * this.channels * n * _TRANSFORM_WEIGHT + written)
