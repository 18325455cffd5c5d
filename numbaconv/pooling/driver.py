"""The loops of pooling, in addresses and bytes: one machine code for all dtypes."""

from typing import Any, NamedTuple

import numba
import numpy as np

from numbaconv.arrays import Array, Place
from numbaconv.indexing import WindowAxes, reached_from, unpack_window
from numbaconv.jit import device, kernel
from numbaconv.native.link import call, fetch_add

# Bytes of small planes that are cleared at once, before values are scattered over them.
_CLEARED_BYTES = 1 << 15


class Shape(NamedTuple):
    """What the loops need to know, all int64; strides in bytes.

    A *line* is an output row of one channel, or with channels last all channels of an output
    position. A *plane* is what such lines repeat over: a channel of an image, or with channels last
    an image. The taps of a line are looked up once for a block of planes.
    """

    size: int  # bytes of an element
    channels: int
    channels_last: int
    planes: int  # of an image, or where images follow each other, of the batch
    groups: int  # of so many planes
    block: int  # planes of a task
    parts: int  # of the output rows, each a task
    x_group: int
    x_plane: int
    x_channel: int
    x_depth: int
    x_row: int
    x_column: int


@device
def _unpack(p: Place) -> Shape:
    return Shape(
        p[0], p[1], p[2], p[3], p[4], p[5], p[6], p[7], p[8], p[9], p[10], p[11], p[12]
    )  # fmt: skip


@kernel
def reduce(
    workers: int,
    x: int,
    out: int,
    indices: int,
    reducer: int,
    counter: Place,
    packed: Place,
    window: Place,
    columns: Place,
    counts: int,
    depth_counts: Place,
    row_counts: Place,
    column_counts: Place,
    table: Place,
) -> None:
    """Reduce all lines; each worker fetches the next task until none is left."""
    counter[0] = 0
    for index in numba.prange(workers):
        worker: Any = np.int64(index)
        _reduce_tasks(
            x, out, indices, reducer, counter, packed, window, columns, counts, depth_counts,
            row_counts, column_counts, table[worker],
        )  # fmt: skip


