"""The loops of pooling, in addresses and bytes: one machine code for all dtypes."""

from typing import NamedTuple

import numpy as np

from numbaconv.kernels.indexing import (
    WindowAxes,
    end_inside,
    first_inside,
    unpack_window,
)
from numbaconv.kernels.jit import device, unpacker
from numbaconv.kernels.long_sums import LONGEST, whole_sums
from numbaconv.native.link import call, fetch_add
from numbaconv.problem.arrays import Array, Table
from numbaconv.teams.jobs import fork_join, fork_tasks, tasks_kernel, team_kernel, team_part

#: Positions of a group, of which is known which elements it reaches.
GROUP = 64
# Bytes of small planes that are cleared at once, before values are scattered over them.
_CLEARED_BYTES = 1 << 15


class Shape(NamedTuple):
    """What the loops need to know, all int64; strides in bytes.

    A *line* is some outputs of an output row of one channel, or with channels last all channels of
    an output position. A *plane* is what such lines repeat over: a channel of an image, or with
    channels last an image.
    """

    size: int  # bytes of an element
    channels: int
    channels_last: int
    planes: int  # of an image, or where images follow each other, of the batch
    groups: int  # of so many planes
    block: int  # planes of a task
    parts: int  # of the lines, each a task
    piece: int  # outputs of a line, at most
    uniform: int  # whether the counts are those of any line, not of a whole row
    x_group: int
    x_plane: int
    x_channel: int
    x_depth: int
    x_row: int
    x_column: int


_unpack = unpacker(Shape)


@team_kernel
def reduce(
    team: int,
    workers: int,
    begin: int,
    end: int,
    x: int,
    out: int,
    indices: int,
    reducer: int,
    counter: Table,
    packed: Table,
    window: Table,
    counts: int,
    depth_counts: Table,
    row_counts: Table,
    column_counts: Table,
) -> None:
    """Reduce the lines of some tasks; each worker fetches the next until none is left."""
    counter[0] = begin
    shared = (
        end, x, out, indices, reducer, counter, packed, window, counts, depth_counts, row_counts,
        column_counts,
    )  # fmt: skip
    fork_join(team, workers, _reduce_tasks, shared)


