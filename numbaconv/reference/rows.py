"""Patches as rows: im2col's kernels that turn strips, or copy runs for each position."""

from typing import Any

import numba
import numpy as np

from numbaconv.kernels.indexing import (
    WindowAxes,
    copy_run,
    end_inside,
    fill_run,
    first_inside,
    patch_index,
    source_index,
    unpack_window,
)
from numbaconv.kernels.jit import device, kernel
from numbaconv.native import link
from numbaconv.problem.arrays import Array, Table
from numbaconv.reference.blocks import (
    STREAMED,
    TURNED,
    Blocks,
    Stretch,
    finish,
    image_at,
    movers_of,
    plane,
    share,
    stage_at,
    stretch,
    strip_elements,
    unpack_blocks,
)
from numbaconv.reference.columns import Matrix, write_columns
from numbaconv.reference.lines import Image, Movers, fetch_strip


@kernel
def im2col_turned(
    workers: int,
    begin: int,
    end: int,
    x: Array,
    x_place: Table,
    packed: Table,
    cut: Table,
    cols: Array,
    cols_place: Table,
    space: Array,
    tables: Array,
    functions: Table,
) -> None:
    """Write patches as rows, turned: tasks ``[begin, end)``, some output rows of some channels."""
    for index in numba.prange(workers):
        worker: Any = np.int64(index)
        window, blocks = unpack_window(packed), unpack_blocks(cut)
        movers = movers_of(functions, x, space[worker], cols, blocks)
        first, last = share(begin, end, worker, workers)
        for task in range(first, last):
            part = stretch(task, blocks, window.output)
            image = image_at(x_place, part.image)
            to = cols_place[0] + part.image * cols_place[1]
            _turned_rows(
                x, image, part, window, blocks, space[worker], tables[0], cols, to, cols_place[5],
                cols_place[2], movers,
            )  # fmt: skip
        finish(movers)


@kernel
def im2col_runs(
    workers: int,
    begin: int,
    end: int,
    x: Array,
    x_place: Table,
    packed: Table,
    cut: Table,
    cols: Array,
    cols_place: Table,
    space: Array,
    tables: Array,
    functions: Table,
) -> None:
    """Write patches as rows, run by run: tasks ``[begin, end)`` as well."""
    for index in numba.prange(workers):
        worker: Any = np.int64(index)
        window, blocks = unpack_window(packed), unpack_blocks(cut)
        movers = movers_of(functions, x, space[worker], cols, blocks)
        first, last = share(begin, end, worker, workers)
        for task in range(first, last):
            part = stretch(task, blocks, window.output)
            image = image_at(x_place, part.image)
            to = cols_place[0] + part.image * cols_place[1]
            for row in range(part.row, part.row_end):
                write_runs(
                    x, image, part.c0, part.c1, row, part.w0, part.n, window,
                    blocks.channel_major != 0, tables[worker], cols,
                    to + (row * window.output[2] + part.w0) * cols_place[2], cols_place[2], movers,
                )  # fmt: skip


