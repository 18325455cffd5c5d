"""Implicit im2col: a register tile that reads the image itself, through a table of offsets.

No column matrix exists. For each chunk of output positions a worker copies the input rows that it
needs into its own cache, once for each column of the kernel, so that every tap of every output
position is one contiguous read, with the padding's zeros in place; a 1x1 kernel reads the input
where it is. One register tile then runs over the whole patch, whose rows it finds by a table of
offsets, and writes the output once, from the bias on.

Every output is the sum over its patch in one order, whatever the tile, chunk or thread, so cutting
the work by the number of threads changes no bit.

M. Dukhan, "The Indirect Convolution Algorithm", arXiv:1907.02129, section 3, has the table; here
its entries are rows of an image, not pixels.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from numbaconv.kernels import held, recording, threads, workspace
from numbaconv.kernels.jit import native_available
from numbaconv.native import emit, isa
from numbaconv.native.rows import NOTHING, copier
from numbaconv.native.tile import tile
from numbaconv.native.transpose import transposer
from numbaconv.problem.arrays import Array, address
from numbaconv.problem.formulas import end_inside, first_inside
from numbaconv.problem.geometry import ConvGeometry, three_axes
from numbaconv.routes.direct import cut, loops, merged, pixel_cut, pixels, places
from numbaconv.routes.direct.panels import Panelled
from numbaconv.routes.direct.places import Place
from numbaconv.running import alike
from numbaconv.running.packed import Packed
from numbaconv.teams import jobs

#: What this route is (see `numbaconv.routes.Algorithm`).
EXACT, READS, WRITES_ANY, OWN_PADDING = True, "rows", False, False

# Outputs from which on an image whose channels lie pages apart is copied before it is multiplied.
_LEAST_OUTPUTS_OF_COPY = 64
# Images and workers of the estimate that chooses a form of tile: results do not depend on either.
_ESTIMATED = (1, 2)
# How many times as fast tiles of pixels must be by that, for channels first and last.
_LEAST_GAIN, _LEAST_GAIN_LAST = 1.05, 0.85
# Numbers of images and workers, and strides, for which a plan keeps its tables.
_MOST_SCHEDULES = 4


def refusal(geometry: ConvGeometry, dtype: np.dtype[Any]) -> str | None:
    """Return why this route cannot run the problem, or None."""
    if not emit.supports(dtype):
        return f"it has no kernel for {dtype}; use algorithm='im2col'"
    return native_available()


@dataclass(frozen=True)
class Layout:
    """How a chunk of output rows lies in a worker's memory."""

    flat: bool
    rows: Array  # (2, space_rows): padded input depth and height of each row, of output row 0
    columns: Array  # (spaces, 4 + padded width): low, high, start, step, then a table
    offsets: Array  # byte offsets of the elements of a patch
    width: int
    plane: int


