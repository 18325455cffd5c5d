"""Winograd convolution with channels last: the plan.

Vectors lie along the channels of a pixel, in all stages, so that nothing is turned: a tile's pixels
are read where they lie, multiplied as tiles of pixels (`numbaconv.native.pixels`), and written
where they belong.
"""

from typing import Any

import numpy as np

from numbaconv.kernels import recording, threads, workspace
from numbaconv.kernels.long_sums import LONGEST
from numbaconv.native import isa, pixels
from numbaconv.native.rows import copier
from numbaconv.native.winograd import (
    input_transform_last,
    output_transform_last,
)
from numbaconv.problem.arrays import Array, address
from numbaconv.problem.geometry import ConvGeometry
from numbaconv.routes.direct import places
from numbaconv.routes.winograd import last_loops
from numbaconv.routes.winograd.tiling import FLOAT, ITEM, Tiling, aligned
from numbaconv.running.packed import Packed
from numbaconv.teams import jobs

# Cycles of a vector of a tile's element into Winograd's domain, if all inputs are within a cache of
# so many bytes, or not; and back; how many times as long both take along one axis; and of finding a
# tile.
_TRANSFORM_IN, _TRANSFORM_FAR = 6.5, 10.0
_NEAR_BYTES = 1 << 21
_TRANSFORM_OUT = 9.0
_LINE = 2.0
_FIND = 50.0
# Bytes of a worker's products, and of a group's transformed tiles: as few, and at most.
_PRODUCT_BYTES = 1 << 19
_GROUP_BYTES = 1 << 22
_CHUNK_BYTES = 1 << 20
_MOST_GROUP_BYTES = 1 << 24
# Tiles for which it is worthwhile to read the weights.
_MANY_TILES = 200


