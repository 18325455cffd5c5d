"""Winograd convolution with channels first: the plan.

All stages of a block of tiles are fused in one worker's cache; where tiles are few, the transformed
input is shared, and workers share the output channels. A tile's result does not depend on where it
lies in a block, nor on its neighbours.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from numbaconv.kernels import recording, threads, workspace
from numbaconv.native import isa
from numbaconv.native.rows import copier
from numbaconv.native.tile import tile
from numbaconv.native.transpose import kernel_packer, transposer
from numbaconv.native.winograd import input_transform, output_transform
from numbaconv.problem.arrays import Array, address
from numbaconv.problem.geometry import ConvGeometry
from numbaconv.routes.direct import places
from numbaconv.routes.winograd import loops
from numbaconv.routes.winograd.stages import Shape
from numbaconv.routes.winograd.tiling import FLOAT, ITEM, Tiling, aligned
from numbaconv.running.packed import Packed
from numbaconv.teams import jobs

# Cycles of a vector of tiles' elements into Winograd's domain and back, along two axes, for tiles
# of the largest results; and along one axis.
_TRANSFORM_IN, _TRANSFORM_OUT, _LARGEST = 8.0, 8.0, 4
_TRANSFORM_LINE = 17.0
# Bytes of transformed tiles in a worker's cache, and of those that all workers share at once.
_OWN_BYTES = 1 << 20
_SHARED_BYTES = 1 << 24
_MOST_PANEL_BYTES = 1 << 24
_PRODUCT_BYTES = 3 << 19
# Lanes that may be empty, as a share of the tiles, before narrow panels are better.
_MOST_EMPTY = 0.15


class Plan(Tiling):
    """Everything that follows from a geometry.

    Parameters
    ----------
    geometry, tile
        As of `Tiling`.
    """

    def __init__(self, geometry: ConvGeometry, tile: tuple[int, int] | None = None) -> None:
        super().__init__(geometry, tile)
        tiles = geometry.batch * self.down * self.across
        wide, narrow = isa.host().tile, isa.host().narrow
        # A narrow register tile where a wide panel would be half empty.
        empty = -tiles % (wide[1] * self.lanes) / tiles
        most, self.vectors = narrow if empty > _MOST_EMPTY else wide
        self.blocks = -(-self.outputs // most)
        self.rows = -(-self.outputs // self.blocks)
        self.panel = self.vectors * self.lanes
        # Panels and strides that are no multiples of a page, so that their lines do not collide.
        self.weight_xi = aligned(self.channels * self.rows * ITEM) + 64
        self.weight_block = aligned(self.elements * self.weight_xi)
        self.xi_stride = self.channels * self.panel * ITEM + 64
        self.panel_bytes = aligned(self.elements * self.xi_stride) + 64
        self.no_bias = np.zeros(self.blocks * self.rows, np.float32)

    @property
    def refusal(self) -> str | None:
        """Why the buffers of this problem would be too large, or None."""
        if self.panel_bytes > _MOST_PANEL_BYTES:
            return f"the transformed tiles of {self.channels} channels would not fit"
        if 4 * (self.n[0] + self.m[0]) * self.across * self.m[1] * ITEM > _MOST_PANEL_BYTES:
            return f"rows of {self.output[1]} outputs would not fit its buffers"
        return None

    def cycles(self, multiply: float, tile: float) -> float:
        """Return the estimated cycles of all but the weights' transform."""
        panels = math.ceil(self.geometry.batch * self.down * self.across / self.panel)
        padded = panels * self.panel / self.lanes
        rows, n = self.blocks * self.rows, self.elements
        total = padded * rows * self.channels * n * multiply + panels * self.blocks * n * tile
        line = min(self.kernel) == 1
        back = _TRANSFORM_OUT * max(self.m) / _LARGEST
        into, back = (_TRANSFORM_LINE,) * 2 if line else (_TRANSFORM_IN, back)
        return total + padded * n * (self.channels * into + self.outputs * back)

    def pack(self, weight: Array, bias: Array | None, parallel: bool, *, keep: bool) -> Packed:
        """Return transformed weights, as panels for each element of a tile."""
        return self.packed(loops.pack, transposer(FLOAT), weight, bias, parallel, keep)

    def pack_flipped(
        self, weight: Array, bias: Array | None, parallel: bool, *, keep: bool,
        flip: Callable[[Array], Array],
    ) -> Packed:  # fmt: skip
        """Do the same from ``(C, O, *kernel)``, with each kernel flipped, as `flip` does it."""
        packed = self.packed(
            loops.pack_flipped, kernel_packer(self.rows, FLOAT), weight, bias, parallel, keep,
            lambda workers: threads.tables(workers, 2, self.taps + self.lanes),
        )  # fmt: skip
        return packed._replace(adapt=flip)

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
            self.repair(x, packed, out, parallel)

    def make_schedule(self, images: int, workers: int, strides: tuple[int, ...]) -> tuple[Any, ...]:
        """Return (bytes a worker, bytes shared, scratch, and the tables of `loops.convolve`)."""
        panels = -(-images * self.down * self.across // self.panel)
        block, cuts, shared, group, channel_cuts = _cut(self, panels, workers)
        product_bytes = block * self.elements * self.rows * self.panel * ITEM
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
        pitch = (self.across * self.m[1] + self.n[1]) * ITEM
        pitch = -(-pitch // 16) * 16
        out_pitch = (self.output[1] if whole else self.across * self.m[1]) * ITEM
        own_tiles = 0 if shared else block * self.panel_bytes
        products = aligned(out_group * product_bytes) + 64
        buffer = aligned(in_rows * pitch + 256)
        out_buffer = 0 if whole else aligned(tile_rows * self.m[0] * out_pitch + 256)
        products_at = aligned(own_tiles) + 64
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
            worker_bytes=aligned(out_at + out_buffer) + 64,
        )  # fmt: skip
        zeros = np.zeros(self.rows)
        rows = np.arange(tile_rows * self.m[0] + 8, dtype=np.int64) * out_pitch
        natives = np.array(
            [
                copier(1, FLOAT),
                input_transform(*self.n),
                tile(self.rows, self.vectors, FLOAT, masked=False, terms=self.channels),
                output_transform(*self.transform_sizes),
                copier(1, FLOAT, exact=True),
                zeros.ctypes.data,
                rows.ctypes.data,
            ],
            np.int64,
        )
        offsets = np.arange(self.channels + 32, dtype=np.int64) * self.panel * ITEM
        return (
            shape.worker_bytes,
            group * block * self.panel_bytes if shared else 0,
            threads.Scratch(2, (3, max(in_rows, tiles) + self.panel), (runs + 1, 5)),
            np.array(shape, np.int64), natives, offsets,
            (zeros, rows),
        )  # fmt: skip


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
