"""Input rows as a kernel's taps read them: padded, and contiguous for each tap.

With a stride, neighbouring output positions read elements that lie apart. Along each axis they are
therefore kept in *slots*, one for each tap that reads elements of its own: in a slot they are
neighbours, and one element serves all taps that read it. A *line* is an input row in slots; a
*strip* the lines that some output rows of a plane read, in slots as well. What the padding holds is
in a line already.
"""

import math
from typing import Any, NamedTuple

import numpy as np

from numbaconv.kernels.indexing import (
    WindowAxes,
    copy_run,
    end_inside,
    fill_run,
    first_inside,
    source_index,
)
from numbaconv.kernels.jit import device
from numbaconv.native import link
from numbaconv.problem.arrays import Array, Table

SLOTS, SLOTS_OF_CHANNELS = 1, 2


class Slots(NamedTuple):
    """How what taps read along one axis is kept.

    Attributes
    ----------
    slots : int
        Their number: tap e reads slot ``e % slots``, from ``e // slots * shift`` on.
    shift : int
        How much further on the next tap of the same slot reads.
    step : int
        From what one output position reads to what the next reads.
    pitch : int
        Entries from one slot to the next: how long a slot is at most.
    """

    slots: int
    shift: int
    step: int
    pitch: int

    @classmethod
    def of(cls, kernel: int, stride: int, dilation: int, positions: int) -> "Slots":
        """Return the slots for so many output positions along the axis, which are neighbours."""
        common = math.gcd(stride, dilation)
        count, shift = min(kernel, stride // common), dilation // common
        found = cls(count, shift, 1, positions + (kernel - 1) // count * shift)
        if kernel * positions <= found.entries:
            return cls(kernel, 0, 1, positions)  # taps so far apart that they share too little
        return found

    @classmethod
    def in_order(cls, kernel: int, stride: int, dilation: int, positions: int) -> "Slots":
        """Return the same, or a slot of all entries in order where few of them are not read."""
        apart = cls.of(kernel, stride, dilation, positions)
        whole = (positions - 1) * stride + (kernel - 1) * dilation + 1
        return cls(1, dilation, stride, whole) if whole <= apart.entries else apart

    @property
    def entries(self) -> int:
        """The entries of all slots."""
        return self.slots * self.pitch


def packed_fields(fields: tuple[Any, ...]) -> Table:
    """Return ints, and those of tuples among them, as kernels get them."""
    flat = [f for field in fields for f in (field if isinstance(field, tuple) else [field])]
    return np.array(flat, np.int64)


class Image(NamedTuple):
    """Where a kernel finds an image: the offset of its first channel, and the strides."""

    start: int
    channel: int
    depth: int
    height: int
    width: int


class Steps(NamedTuple):
    """Elements of a workspace from one channel, plane, line and slot of strips to the next."""

    channel: int
    plane: int
    line: int
    slot: int

    @classmethod
    def of(
        cls, down: Slots, across: Slots, channels: int, planes: int, *, channels_inside: bool
    ) -> "Steps":
        """Return the steps of strips of some channels; `channels_inside` lets slots be outside."""
        if channels_inside:
            line = across.entries * channels
            return cls(across.pitch, down.entries * line, line, across.pitch * channels)
        plane = down.entries * across.entries
        return cls(planes * plane, plane, across.entries, across.pitch)


class Movers(NamedTuple):
    """Native functions and the memory that they move, as addresses; 0 where there are none.

    Attributes
    ----------
    read, copy : int
        A `numbaconv.native.moves.mover` of the step from one position to the next, and of step 1.
    turn, turn_lines : int
        A `numbaconv.native.transpose.transposer`, and one with a table.
    stream : int
        A `numbaconv.native.moves.streamer`, where the matrix is larger than caches are.
    x, lines, cols : int
        Where the input, the workspace and the patch matrix begin. Taken from the arrays once: to
        ask an array for its address counts a reference to it, which costs as much as a short row.
    size : int
        Of an element.
    together : int
        With `turn`, what lies together in the input at a position and is turned at once: `SLOTS`,
        or those of all channels (`SLOTS_OF_CHANNELS`); 0 for channels alone.
    cleared : int
        Whether the workspace holds zeros wherever lines read beyond the ends of rows.
    """

    read: int
    copy: int
    turn: int
    turn_lines: int
    stream: int
    x: int
    lines: int
    cols: int
    size: int
    together: int
    cleared: int


@device
def slot_length(slots: Slots, kernel: int, positions: int) -> int:
    """Return how many entries of a slot so many output positions read, with all between."""
    return (positions - 1) * slots.step + 1 + (kernel - 1) // slots.slots * slots.shift


@device
def fetch_strip(
    x: Array, image: Image, c0: int, c1: int, d: int, h0: int, rows: int, w0: int, n: int,
    window: WindowAxes, kernel_rows: int, down: Slots, across: Slots, steps: Steps, target: Array,
    first: int, movers: Movers,
) -> None:  # fmt: skip
    """Write the strip that some output positions read of channels ``[c0, c1)``.

    Of plane d (zeros where that is -1), for `rows` output rows whose first tap reads padded
    coordinate `h0`, of a kernel of `kernel_rows`, and for `n` positions whose first tap reads `w0`.
    """
    length = slot_length(across, window.kernel[2], n)
    height = slot_length(down, kernel_rows, rows)
    stride = window.stride[1] // down.step
    at = image.start + c0 * image.channel + d * image.depth
    for f in range(down.slots):
        shift = h0 + f * window.dilation[1]
        to = first + f * down.pitch * steps.line
        r0, r1 = height, height
        if d >= 0:
            r0 = first_inside(shift, stride, height)
            r1 = max(r0, end_inside(shift, stride, window.size[1], height))
        if r1 > r0:
            _fetch_rows(
                x, at + (r0 * stride + shift) * image.height, stride * image.height, image, r1 - r0,
                c1 - c0, w0, length, window, across, steps, target, to + r0 * steps.line, movers,
            )  # fmt: skip
        for edge in range(r0 + height - r1):
            r = edge if edge < r0 else edge - r0 + r1
            h = -1 if d < 0 else source_index(r * stride + shift, window.size[1], window.mode)
            if h >= 0:
                # A pitch of 0 and one row, but no literals: Numba would compile another function.
                _fetch_rows(
                    x, at + h * image.height, rows - rows, image, rows // rows, c1 - c0, w0,
                    length, window, across, steps, target, to + r * steps.line, movers,
                )  # fmt: skip
                continue
            for c in range(c1 - c0):
                for e in range(across.slots):
                    entry = to + r * steps.line + c * steps.channel + e * steps.slot
                    fill_run(target, entry, 1, length)


@device
def _fetch_rows(
    x: Array, start: int, pitch: int, image: Image, rows: int, channels: int, w0: int, length: int,
    window: WindowAxes, across: Slots, steps: Steps, target: Array, first: int, movers: Movers,
) -> None:  # fmt: skip
    """Write the lines of rows that lie `pitch` apart, of some channels."""
    stride = window.stride[2]
    # What all slots read inside the row, of which each alone may read one position more.
    last = w0 + (across.slots - 1) * window.dilation[2]
    all0 = first_inside(w0, stride, length)
    all1 = end_inside(last, stride, window.size[2], length)
    if all1 <= all0:
        all0, all1 = length, length
    for e in range(across.slots):
        shift = w0 + e * window.dilation[2]
        to = first + e * steps.slot
        i0 = first_inside(shift, stride, length)
        i1 = max(i0, end_inside(shift, stride, window.size[2], length))
        if not movers.cleared and (i0 > 0 or i1 < length):
            for c in range(channels):
                for r in range(rows):
                    _fetch_edges(
                        x, start + c * image.channel + r * pitch, image.width, shift, window, i0,
                        i1, length, target, to + c * steps.channel + r * steps.line,
                    )  # fmt: skip
        at = start + shift * image.width
        if not movers.together:
            _fetch_slot(
                x, at, pitch, image, rows, channels, i0, i1, stride, steps, target, to, movers
            )
            continue
        for c in range(channels):
            for r in range(rows):
                source, entry = at + r * pitch + c * image.channel, to + r * steps.line
                entry += c * steps.channel
                for i in range(i0, min(all0, i1)):
                    target[entry + i] = x[source + i * stride * image.width]
                for i in range(max(all1, i0), i1):
                    target[entry + i] = x[source + i * stride * image.width]
    if movers.together and all0 < all1:
        # Channels that lie apart are turned one by one.
        outer = channels if movers.together == SLOTS else 1
        columns = across.slots * channels // outer
        at = start + (all0 * stride + w0) * image.width
        for c in range(outer):
            turn_rows(
                at + c * image.channel, pitch, stride * image.width, rows, all1 - all0, columns,
                first + all0 + c * steps.channel, steps.line,
                steps.slot if outer == channels else steps.channel, movers, movers.lines,
            )  # fmt: skip


@device
def _fetch_slot(
    x: Array, at: int, pitch: int, image: Image, rows: int, channels: int, i0: int, i1: int,
    stride: int, steps: Steps, target: Array, to: int, movers: Movers,
) -> None:  # fmt: skip
    """Write entries ``[i0, i1)`` of a slot, of which the first of all would be read at `at`."""
    step = stride * image.width
    if movers.turn != 0:
        turn_rows(
            at + i0 * step, pitch, step, rows, i1 - i0, channels, to + i0, steps.line,
            steps.channel, movers, movers.lines,
        )  # fmt: skip
        return
    # Many channels of a few rows, or many rows of a few channels, in one call.
    outer, outer_pitch, outer_apart = channels, image.channel, steps.channel
    inner, inner_pitch, inner_apart = rows, pitch, steps.line
    if channels > rows:
        outer, outer_pitch, outer_apart = rows, pitch, steps.line
        inner, inner_pitch, inner_apart = channels, image.channel, steps.channel
    for i in range(outer):
        source, entry = at + i0 * step + i * outer_pitch, to + i0 + i * outer_apart
        if movers.read != 0:
            link.call(
                movers.read,
                (
                    inner, i1 - i0, movers.x + source * movers.size, inner_pitch * movers.size,
                    step, movers.lines + entry * movers.size, inner_apart * movers.size,
                ),
            )  # fmt: skip
            continue
        for j in range(inner):
            copy_run(
                x, source + j * inner_pitch, step, target, entry + j * inner_apart, 1, i1 - i0
            )  # fmt: skip


@device
def turn_rows(
    start: int, pitch: int, step: int, rows: int, length: int, columns: int, first: int, line: int,
    apart: int, movers: Movers, base: int,
) -> None:  # fmt: skip
    """Write what lies together at each position of some rows to runs that lie `apart`."""
    for r in range(rows):
        link.call(
            movers.turn,
            (
                length, length, columns, movers.x + (start + r * pitch) * movers.size,
                step * movers.size, base + (first + r * line) * movers.size,
                apart * movers.size,
            ),
        )  # fmt: skip


@device
def _fetch_edges(
    x: Array, start: int, step: int, shift: int, window: WindowAxes, i0: int, i1: int, length: int,
    target: Array, first: int,
) -> None:  # fmt: skip
    """Write what is read beyond the ends of a row: entries below i0, and those from i1 on."""
    for edge in range(i0 + length - i1):
        i = edge if edge < i0 else edge - i0 + i1
        w = source_index(i * window.stride[2] + shift, window.size[2], window.mode)
        if w < 0:
            target[first + i] = 0
        else:
            target[first + i] = x[start + w * step]
