"""How tiles of pixels go over a result: taps left out, chunks of rows, shares of blocks.

Estimates are in multiply-adds of a vector, but for `padded_width` and `space`. None of it changes
a bit of the result, but for the sign of zeros.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np

from numbaconv.problem.formulas import end_inside, first_inside
from numbaconv.problem.geometry import ConvGeometry
from numbaconv.routes import cycles
from numbaconv.routes.direct import cut

# Bytes of the results that a worker turns that leave room for weights.
_SUMS_BYTES = 1 << 17
# In multiply-adds of a vector, beside the sums: a run, and a tile.
_RUN, _TILE = 2, 40
#: Elements that one thread turns in the time of one.
TURNED = 0.6
# Tiles of a chunk, which are listed.
_MOST_TILES = 4096
#: Positions along an axis that are many: borders do not matter.
LONG = 1000
# How much longer the pixels of a column take, whose channels are planes: each is a cache line.
_COLUMN = 1.25
# Cycles of a run, and of an input element that is copied.
_RUN_CYCLES, _COPIED_CYCLES = 7.5, 0.7
# Chunks of a depth that are considered.
_CHUNKS = (*range(1, 17), 20, 24, 32, 48, 64, 96, 128, 256, 512, 1024, 4096, 16384)


class Tiled(Protocol):
    """What is known of a problem before it is cut, and read here.

    Triples are along depth, rows and columns.
    """

    geometry: ConvGeometry
    dtype: np.dtype[Any]
    input: tuple[int, int, int]
    kernel: tuple[int, int, int]
    output: tuple[int, int, int]
    stride: tuple[int, int, int]
    dilation: tuple[int, int, int]
    low: tuple[int, int, int]
    #: Input and output channels of a group, elements of a patch, bytes of one, and of a vector.
    channels: int
    outputs: int
    k: int
    size: int
    lanes: int
    #: The pixels of a tile at most; blocks of so many output channels; elements of a run.
    most: int
    rows: int
    blocks: int
    longest_run: int
    in_place: bool


class Span(NamedTuple):
    """Some neighbours along an axis: pixels of a tile, or taps that they need."""

    first: int
    end: int

    @property
    def length(self) -> int:
        """How many there are."""
        return max(0, self.end - self.first)


class Needed:
    """Which taps along an axis each output position needs: those that do not meet padding there.

    Parameters
    ----------
    size, kernel, stride, dilation, low, outputs : int
        Of the axis.
    skip : bool
        Whether any may be left out.
    """

    def __init__(
        self, size: int, kernel: int, stride: int, dilation: int, low: int, outputs: int,
        *, skip: bool,
    ) -> None:  # fmt: skip
        self.size, self.kernel, self.stride, self.dilation, self.low = (
            size, kernel, stride, dilation, low
        )  # fmt: skip
        self.outputs, self.skip = outputs, skip
        #: The positions that need all.
        self.inside = Span(0, outputs)
        if skip:
            last_tap = (kernel - 1) * dilation - low
            self.inside = Span(
                first_inside(-low, stride, outputs), end_inside(last_tap, stride, size, outputs)
            )
        self.count = outputs * kernel
        if skip and outputs <= LONG:
            self.count = sum(self.by(Span(o, o + 1)).length for o in range(outputs))

    def by(self, positions: Span) -> Span:
        """Return the taps that some positions need, and perhaps others between them."""
        if not self.skip:
            return Span(0, self.kernel)
        # Later positions need earlier taps.
        start, last = (o * self.stride - self.low for o in (positions.first, positions.end - 1))
        first = first_inside(last, self.dilation, self.kernel)
        return Span(first, max(first, end_inside(start, self.dilation, self.size, self.kernel)))


@dataclass(frozen=True)
class Form:
    """How tiles go over the result, and which taps they leave out."""

    #: Whether a tile's pixels are of a column.
    down: bool
    #: The pixels of a tile, at most.
    pixels: int
    #: Along depth, rows and columns.
    needed: tuple[Needed, Needed, Needed]
    #: The multiplications of a pixel, on average; more where tiles are too small.
    terms: float

    def taps(self, axis: int, positions: Span) -> Span:
        """Return the taps along an axis that any of some positions needs."""
        return self.needed[axis].by(positions)


def cuts(length: int, most: int) -> Iterator[Span]:
    """Cut a length evenly into spans of at most `most`."""
    count = -(-length // most)
    for i in range(count):
        yield Span(i * length // count, (i + 1) * length // count)


def parts(rows: Span, pixels: int) -> Iterator[Span]:
    """Cut some rows into spans of `pixels`, the last one shorter."""
    for first in range(rows.first, rows.end, pixels):
        yield Span(first, min(first + pixels, rows.end))


def padded_width(plan: Tiled) -> int:
    """Return the elements of a row that are read, padding included."""
    return (plan.output[2] - 1) * plan.stride[2] + (plan.kernel[2] - 1) * plan.dilation[2] + 1


def space(plan: Tiled, rows: int) -> tuple[int, int, int]:
    """Return the bytes of copies of so many rows, those of a plane, and how many planes."""
    geometry = plan.geometry
    width = padded_width(plan) * (geometry.in_channels if geometry.channels_last else 1)
    planes = 1 if geometry.channels_last else plan.channels
    plane = -(-(rows * width + plan.lanes) * plan.size // 64) * 64
    if plane % 4096 == 0:
        plane += 64
    return -(-(planes * plane + plan.lanes * plan.size) // 64) * 64, plane, planes


def best_form(plan: Tiled, skip: bool) -> Form:
    """Return how tiles go over the result with the fewest multiplications."""
    depths, rows, columns = (
        Needed(*values, skip=skip)
        for values in zip(
            plan.input, plan.kernel, plan.stride, plan.dilation, plan.low, plan.output, strict=True
        )
    )
    needed = depths, rows, columns
    best = (float("inf"), Form(False, plan.most, needed, 0.0))
    for down, along, across in ((False, columns, rows), (True, rows, columns)):
        length = along.outputs
        counts = {-(-length // n) for n in range(1, min(length, LONG) // cut.LEAST_PIXELS + 2)}
        if length > LONG:
            counts = {plan.most}
        lines = depths.count * across.count / (depths.outputs * across.outputs)
        for count in counts:
            if count > plan.most:
                continue
            taps = float(along.kernel)
            if length <= LONG:
                spans = parts(Span(0, length), count) if down else cuts(length, count)
                full = (max(s.length, cut.LEAST_PIXELS) * along.by(s).length for s in spans)
                taps = sum(full) / length
            terms = taps * lines * plan.channels
            if down and not plan.geometry.channels_last:
                terms *= _COLUMN
            cost = terms + _TILE / count
            if cost < best[0] * 0.999:
                best = cost, Form(down, count, needed, terms)
    return best[1]


def best_cut(plan: Tiled, form: Form, images: int, workers: int) -> tuple[int, int, float]:
    """Return (output rows of a chunk, shares of the blocks, time) of the least estimated time."""
    geometry = plan.geometry
    depths, height, width = plan.output
    loads = 1 if geometry.channels_last else geometry.groups
    blocks = plan.blocks * (geometry.groups if geometry.channels_last else 1)
    unit = form.pixels if form.down else 1
    vectors = -(-plan.outputs // plan.lanes) / plan.blocks  # of a block, on average
    best = (float("inf"), unit, 1)
    turned_bytes = 0 if geometry.channels_last else width * plan.rows * plan.size
    considered = {unit * -(-height // (n * unit)) for n in _CHUNKS} | {unit}
    for tall in sorted(considered, reverse=True):
        tall = min(tall, height)
        many = width * tall > _MOST_TILES * form.pixels
        if (turned_bytes * tall > _SUMS_BYTES or many) and tall > unit:
            continue
        nbytes, copied = 0, 0.0
        if not plan.in_place:
            taps_down = np.arange(plan.kernel[1]) * plan.dilation[1]
            groups, _ = cut.row_groups(taps_down, plan.stride[1], tall)
            nbytes = space(plan, sum(span for _, span in groups) * plan.kernel[0])[0]
            copied = nbytes / plan.size / cut.COPIED_PER_MULTIPLY
            if nbytes > cut.SPACE_BYTES and tall > unit:
                continue
        turned = 0.0 if geometry.channels_last else width * tall * plan.rows / TURNED
        tiles = width * tall * vectors / form.pixels
        runs = form.terms / plan.longest_run * _RUN
        work = width * tall * form.terms * vectors + tiles * (_TILE + runs) + turned
        work += plan.rows * plan.k / cut.COPIED_PER_MULTIPLY  # weights come from beyond the cache
        chunks = images * loads * depths * -(-height // tall)
        for shares, share in cut.shares(blocks, workers):
            task = share * work + copied + cut.TASK_OVERHEAD
            time = cut.rounds(chunks * shares, workers) * task
            if time < best[0] * 0.995:
                best = (time, tall, shares)
    return best[1], best[2], best[0]


def cycles_of(plan: Tiled, form: Form) -> float:
    """Return the estimated cycles of one core, channels last, without calls and packing."""
    geometry = plan.geometry
    vectors = geometry.groups * -(-plan.outputs // plan.lanes)
    pixels = geometry.batch * geometry.window.positions
    multiply = cycles.MULTIPLY[plan.dtype.str[1:]]
    runs = form.terms / plan.longest_run * _RUN_CYCLES
    total = pixels * vectors * (form.terms * multiply + (cycles.TILE + runs) / form.pixels)
    if not plan.in_place:
        elements = geometry.batch * geometry.in_channels * math.prod(geometry.window.size)
        total += elements * _COPIED_CYCLES
    return total