@device
def _reduce_tasks(
    x: int,
    out: int,
    indices: int,
    reducer: int,
    counter: Place,
    packed: Place,
    window: Place,
    columns: Place,
    counts: int,
    depth_counts: Place,
    row_counts: Place,
    column_counts: Place,
    table: Place,
) -> None:
    s = _unpack(packed)
    w = unpack_window(window)
    blocks = (s.planes + s.block - 1) // s.block
    rows = w.output[0] * w.output[1]
    tasks = s.groups * blocks * s.parts
    out_plane = rows * w.output[2] * (s.channels if s.channels_last else 1)
    while True:
        task = fetch_add(counter.ctypes.data)
        if task >= tasks:
            break
        part = task % s.parts
        first = task // s.parts % blocks * s.block
        group = task // s.parts // blocks
        planes = min(s.block, s.planes - first)
        source = x + group * s.x_group + first * s.x_plane
        begin = (group * s.planes + first) * out_plane
        for row in range(part * rows // s.parts, (part + 1) * rows // s.parts):
            d, h = row // w.output[1], row % w.output[1]
            factor = depth_counts[d] * row_counts[h]
            for q in range(w.output[2] if s.channels_last else 1):
                if s.channels_last:
                    taps = _taps_of_position(s, w, source, d, h, q, table)
                    length, step_bytes, index_step = s.channels, s.x_channel, 0
                    line = (row * w.output[2] + q) * s.channels
                    divisor = factor * column_counts[q]
                else:
                    taps = _taps_of_row(s, w, source, d, h, columns, table)
                    length = w.output[2]
                    step_bytes, index_step = w.stride[2] * s.x_column, w.stride[2]
                    line = row * w.output[2]
                    divisor = factor
                call(
                    reducer,
                    (
                        out + (begin + line) * s.size, indices + (begin + line) * 8, length,
                        table.ctypes.data, taps, step_bytes, index_step, counts, divisor, planes,
                        s.x_plane, out_plane,
                    ),
                )  # fmt: skip


@device
def _taps_of_row(
    s: Shape, w: WindowAxes, source: int, d: int, h: int, columns: Place, table: Place
) -> int:
    """Write the table of an output row's taps; return how many there are."""
    taps = 0
    for a in range(w.kernel[0]):
        i = d * w.stride[0] + a * w.dilation[0] - w.low[0]
        if i < 0 or i >= w.size[0]:
            continue
        for b in range(w.kernel[1]):
            j = h * w.stride[1] + b * w.dilation[1] - w.low[1]
            if j < 0 or j >= w.size[1]:
                continue
            row = source + i * s.x_depth + j * s.x_row
            first = (i * w.size[1] + j) * w.size[2]
            for e in range(w.kernel[2]):
                if columns[e, 0] < columns[e, 1]:
                    shift = e * w.dilation[2] - w.low[2]
                    table[4 * taps] = row + shift * s.x_column
                    table[4 * taps + 1] = columns[e, 0]
                    table[4 * taps + 2] = columns[e, 1]
                    table[4 * taps + 3] = first + shift
                    taps += 1
    return taps


@device
def _taps_of_position(
    s: Shape, w: WindowAxes, source: int, d: int, h: int, q: int, table: Place
) -> int:
    """Write the table of an output position's taps; return how many there are."""
    taps = 0
    for a in range(w.kernel[0]):
        i = d * w.stride[0] + a * w.dilation[0] - w.low[0]
        if i < 0 or i >= w.size[0]:
            continue
        for b in range(w.kernel[1]):
            j = h * w.stride[1] + b * w.dilation[1] - w.low[1]
            if j < 0 or j >= w.size[1]:
                continue
            for e in range(w.kernel[2]):
                p = q * w.stride[2] + e * w.dilation[2] - w.low[2]
                if 0 <= p < w.size[2]:
                    table[4 * taps] = source + i * s.x_depth + j * s.x_row + p * s.x_column
                    table[4 * taps + 1] = 0
                    table[4 * taps + 2] = s.channels
                    table[4 * taps + 3] = (i * w.size[1] + j) * w.size[2] + p
                    taps += 1
    return taps


@kernel
def spread(
    workers: int,
    x: int,
    out: int,
    reducer: int,
    counter: Place,
    packed: Place,
    window: Place,
    phases: int,
    factor: int,
    counts: int,
    table: Place,
) -> None:
    """Sum for each input what windows bring, ``1 / factor`` of each; workers as in `reduce`."""
    counter[0] = 0
    for index in numba.prange(workers):
        worker: Any = np.int64(index)
        _spread_tasks(
            x, out, reducer, counter, packed, window, phases, factor, counts, table[worker]
        )


@device
def _spread_tasks(
    x: int,
    out: int,
    reducer: int,
    counter: Place,
    packed: Place,
    window: Place,
    phases: int,
    factor: int,
    counts: int,
    table: Place,
) -> None:
    s = _unpack(packed)
    w = unpack_window(window)
    blocks = (s.planes + s.block - 1) // s.block
    rows = w.size[0] * w.size[1]
    out_plane = rows * w.size[2] * (s.channels if s.channels_last else 1)
    while True:
        task = fetch_add(counter.ctypes.data)
        if task >= blocks * s.parts:
            break
        part, first = task % s.parts, task // s.parts * s.block
        planes = min(s.block, s.planes - first)
        source, begin = x + first * s.x_plane, first * out_plane
        for row in range(part * rows // s.parts, (part + 1) * rows // s.parts):
            d, h = row // w.size[1], row % w.size[1]
            for q in range(phases):
                taps = _windows_of_row(s, w, source, d, h, q, phases, table)
                line = row * w.size[2] + q
                if s.channels_last:
                    line *= s.channels
                    length = s.channels
                else:
                    length = (w.size[2] - q + phases - 1) // phases
                call(
                    reducer,
                    (
                        out + (begin + line) * s.size, 0, length, table.ctypes.data, taps, s.size,
                        0, counts, factor, planes, s.x_plane, out_plane,
                    ),
                )  # fmt: skip


@device
def _windows_of_row(
    s: Shape, w: WindowAxes, source: int, d: int, h: int, q: int, phases: int, table: Place
) -> int:
    """Write the table of the windows that reach an input row; return how many there are.

    Of the row every `phases`-th position from `q` on; where those are all it has, as with channels
    last, position `q` alone. Along a phase neighbours are reached by neighbouring windows.
    """
    found = 0
    for a in range(w.kernel[0]):
        i = reached_from(d + w.low[0], a * w.dilation[0], w.stride[0], w.output[0])
        if i < 0:
            continue
        for b in range(w.kernel[1]):
            j = reached_from(h + w.low[1], b * w.dilation[1], w.stride[1], w.output[1])
            if j < 0:
                continue
            row = source + i * s.x_depth + j * s.x_row
            for e in range(w.kernel[2]):
                ahead = q + w.low[2] - e * w.dilation[2]
                if ahead % w.stride[2]:
                    continue
                o = ahead // w.stride[2]
                begin, end = max(-o, 0), w.output[2] - o
                if phases == w.size[2]:
                    if o < 0 or o >= w.output[2]:
                        continue
                    begin, end = 0, s.channels if s.channels_last else 1
                if begin < end:
                    table[4 * found] = row + o * s.x_column
                    table[4 * found + 1] = begin
                    table[4 * found + 2] = end
                    found += 1
    return found


@kernel
def scatter(
    workers: int,
    tasks: int,
    size: int,
    positions: int,
    channels: int,
    itemsize: int,
    out: Array,
    values: int,
    indices: int,
    scatterer: int,
    wrong: Place,
) -> None:
    """Scatter `positions` values over the `size` elements, zero at first, of each plane of a task.

    A task is a plane or, with channels last, an image, whose planes lie among each other; it has
    `channels` of them. Small planes are taken together, so that they are cleared in one run.
    """
    nbytes = size * channels * itemsize
    together = max(1, _CLEARED_BYTES // max(nbytes, 1)) if channels == 1 else 1
    for index in numba.prange(workers):
        worker: Any = np.int64(index)
        flag = wrong[worker].ctypes.data
        last = (worker + 1) * tasks // workers
        for task in range(worker * tasks // workers, last, together):
            planes = min(together, last - task)
            clear_run(out, task * nbytes, planes * nbytes)
            start = task * positions * channels
            outer, inner = (planes, positions) if channels == 1 else (positions, channels)
            call(
                scatterer,
                (
                    out.ctypes.data + task * nbytes, nbytes if channels == 1 else 0,
                    0 if channels == 1 else itemsize, channels * itemsize, size,
                    values + start * itemsize, indices + start * 8, outer, inner, flag,
                ),
            )  # fmt: skip


@device
def clear_run(out: Array, begin: int, count: int) -> None:
    """Write zeros to `count` bytes."""
    part = out[begin : begin + count]
    for i in range(part.size):
        part[i] = 0