@team_part
def _reduce_tasks(
    worker: int,
    end: int,
    x: int,
    out: int,
    indices: int,
    reducer: int,
    counter: Table,
    packed: Table,
    window: Table,
    counts: int,
    depth_counts: Table,
    row_counts: Table,
    column_counts: Table,
) -> None:
    s = _unpack(packed)
    w = unpack_window(window)
    blocks = (s.planes + s.block - 1) // s.block
    across = w.output[2] if s.channels_last else (w.output[2] + s.piece - 1) // s.piece
    lines = w.output[0] * w.output[1] * across
    out_plane = w.output[0] * w.output[1] * w.output[2] * (s.channels if s.channels_last else 1)
    while True:
        task = fetch_add(counter.ctypes.data)
        if task >= end:
            break
        part = task % s.parts
        first = task // s.parts % blocks * s.block
        group = task // s.parts // blocks
        planes = min(s.block, s.planes - first)
        source = x + group * s.x_group + first * s.x_plane
        start = (group * s.planes + first) * out_plane
        for line in range(part * lines // s.parts, (part + 1) * lines // s.parts):
            row, q = line // across, line % across
            d, h = row // w.output[1], row % w.output[1]
            a0, a1, i = taps_inside(w, 0, d)
            b0, b1, j = taps_inside(w, 1, h)
            divisor = count_of(depth_counts, d) * count_of(row_counts, h)
            if s.channels_last:
                e0, e1, column = taps_inside(w, 2, q)
                length, step_bytes, index_step = s.channels, s.x_channel, 0
                to = (row * w.output[2] + q) * s.channels
                divisor *= count_of(column_counts, q)
                counted = counts
            else:
                q *= s.piece
                e0, e1, column = 0, w.kernel[2], q * w.stride[2] - w.low[2]
                length, index_step = min(s.piece, w.output[2] - q), w.stride[2]
                step_bytes = w.stride[2] * s.x_column
                to = row * w.output[2] + q
                counted = counts if s.uniform else counts + q * s.size
            call(
                reducer,
                (
                    out + (start + to) * s.size, indices + (start + to) * 8, length,
                    source + i * s.x_depth + j * s.x_row + column * s.x_column, a1 - a0, b1 - b0,
                    e1 - e0, w.dilation[0] * s.x_depth, w.dilation[1] * s.x_row,
                    w.dilation[2] * s.x_column, (i * w.size[1] + j) * w.size[2] + column,
                    w.dilation[0] * w.size[1] * w.size[2], w.dilation[1] * w.size[2],
                    w.dilation[2], column, w.stride[2], w.dilation[2], w.size[2], step_bytes,
                    index_step, counted, divisor, planes, s.x_plane, out_plane,
                ),
            )  # fmt: skip


@device
def count_of(counts: Table, i: int) -> int:
    """Return a window's count, of which there may be one for all."""
    return counts[i] if counts.size > 1 else counts[0]  # type: ignore[no-any-return]


@device
def taps_inside(w: WindowAxes, axis: int, o: int) -> tuple[int, int, int]:
    """Return the first tap of output `o` inside the input, their end, and what the first reads."""
    start = o * w.stride[axis] - w.low[axis]
    first = first_inside(start, w.dilation[axis], w.kernel[axis])
    end = end_inside(start, w.dilation[axis], w.size[axis], w.kernel[axis])
    return first, end, start + first * w.dilation[axis]


@team_kernel
def scatter(
    team: int,
    workers: int,
    begin: int,
    end: int,
    size: int,
    positions: int,
    channels: int,
    itemsize: int,
    out: Array,
    values: int,
    indices: int,
    scatterer: int,
    wrong: Table,
) -> None:
    """Scatter `positions` values over the `size` elements, zero at first, of each plane of a task.

    A task, from `begin` to `end`, is a plane or, with channels last, an image, whose planes lie
    among each other; it has `channels` of them. Small planes are taken together, so that they are
    cleared in one run.
    """
    nbytes = size * channels * itemsize
    together = max(1, _CLEARED_BYTES // max(nbytes, 1)) if channels == 1 else 1
    shared = (
        begin, end, together, size, positions, channels, itemsize, out, values, indices, scatterer,
        wrong,
    )  # fmt: skip
    fork_tasks(team, workers, (end - begin + together - 1) // together, _scatter_some, shared)


@team_part
def _scatter_some(
    index: int,
    worker: int,
    begin: int,
    end: int,
    together: int,
    size: int,
    positions: int,
    channels: int,
    itemsize: int,
    out: Array,
    values: int,
    indices: int,
    scatterer: int,
    wrong: Table,
) -> None:
    nbytes = size * channels * itemsize
    task = begin + index * together
    planes = min(together, end - task)
    clear_run(out, task * nbytes, planes * nbytes)
    _scatter_task(
        task, planes, size, positions, channels, itemsize, out.ctypes.data, values, indices,
        scatterer, wrong[worker].ctypes.data,
    )  # fmt: skip


@device
def _scatter_task(
    task: int,
    planes: int,
    size: int,
    positions: int,
    channels: int,
    itemsize: int,
    out: int,
    values: int,
    indices: int,
    scatterer: int,
    flag: int,
) -> None:
    """Scatter the values of some planes, or of one image."""
    nbytes = size * channels * itemsize
    start = task * positions * channels
    outer, inner = (planes, positions) if channels == 1 else (positions, channels)
    call(
        scatterer,
        (
            out + task * nbytes, nbytes if channels == 1 else 0, 0 if channels == 1 else itemsize,
            channels * itemsize, size, values + start * itemsize, indices + start * 8, outer, inner,
            flag,
        ),
    )  # fmt: skip


@tasks_kernel
def scatter_many(
    index: int, worker: int, begin: int, size: int, positions: int, channels: int, out: Array,
    values: Array, indices: Table, scatterer: int, wrong: Table, groups: Table, low: Array,
) -> None:  # fmt: skip
    """Do the same where an element may get so many values that its sum is long.

    So it is where too many groups of positions reach one element; then sums are compensated, in as
    many bands of elements as `low` has room for. In `groups` are for each worker four rows, an
    entry for each group.
    """
    task = begin + index
    start, first = task * positions * channels, task * size * channels
    target = out[first : first + size * channels]
    found = indices[start : start + positions * channels]
    clear_run(target, 0, target.size)
    if _most_addends(found, positions, channels, groups[worker]) <= LONGEST:
        _scatter_task(
            task, 1, size, positions, channels, out.itemsize, out.ctypes.data,
            values.ctypes.data, indices.ctypes.data, scatterer, wrong[worker].ctypes.data,
        )  # fmt: skip
    else:
        wrong[worker, 0] |= _scatter_exactly(
            found, values[start : start + positions * channels], size, channels, target,
            low[worker],
        )  # fmt: skip


@device
def _most_addends(indices: Table, positions: int, channels: int, groups: Table) -> int:
    """Return a bound of how many values one element gets, from the reach of groups of positions."""
    count = (positions + GROUP - 1) // GROUP
    least, most, below, above = groups[0], groups[1], groups[2], groups[3]
    for g in range(count):
        part = indices[g * GROUP * channels : min((g + 1) * GROUP, positions) * channels]
        low, high = part[0], part[0]
        for i in range(part.size):
            low, high = min(low, part[i]), max(high, part[i])
        least[g], most[g] = low, high
    # The greatest so far, and the least from there on: both grow, so they can be searched.
    for g in range(count):
        above[g] = most[g] if g == 0 else max(above[g - 1], most[g])
    for g in range(count - 1, -1, -1):
        below[g] = least[g] if g == count - 1 else min(below[g + 1], least[g])
    found = 0
    for g in range(count):
        first = np.searchsorted(above[:count], least[g])
        last = np.searchsorted(below[:count], most[g], side="right")
        found = max(found, last - first)
    return found * GROUP


@device
def _scatter_exactly(
    indices: Table, values: Array, size: int, channels: int, out: Array, low: Array
) -> int:
    """Add values to elements with compensation; return 1 if an index is wrong."""
    wrong = 0
    band = max(1, low.size // channels)
    for b0 in range(0, size, band):
        b1 = min(b0 + band, size)
        clear_run(low, 0, (b1 - b0) * channels)
        for i in range(indices.size):
            index = indices[i]
            if b0 <= index < b1:
                at, c = index * channels + i % channels, (index - b0) * channels + i % channels
                part = values[i]
                total = out[at] + part
                taken = total - out[at]
                low[c] += (out[at] - (total - taken)) + (part - taken)
                out[at] = total
            elif index < -1 or index >= size:
                wrong = 1
        part_of = out[b0 * channels : b1 * channels]
        whole_sums(part_of, low[: part_of.size], part_of)
    return wrong


@device
def clear_run(out: Array, begin: int, count: int) -> None:
    """Write zeros to `count` elements."""
    part = out[begin : begin + count]
    for i in range(part.size):
        part[i] = 0