@device
def _turned_rows(
    x: Array, image: Image, part: Stretch, window: WindowAxes, blocks: Blocks, strips: Array,
    table: Array, cols: Array, start: int, element_step: int, position_step: int, movers: Movers,
) -> None:  # fmt: skip
    """Write a stretch of rows from strips that are turned."""
    steps = blocks.steps
    taps = window.kernel[0] * window.kernel[1] * window.kernel[2]
    compact, stage = strip_elements(blocks), stage_at(blocks)
    w0 = part.w0 * window.stride[2] - window.low[2]
    table_at = table.ctypes.data
    row = part.row
    while row < part.row_end:
        i, j = row // window.output[1], row % window.output[1]
        rows = min(part.row_end - row, window.output[1] - j, blocks.strip)
        # Of the kernel only a part is in the workspace where all of it would be too much.
        for a0 in range(0, window.kernel[0], blocks.depth_block):
            for b0 in range(0, window.kernel[1], blocks.height_block):
                b1 = min(b0 + blocks.height_block, window.kernel[1])
                for a in range(blocks.depth_block):
                    fetch_strip(
                        x, image, part.c0, part.c1, plane(i, a0 + a, window),
                        j * window.stride[1] + b0 * window.dilation[1] - window.low[1], rows, w0,
                        part.n, window, b1 - b0, blocks.down, blocks.across, steps, strips,
                        a * steps.plane, movers,
                    )  # fmt: skip
                tap = (a0 * window.kernel[1] + b0) * window.kernel[2]
                k = patch_index(part.c0, tap, blocks.channels, taps, blocks.channel_major != 0)
                n = (part.c1 - part.c0) * blocks.depth_block * (b1 - b0) * window.kernel[2]
                to = start + (row * window.output[2] + part.w0) * position_step + k * element_step
                if blocks.compact:
                    # Rows too short to be turned alone: columns first, which are as long as all.
                    _compact(strips, part, window, blocks, b1 - b0, rows, compact, movers)
                    positions = rows * part.n
                    _turn_lines(
                        strips, compact, table, positions * movers.size, n, positions, cols, to,
                        element_step, position_step, movers, stage,
                    )  # fmt: skip
                    continue
                for r in range(rows):
                    _turn_lines(
                        strips, r * blocks.down.step * steps.line, table, table_at, n, part.n, cols,
                        to + r * window.output[2] * position_step, element_step, position_step,
                        movers, stage,
                    )  # fmt: skip
        row += rows


@device
def _compact(
    strips: Array, part: Stretch, window: WindowAxes, blocks: Blocks, kernel_rows: int, rows: int,
    first: int, movers: Movers,
) -> None:  # fmt: skip
    """Write the columns of some output rows to the workspace, from `first` on."""
    channels, taps = part.c1 - part.c0, kernel_rows * window.kernel[2]
    positions = rows * part.n
    for a in range(blocks.depth_block):
        k = patch_index(
            0, a * taps, channels, taps * blocks.depth_block, blocks.channel_major != 0
        )  # fmt: skip
        matrix = Matrix(
            movers.lines, first + k * positions,
            (taps * blocks.depth_block if blocks.channel_major else 1) * positions,
            (1 if blocks.channel_major else channels) * positions, part.n, 1,
        )  # fmt: skip
        write_columns(
            strips, a * blocks.steps.plane, channels, kernel_rows, window.kernel[2], rows, part.n,
            blocks, strips, matrix,
            Movers(
                0, movers.copy, 0, 0, 0, 0, movers.lines, movers.lines, movers.size, 0, 0,
            ),
        )  # fmt: skip


