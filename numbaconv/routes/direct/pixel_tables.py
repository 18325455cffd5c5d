"""The tables that the loops of tiles of pixels read: chunks, tiles, and the runs of their taps."""

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np

from numbaconv.kernels import threads
from numbaconv.native import pixels as native
from numbaconv.native.rows import copier
from numbaconv.native.transpose import transposer
from numbaconv.routes.direct import cut, pixel_cut, pixel_loops, places
from numbaconv.routes.direct.pixel_cut import Form, Span, Tiled


class Source(Tiled, Protocol):
    """What is known of a problem, and read here."""

    dtype: np.dtype[Any]
    panel: int
    vectors: int
    place: places.Place
    #: How runs lie: along a row of the input, or along the channels of neighbours in a row.
    along_row: bool
    merged: bool
    #: Whether the weights of all channels of a tap follow each other in a panel.
    weights_last: bool


class Tables:
    """The tables of one cut of a problem.

    Parameters
    ----------
    plan : Plan
        The problem.
    form : Form
        How tiles go over the result.
    strides : tuple of int
        Of image, channel, depth, row and column of the input, in bytes.
    chunk, cuts : int
        Output rows of a chunk, and shares of the blocks of a load.
    """

    def __init__(
        self, plan: Source, form: Form, strides: tuple[int, ...], chunk: int, cuts: int
    ) -> None:
        self.plan, self.form, self.chunk, self.cuts = plan, form, chunk, cuts
        last, size = plan.geometry.channels_last, plan.size
        self.image, self.channel, depth, row, column = self.strides = strides
        taps = [np.arange(k) * d for k, d in zip(plan.kernel, plan.dilation, strict=True)]
        self.rows = np.zeros((2, 1), np.int64)
        self.space = (0, 0, 0)
        if plan.in_place:
            self.depth_places, self.row_places = taps[0] * depth, taps[1] * row
            self.row_step, self.column = plan.stride[1] * row, column
        else:
            heights, first = cut.phases(taps[1], plan.stride[1], chunk)
            self.rows = np.array([(d, h) for d in taps[0] for h in heights], np.int64).T.copy()
            self.column = size * (plan.geometry.in_channels if last else 1)
            self.row_step = pixel_cut.padded_width(plan) * self.column
            self.space = pixel_cut.space(plan, self.rows.shape[1])
            self.depth_places = np.arange(plan.kernel[0]) * len(heights) * self.row_step
            self.row_places = first * self.row_step
            self.channel = size if last else self.space[1]
        self.runs: list[int] = []
        self.lists: dict[tuple[Span, ...], tuple[int, int, int]] = {}
        self.tiles: list[tuple[int, ...]] = []
        self.chunk_lists: dict[Any, tuple[int, int]] = {}

    def arguments(self) -> tuple[Any, ...]:
        """Return what `Plan.schedule` does."""
        plan, form = self.plan, self.form
        depths, height, width = plan.output
        chunks = np.zeros((depths, -(-height // self.chunk), 2), np.int64)
        for depth in range(depths):
            for i in range(chunks.shape[1]):
                span = Span(i * self.chunk, min((i + 1) * self.chunk, height))
                chunks[depth, i] = self._list(form.taps(0, Span(depth, depth + 1)), span)
        geometry, size, last = plan.geometry, plan.size, plan.geometry.channels_last
        nbytes, plane, planes = self.space
        sums = 0 if last else -(-self.chunk * width * plan.rows * size // 64) * 64
        place = plan.place
        low = plan.low[2] * self.column // size
        shape = pixel_loops.Shape(
            size=size, panel=plan.panel, block=plan.rows, blocks=plan.blocks,
            outputs=plan.outputs, loads=1 if last else geometry.groups,
            load_groups=geometry.groups if last else 1,
            load_step=0 if last else plan.channels * self.strides[1],
            group_step=plan.channels * size if last else 0, depths=depths, rows=height,
            chunk=self.chunk, width=width, cuts=self.cuts, in_place=int(plan.in_place),
            planes=planes, plane_step=self.strides[1], space_plane=plane,
            space_rows=0 if plan.in_place else self.rows.shape[1],
            space_width=0 if plan.in_place else self.row_step // size, low=low,
            high=low + plan.input[2] * self.column // size, stride_depth=plan.stride[0],
            stride_height=plan.stride[1], low_depth=plan.low[0], low_height=plan.low[1],
            in_depth=plan.input[0], in_height=plan.input[1], x_image=self.image,
            x_depth=self.strides[2], x_row=self.strides[3], x_step=self._run_step(),
            weight_step=self._weight_step(),
            pixel_step=self.row_step if form.down else plan.stride[2] * self.column,
            out_image=place.image, out_channel=place.channel, out_depth=place.depth,
            out_row=place.row, tile_step=self._tile_step(place), turned=int(not last),
            sums_offset=nbytes, worker_bytes=nbytes + sums,
            ahead=int(plan.in_place and last and plan.geometry.window.is_pointwise),
            corner=plan.low[0] * self.strides[2] + plan.low[1] * self.strides[3],
        )  # fmt: skip
        movers = np.array(
            [0 if plan.in_place else copier(1, plan.dtype), 0 if last else transposer(plan.dtype)],
            np.int64,
        )
        return (
            nbytes + sums, threads.Scratch(1, (self.rows.shape[1],)),
            np.array(shape, np.int64), movers, self.rows, chunks,
            np.array(self.tiles, np.int64), np.array([*self.runs, 0, 0], np.int64),
        )  # fmt: skip

    def _run_step(self) -> int:
        plan = self.plan
        if plan.along_row:
            return plan.dilation[2] * self.column
        return plan.size if plan.geometry.channels_last else self.channel

    def _weight_step(self) -> int:
        plan = self.plan
        apart = 1 if plan.weights_last or plan.along_row else plan.geometry.window.taps
        return apart * plan.rows * plan.size

    def _tile_step(self, place: places.Place) -> int:
        plan, step = self.plan, self.plan.rows * self.plan.size
        if plan.geometry.channels_last:
            return place.row if self.form.down else place.column
        return step * plan.output[2] if self.form.down else step

    def _list(self, depth_taps: Span, rows: Span) -> tuple[int, int]:
        """Return where the tiles of some rows of one depth are listed, and how many."""
        form, width = self.form, self.plan.output[2]
        key: Any = rows.length, depth_taps
        inside = form.needed[1].inside
        if not (inside.first <= rows.first and rows.end <= inside.end):
            key += (rows.first,)
        found = self.chunk_lists.get(key)
        if found is not None:
            return found
        first = len(self.tiles)
        if form.down:
            parts = list(pixel_cut.parts(rows, form.pixels))
            regions = [(part, Span(q, q + 1)) for part in parts for q in range(width)]
        else:
            parts = list(pixel_cut.cuts(width, form.pixels))
            regions = [(Span(r, r + 1), part) for r in range(*rows) for part in parts]
        for r, q in regions:
            taps = depth_taps, form.taps(1, r), form.taps(2, q)
            self.tiles.append(self._tile(r, q, r.first - rows.first, taps))
        self.chunk_lists[key] = first, len(regions)
        return self.chunk_lists[key]

    def _tile(self, rows: Span, columns: Span, row: int, taps: tuple[Span, ...]) -> tuple[int, ...]:
        plan = self.plan
        count = max(rows.length, columns.length)
        reads = row * self.row_step + columns.first * plan.stride[2] * self.column
        if plan.geometry.channels_last:
            place = plan.place
            writes = row * place.row + columns.first * place.column
        else:
            writes = (row * plan.output[2] + columns.first) * plan.rows * plan.size
        whole = native.tile(count, plan.vectors, plan.dtype, terms=plan.k, run=plan.longest_run)
        last = whole
        if plan.vectors == 2 and 0 < plan.outputs % plan.rows <= plan.lanes:
            last = native.tile(count, 1, plan.dtype, terms=plan.k, run=plan.longest_run)
        return reads, writes, whole, last, *self._runs(*taps)

    def _runs(self, depths: Span, rows: Span, columns: Span) -> tuple[int, int, int]:
        """Return where the runs of some taps are listed, how many, and how long they are."""
        key = depths, rows, columns
        found = self.lists.get(key)
        if found is None:
            begins = np.array([e for d in range(*depths) for h in range(*rows)
                               for e in self._begins(d, h, columns)], np.int64)  # fmt: skip
            found = self.lists[key] = 8 * len(self.runs), begins.size // 2, self._length(columns)
            self.runs += begins.ravel().tolist()
        return found

    def _length(self, columns: Span) -> int:
        """Return how many elements a run of some columns has."""
        plan = self.plan
        if plan.along_row:
            return columns.length
        return plan.channels * (columns.length if plan.merged else 1)

    def _begins(self, depth: int, row: int, columns: Span) -> Iterator[tuple[int, int]]:
        """Yield where the runs of a row of the kernel begin: in the input, and in the weights."""
        plan = self.plan
        step, along = plan.rows * plan.size, plan.dilation[2] * self.column
        at = int(self.depth_places[depth] + self.row_places[row])
        tap = (depth * plan.kernel[1] + row) * plan.kernel[2]
        if plan.along_row:
            taps = plan.geometry.window.taps
            for c in range(plan.channels if columns.length else 0):
                weight = (c * taps + tap + columns.first) * step
                yield c * self.channel + at + columns.first * along, weight
            return
        each = plan.channels * step if plan.weights_last else step
        for w in range(*columns)[:1] if plan.merged else range(*columns):
            yield at + w * along, (tap + w) * each