class Plan(Panelled):
    """Everything that follows from geometry and dtype.

    Parameters
    ----------
    geometry : ConvGeometry
        The problem; its batch does not matter.
    dtype : dtype
        One that `refusal` accepts.
    place : Place, optional
        Where results go, if not to a contiguous array.
    """

    replayable = True
    #: Of `pixels.Plan`: 1 where that form was not chosen.
    chosen_gain = 1.0

    def __init__(
        self, geometry: ConvGeometry, dtype: np.dtype[Any], place: Place | None = None
    ) -> None:
        self.geometry, self.dtype = geometry, dtype
        self.spread = place is not None
        self.size = dtype.itemsize
        window = geometry.window
        self.lanes = isa.host().lanes(dtype)
        self.channels = geometry.in_channels // geometry.groups
        self.outputs = geometry.out_channels // geometry.groups
        self.k = geometry.patch_size
        self.work = geometry.out_channels * window.positions * self.k
        self.strides = places.contiguous_strides(geometry, self.size)
        self.swapped, self.rows, self.vectors, self.pixels = cut.choose_tile(
            geometry, self.lanes, spread=self.spread
        )
        self.lay_panels()
        self.kernel = three_axes(window.kernel, 1)
        self.input = three_axes(window.size, 1)
        self.output = three_axes(window.output, 1)
        self.stride = three_axes(window.stride, 1)
        self.dilation = three_axes(window.dilation, 1)
        self.low = three_axes(tuple(low for low, _ in window.padding), 0)
        self.place = places.of_result(geometry, self.size) if place is None else place
        #: The elements between neighbouring results of a row.
        self.step = 1 if geometry.channels_last else self.place.column // self.size
        padded = window.is_padded
        # A large image's channels lie pages apart. Copied in long runs they are read better than
        # by tiles, if enough outputs follow.
        scattered = (
            self.input[1] >= 8
            and window.positions * self.size > 4096
            and self.outputs >= _LEAST_OUTPUTS_OF_COPY
        )
        self.pointwise = (
            window.is_pointwise and not geometry.channels_last and not scattered and not self.spread
        )
        # Short lines leave lanes empty, unless what they make could not be one run anyway.
        least = self.lanes if self.spread else 8 * self.lanes
        self.in_place = self.pointwise or (
            not padded
            and not geometry.channels_last
            and self.stride[2] == 1
            and self.output[2] >= least
            and not (self.spread and scattered)
        )
        self.schedules: dict[tuple[int, int], Schedule] = {}

    def columns_of_channels_last(self) -> Array:
        """Return where the weights of each patch element begin, in the order channel, tap."""
        taps, channels = self.geometry.window.taps, self.channels
        order = np.arange(taps * channels).reshape(taps, channels).T.ravel()
        return (order * self.geometry.out_channels * self.size).astype(np.int64)

    def run(self, x: Array, packed: Packed, out: Array, parallel: bool) -> None:
        """Write the convolution to `out`."""
        images = len(x)
        workers = jobs.team_size(1 << 30, work=images * self.work, parallel=parallel)
        plain = x.flags.c_contiguous
        strides = self.strides if plain else places.byte_strides(x, self.geometry)
        nbytes, kept, *tables = self.schedule(images, workers).tables(self, strides)
        space, scratch = workspace.take(nbytes * workers), kept.take(workers)
        jobs.run(
            loops.convolve, workers, images, address(x), packed.address,
            packed.bias_address, address(out), space.address, scratch[0], *tables, scratch[1],
        )  # fmt: skip
        workspace.give_back(space)
        kept.give_back(scratch)
        if recording.active:
            recording.keep(constants=(self.no_bias,))

    def workspace_nbytes(self, images: int, workers: int) -> int:
        """Return the memory that `run` borrows."""
        return int(self.schedule(images, workers).tables(self, self.strides)[0]) * workers

    def schedule(self, images: int, workers: int) -> "Schedule":
        """Return the cut of a batch among workers."""
        key = images, workers
        found = self.schedules.get(key)
        if found is None:
            if len(self.schedules) >= _MOST_SCHEDULES:
                self.schedules.clear()
            found = self.schedules[key] = Schedule(self, images, workers)
        return found

    def layout(self, rows: int, strides: tuple[int, ...]) -> Layout:
        """Return where the taps of a chunk of `rows` output rows are found."""
        size = self.size
        taps = [np.arange(k) * d for k, d in zip(self.kernel, self.dilation, strict=True)]
        if self.in_place:
            _, channel, depth, row, column = strides
            moves = [t * step for t, step in zip(taps, (depth, row, column), strict=True)]
            tap = moves[0][:, None, None] + moves[1][:, None] + moves[2]
            offsets = (np.arange(self.channels) * channel)[:, None] + tap.ravel()
            nothing = np.zeros((2, 0), np.int64)
            return Layout(
                self.pointwise, nothing, np.zeros((0, 4), np.int64), _padded(offsets), 0, 0
            )
        heights, height_of = cut.phases(taps[1], self.stride[1], rows)
        flat = cut.prefers_flat(self, rows)
        if flat:
            columns, column_of = taps[2], np.arange(self.kernel[2]) * 0
            space_of = np.arange(self.kernel[2])
            width = self.output[2]
        else:
            phase = taps[2] % self.stride[2]
            columns, space_of = np.unique(phase, return_inverse=True)
            column_of = taps[2] // self.stride[2]
            width = self.output[2] + int(column_of.max())
        row_list = np.array(
            [(d, h) for d in taps[0] for h in heights], np.int64
        ).T.copy()  # fmt: skip
        space_rows = row_list.shape[1]
        pitch = width * size
        plane = -(-(len(columns) * space_rows * pitch + self.lanes * size) // 64) * 64
        if plane % 4096 == 0:
            plane += 64
        row_of = np.arange(self.kernel[0])[:, None] * len(heights) + height_of
        at = (space_of * space_rows + row_of[..., None]) * width + column_of
        offsets = np.arange(self.channels)[:, None] * plane + at.ravel() * size
        table = np.array([self._column_space(int(c), width, strides[4]) for c in columns])
        return Layout(flat, row_list, table, _padded(offsets), width, plane)

    def _column_space(self, first: int, width: int, column_bytes: int) -> Array:
        """Return low, high, start, step and the table of one copy of a plane's columns."""
        start, step = first - self.low[2], self.stride[2]
        low = first_inside(start, step, width)
        high = max(low, end_inside(start, step, self.input[2], width))
        table = np.full(4 + width + 2 * self.lanes, NOTHING, np.int64)
        table[:4] = low, high, start * column_bytes, step * column_bytes
        table[4 + low : 4 + high] = np.arange(low, high) * step * column_bytes
        return table


class Schedule:
    """How a batch is cut into tasks, for one number of workers."""

    def __init__(self, plan: Plan, images: int, workers: int) -> None:
        self.images, self.workers = images, workers
        self.chunk, self.cuts, _ = cut.best_cut(plan, images, workers)
        self.shapes: dict[tuple[int, ...], tuple[Any, ...]] = {}

    def tables(self, plan: Plan, strides: tuple[int, ...]) -> tuple[Any, ...]:
        """Return (bytes a worker, scratch, packed shape, and the tables of `loops.convolve`)."""
        found = self.shapes.get(strides)
        if found is None:
            if len(self.shapes) >= _MOST_SCHEDULES:
                self.shapes.clear()
            found = self.shapes[strides] = self._tables(plan, strides)
            held.grew(found)
        return found

    def _tables(self, plan: Plan, strides: tuple[int, ...]) -> tuple[Any, ...]:
        geometry, size = plan.geometry, plan.size
        rows = -(-self.chunk // plan.output[2])
        layout = plan.layout(rows, strides)
        block = cut.channel_block(plan, layout.plane)
        step = plan.vectors * plan.lanes
        space = -(-(block * layout.plane + plan.lanes * size) // 64) * 64
        tile_bytes = max(plan.rows, plan.pixels) * step * size
        if geometry.channels_last == plan.swapped:
            tile_bytes = 0
        if plan.in_place:
            pitch, spaces, space_rows = plan.stride[1] * strides[3], 0, 0
        else:
            pitch = layout.width * size
            spaces, space_rows = len(layout.columns), layout.rows.shape[1]
        if plan.pointwise:
            depths, width = 1, plan.output[0] * plan.output[1] * plan.output[2]
            positions = width
        else:
            depths, width = plan.output[0], plan.output[2]
            positions = plan.output[1] * width
        shape = loops.Shape(
            size=size, lanes=plan.lanes, tile_rows=plan.rows, tile_vectors=plan.vectors,
            panel=plan.panel, channels=plan.channels, channel_block=block, outputs=plan.outputs,
            groups=geometry.groups, taps=geometry.window.taps, depths=depths,
            positions=positions, width=width, chunk=self.chunk, cuts=self.cuts,
            flat=int(layout.flat), run_pitch=pitch, in_place=int(plan.in_place),
            x_image=strides[0], x_channel=strides[1], x_depth=strides[2], x_row=strides[3],
            x_column=strides[4], in_depth=plan.input[0], in_height=plan.input[1],
            in_width=plan.input[2], stride_depth=plan.stride[0], stride_height=plan.stride[1],
            low_depth=plan.low[0], low_height=plan.low[1], spaces=spaces, space_rows=space_rows,
            space_width=layout.width, space_plane=layout.plane,
            worker_bytes=space + tile_bytes, tile_offset=space,
            channels_last=int(geometry.channels_last), swapped=int(plan.swapped),
            tile_pixels=plan.pixels, out_image=plan.place.image, out_channel=plan.place.channel,
            out_depth=plan.place.depth, out_row=plan.place.row, out_column=plan.place.column,
        )  # fmt: skip
        runs = {width} if not layout.flat else {min(self.chunk, positions), positions % self.chunk}
        terms = block * geometry.window.taps
        if plan.swapped:
            tiles = _swapped_tiles(plan, runs, terms)
        else:
            tiles = _tiles(plan, runs, step, terms)
        movers = np.zeros(3, np.int64)
        if geometry.channels_last or plan.swapped:
            movers[1] = transposer(plan.dtype)
            movers[2] = transposer(plan.dtype, plan.step)
        if not geometry.channels_last and not plan.in_place:
            movers[0] = copier(plan.stride[2], plan.dtype)
        return (
            space + tile_bytes,
            threads.Scratch(1, (max(1, space_rows),)),
            np.array(shape, np.int64),
            tiles,
            movers,
            layout.offsets,
            layout.rows,
            layout.columns,
        )


def _tiles(plan: Plan, runs: set[int], step: int, terms: int) -> Array:
    """Return the addresses of the tiles: of whole ones, then by the vectors of narrower ones."""
    tiles = np.zeros(loops.MOST_VECTORS + 1, np.int64)
    if any(run >= step for run in runs):
        tiles[0] = tile(
            plan.rows, plan.vectors, plan.dtype, masked=False, step=plan.step, terms=terms
        )
    for v in {-(-(run % step) // plan.lanes) for run in runs} - {0}:
        tiles[v] = tile(plan.rows, v, plan.dtype, masked=True, step=plan.step, terms=terms)
    return tiles


def _swapped_tiles(plan: Plan, runs: set[int], terms: int) -> Array:
    """Return the addresses of swapped tiles by their pixels."""
    tiles = np.zeros(loops.MOST_ROWS + 1, np.int64)
    for run in runs - {0}:
        cuts = -(-run // plan.pixels)
        for n in {run // cuts, -(-run // cuts)}:
            tiles[n] = tile(n, plan.vectors, plan.dtype, masked=True, swapped=True, terms=terms)
    return tiles


def _padded(offsets: Array) -> Array:
    """Return a table of int64, with slack for reads ahead."""
    return np.concatenate([offsets.ravel(), np.zeros(32)]).astype(np.int64)


@held.shared
def plan(geometry: ConvGeometry, dtype: np.dtype[Any]) -> Plan | pixels.Plan | alike.Plan:
    """Return the plan of a problem: of either form of tile, over as few axes as can be."""
    fewer = merged.merged(geometry)
    return _either(geometry, dtype) if fewer is None else alike.Plan(fewer, dtype, _either)


@held.shared
def _either(geometry: ConvGeometry, dtype: np.dtype[Any]) -> Plan | pixels.Plan:
    """Return the plan of the form of tile that is estimated to be faster."""
    rows, tiles = Plan(geometry, dtype), pixels.Plan(geometry, dtype)
    reserve = _LEAST_GAIN_LAST if geometry.channels_last else _LEAST_GAIN
    gain = tiles.gain(cut.best_cut(rows, *_ESTIMATED)[2], _ESTIMATED) / reserve
    if gain <= 1:
        return rows
    tiles.chosen_gain = gain
    return tiles


@held.shared
def spread_plan(geometry: ConvGeometry, dtype: np.dtype[Any], place: Place) -> Plan:
    """Return the plan of a problem whose results do not follow each other."""
    return Plan(geometry, dtype, place)


def cost(geometry: ConvGeometry, dtype: np.dtype[Any], *, prepared: bool) -> float:
    """Return the estimated cycles of one core; `prepared` leaves the packing of weights out."""
    fewer = merged.merged(geometry) or geometry
    if not geometry.batch or not emit.supports(dtype):
        return cut.with_call(fewer, cut.cycles_of(fewer, dtype), prepared=prepared)
    chosen = _either(fewer, dtype)
    if isinstance(chosen, pixels.Plan) and fewer.channels_last:
        total = pixel_cut.cycles_of(chosen, chosen.form(True))
    else:
        total = cut.cycles_of(fewer, dtype) / chosen.chosen_gain
    if isinstance(chosen, pixels.Plan):
        total /= chosen.gain_across(_ESTIMATED[1])
    return cut.with_call(fewer, total, prepared=prepared)