@device
def _turn_lines(
    lines: Array, first: int, table: Array, places: int, n: int, positions: int, cols: Array,
    to: int, element_step: int, position_step: int, movers: Movers, stage: int,
) -> None:  # fmt: skip
    """Write `n` elements of each of some patches.

    They begin where the table at address `places` says, or `places` bytes from one another.
    """
    size = movers.size
    if movers.stream != 0 and element_step == 1 and position_step == n:
        # Whole patches, which are contiguous: some KiB of them at once, past the caches.
        step = max(TURNED, (STREAMED // n + TURNED - 1) // TURNED * TURNED)
        for p in range(0, positions, step):
            count = min(step, positions - p)
            link.call(
                movers.turn_lines,
                (
                    n, n, count, movers.lines + (first + p) * size, places,
                    movers.lines + stage * size, n * size,
                ),
            )  # fmt: skip
            link.call(
                movers.stream,
                (count * n, movers.lines + stage * size, movers.cols + (to + p * n) * size),
            )
        return
    if movers.turn_lines != 0 and element_step == 1:
        link.call(
            movers.turn_lines,
            (
                n, n, positions, movers.lines + first * size, places, movers.cols + to * size,
                position_step * size,
            ),
        )  # fmt: skip
        return
    for k in range(n):
        copy_run(
            lines, first + table[k] // size, 1, cols, to + k * element_step, position_step,
            positions,
        )  # fmt: skip


@device
def input_row(row: int, a: int, b: int, window: WindowAxes) -> tuple[int, int]:
    """Return the input row (d, h) that kernel row (a, b) reads for an output row; -1: no such."""
    h = row % window.output[1] * window.stride[1] + b * window.dilation[1] - window.low[1]
    return plane(row // window.output[1], a, window), source_index(h, window.size[1], window.mode)


@device
def write_runs(
    x: Array, image: Image, c0: int, c1: int, row: int, w0: int, n: int, window: WindowAxes,
    channel_major: bool, table: Array, cols: Array, to: int, step: int, movers: Movers,
) -> None:  # fmt: skip
    """Write patches of `n` positions of an output row, `step` apart, in runs of what lies together.

    Of channels ``[c0, c1)`` where a patch begins with all taps of a channel, else of all of them.
    `table` is room for an entry for each row of the kernel.
    """
    tall, wide = window.kernel[1], window.kernel[2]
    kernel_rows = window.kernel[0] * tall
    for tap in range(kernel_rows):
        d, h = input_row(row, tap // tall, tap % tall, window)
        table[tap] = -1
        if d >= 0 and h >= 0:
            table[tap] = image.start + d * image.depth + h * image.height
    # Kernel rows [b0, b1) lie in the image, one regularly after the other.
    above = row % window.output[1] * window.stride[1] - window.low[1]
    b0 = first_inside(above, window.dilation[1], tall)
    b1 = max(b0, end_inside(above, window.dilation[1], window.size[1], tall))
    pitch = window.dilation[1] * image.height
    # Channels that lie together are a part of the run; else they are gone through outside.
    outer, item = (c1 - c0, 1) if channel_major else (1, c1 - c0)
    dense = image.width == item and window.dilation[2] == 1 and movers.copy != 0
    run = wide * item
    shift = w0 * window.stride[2] - window.low[2]
    i0, i1 = 0, 0
    if dense:
        i0 = first_inside(shift, window.stride[2], n)
        i1 = end_inside(shift + wide - 1, window.stride[2], window.size[2], n)
    to += c0 * kernel_rows * wide if channel_major else c0
    for i in range(n):
        w = i * window.stride[2] + shift
        inside = i0 <= i < i1
        for c in range(outer):
            at = to + i * step + c * kernel_rows * wide
            b = 0
            for tap in range(kernel_rows):
                start = table[tap] + (c0 + c) * image.channel
                if table[tap] < 0:
                    fill_run(cols, at + tap * run, 1, run)
                elif not inside:
                    _write_taps(x, start, image, w, window, item, cols, at + tap * run)
                elif b == b0 or b < b0 or b >= b1:
                    count = b1 - b0 if b == b0 and b1 > b0 else 1
                    link.call(
                        movers.copy,
                        (
                            count, run, movers.x + (start + w * image.width) * movers.size,
                            pitch * movers.size, 1, movers.cols + (at + tap * run) * movers.size,
                            run * movers.size,
                        ),
                    )  # fmt: skip
                b += 1
                if b == tall:
                    b = 0


@device
def _write_taps(
    x: Array, start: int, image: Image, w: int, window: WindowAxes, item: int, cols: Array,
    to: int,
) -> None:  # fmt: skip
    """Write what the taps of one kernel row read from padded coordinate `w` on, one by one."""
    for e in range(window.kernel[2]):
        i = source_index(w + e * window.dilation[2], window.size[2], window.mode)
        if i < 0:
            fill_run(cols, to, 1, item)
        else:
            copy_run(x, start + i * image.width, image.channel, cols, to, 1, item)
        to += item