class Plan(Tiling):
    """Everything that follows from a geometry.

    Parameters
    ----------
    geometry : ConvGeometry
        The problem; its batch does not matter.
    """

    def __init__(self, geometry: ConvGeometry) -> None:
        super().__init__(geometry)
        host = isa.host()
        self.most, self.vectors = host.narrow if self.outputs <= self.lanes else host.tile
        self.rows = self.vectors * self.lanes
        self.blocks = -(-self.outputs // self.rows)
        # Strides that are no multiples of a page, so that lines do not collide.
        self.weight_xi = aligned(self.channels * self.rows * ITEM) + 64
        self.weight_block = aligned(self.elements * self.weight_xi)
        pitch = -(-self.channels // self.lanes) * self.lanes * ITEM
        self.pitch = pitch if pitch % 512 else pitch + 64
        self.no_bias = np.zeros(self.blocks * self.rows, np.float32)
        self.zeros = np.zeros(self.channels, np.float32)
        self.list = np.zeros(2, np.int64)

    @property
    def refusal(self) -> str | None:
        """Why the buffers of this problem would be too large, or None."""
        if self.channels > LONGEST:
            return f"it takes at most {LONGEST} channels where they are last, got {self.channels}"
        return None

    def cycles(self, multiply: float, tile: float) -> float:
        """Return the estimated cycles of all but the weights' transform."""
        tiles = self.geometry.batch * self.down * self.across
        height = self._height(tiles)
        calls = -(-tiles // height) * self.elements
        total = calls * self.blocks * tile
        total += calls * -(-self.outputs // self.lanes) * height * self.channels * multiply
        vectors_in = -(-self.channels // self.lanes)
        vectors_out = -(-self.outputs // self.lanes)
        nbytes = self.geometry.batch * self.size[0] * self.size[1] * self.channels * ITEM
        transform = _TRANSFORM_IN if nbytes <= _NEAR_BYTES else _TRANSFORM_FAR
        moved = self.elements * (vectors_in * transform + vectors_out * _TRANSFORM_OUT)
        return total + tiles * (_FIND + (_LINE if min(self.kernel) == 1 else 1.0) * moved)

    def _height(self, tiles: int) -> int:
        """Return how many tiles are multiplied at once."""
        return min(
            range(min(self.most, max(tiles, 1)), 0, -1),
            key=lambda height: -(-tiles // height) * (height + 1.5),
        )

    def pack(self, weight: Array, bias: Array | None, parallel: bool, *, keep: bool) -> Packed:
        """Return transformed weights, as panels for each element of a tile."""
        # A panel holds all taps of a channel, and then the next channel's.
        rows = np.arange(self.taps) * self.channels + np.arange(self.channels)[:, None]
        table = (rows.reshape(-1) * (self.outputs * ITEM)).astype(np.int64)
        native = copier(1, FLOAT)
        return self.packed(last_loops.pack, native, weight, bias, parallel, keep, lambda _: table)

    def padded_bias(self, bias: Array) -> Array:
        """Return a bias with zeros for outputs that there are not."""
        return places.padded_bias(bias, 1, self.outputs, self.blocks * self.rows)

    def run(self, x: Array, packed: Packed, out: Array, parallel: bool) -> None:
        """Write the convolution to `out`; images whose result is not finite go the direct way."""
        images, strides = len(x), self.strides
        workers = jobs.team_size(1 << 30, work=images * self.work, parallel=parallel)
        if not x.flags.c_contiguous:
            strides = places.byte_strides(x, self.geometry)
            if strides[1] != ITEM:
                x, strides = np.ascontiguousarray(x), self.strides
        nbytes, shared, kept, *tables = self.schedule(images, workers, strides)
        space, scratch = workspace.take(nbytes * workers + shared), kept.take(workers)
        counter, pixel_table = scratch
        jobs.run(
            last_loops.convolve, workers, images, address(x), packed.address,
            packed.bias_address, address(out), space.address, space.address + nbytes * workers,
            counter, *tables, pixel_table,
        )  # fmt: skip
        good = not counter[1]
        if recording.active:
            constants = (self.no_bias, self.zeros, self.list)
            recording.keep(constants=constants, check=counter[1:])
        workspace.give_back(space)
        kept.give_back(scratch)
        if not good:
            recording.refuse()
            self.repair(x, packed, out, parallel)

    def make_schedule(self, images: int, workers: int, strides: tuple[int, ...]) -> tuple[Any, ...]:
        """Return (bytes a worker, bytes shared, scratch, shape, natives, offsets)."""
        tiles = images * self.down * self.across
        height = self._height(tiles)
        per_tile = self.elements * self.rows * ITEM
        wanted = -(-tiles * self.blocks // (3 * workers))  # for each worker a few tasks
        near = _CHUNK_BYTES // (self.elements * self.pitch)
        chunk = max(1, min(_PRODUCT_BYTES // per_tile, wanted, near) // height) * height
        transformed = chunk * self.elements * self.pitch
        group = max(-(-_MANY_TILES // chunk), _GROUP_BYTES // transformed)
        group = min(group, max(1, _MOST_GROUP_BYTES // transformed), -(-tiles // chunk))
        xi_stride = aligned(group * chunk * self.pitch) + 64
        product_xi = chunk * self.rows * ITEM + 64
        _, _, _, x_row, x_pixel = strides
        shape = last_loops.Shape(
            channels=self.channels, outputs=self.outputs, block=self.rows, blocks=self.blocks,
            narrow=self.lanes, tile_pixels=height, chunk=chunk, group=group,
            n_tall=self.n[0], n_wide=self.n[1],
            m_tall=self.m[0], m_wide=self.m[1], across=self.across, down=self.down,
            height=self.size[0], width=self.size[1], out_height=self.output[0],
            out_width=self.output[1], low_height=self.low[0], low_width=self.low[1],
            x_image=strides[0], x_row=x_row, x_pixel=x_pixel, pitch=self.pitch,
            xi_stride=xi_stride, weight_xi=self.weight_xi, product_xi=product_xi,
            weight_block=self.weight_block,
            worker_bytes=aligned(self.elements * product_xi + self.rows * ITEM) + 64,
        )  # fmt: skip
        terms = {"terms": self.channels, "run": self.channels}
        whole = pixels.tile(height, self.vectors, FLOAT, **terms)
        partly = 0 < self.outputs % self.rows <= self.lanes
        narrow = pixels.tile(height, 1, FLOAT, **terms) if partly else whole
        natives = [
            input_transform_last(*self.n), whole, output_transform_last(*self.transform_sizes),
            address(self.zeros), address(self.list), address(self.no_bias), narrow,
        ]  # fmt: skip
        rows = np.arange(self.n[0])[:, None] * x_row
        offsets = (rows + np.arange(self.n[1]) * x_pixel).reshape(-1).astype(np.int64)
        return (
            shape.worker_bytes, self.elements * xi_stride, threads.Scratch(2, (self.elements,)),
            np.array(shape, np.int64), np.array(natives, np.int64), offsets,
        )  # fmt: skip
