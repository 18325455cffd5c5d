"""Patches as columns: im2col's kernels that write runs of positions for each element."""

from typing import Any, NamedTuple

import numba
import numpy as np

from numbaconv.kernels.indexing import (
    WindowAxes,
    copy_run,
    fill_run,
    patch_index,
    split_axes,
    unpack_window,
)
from numbaconv.kernels.jit import device, kernel
from numbaconv.native import link
from numbaconv.problem.arrays import Array, Table
from numbaconv.reference.blocks import (
    LEAST_STREAMED,
    Blocks,
    Stretch,
    finish,
    image_at,
    movers_of,
    plane,
    share,
    stage_at,
    stretch,
    unpack_blocks,
)
from numbaconv.reference.lines import SLOTS, Image, Movers, fetch_strip, turn_rows


@kernel
def im2col_columns(
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
    """Write patches as columns: tasks ``[begin, end)``, some output rows of some channels each."""
    for index in numba.prange(workers):
        worker: Any = np.int64(index)
        window, blocks = unpack_window(packed), unpack_blocks(cut)
        movers = movers_of(functions, x, space[worker], cols, blocks)
        first, last = share(begin, end, worker, workers)
        for task in range(first, last):
            part = stretch(task, blocks, window.output)
            image = image_at(x_place, part.image)
            to = cols_place[0] + part.image * cols_place[1]
            to += (part.row * window.output[2] + part.w0) * cols_place[5]
            gather_columns(
                x, image, part, window, blocks, space[worker], cols, to, cols_place[2],
                window.output[2] * cols_place[5], cols_place[5], movers,
            )  # fmt: skip
        finish(movers)


@kernel
def im2col_direct(
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
    """Do that where windows share nothing and lie inside: from where their elements lie."""
    for index in numba.prange(workers):
        worker: Any = np.int64(index)
        window, blocks = unpack_window(packed), unpack_blocks(cut)
        movers = movers_of(functions, x, space[worker], cols, blocks)
        first, last = share(begin, end, worker, workers)
        for task in range(first, last):
            part = stretch(task, blocks, window.output)
            image = image_at(x_place, part.image)
            to = cols_place[0] + part.image * cols_place[1]
            _direct_columns(image, part, window, blocks, to, cols_place[2], movers)


@kernel
def im2col_shifted(
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
    """Do that where a tap's output rows are the input's, one after the other, moved."""
    for index in numba.prange(workers):
        worker: Any = np.int64(index)
        window, blocks = unpack_window(packed), unpack_blocks(cut)
        movers = movers_of(functions, x, space[worker], cols, blocks)
        first, last = share(begin, end, worker, workers)
        for task in range(first, last):
            part = stretch(task, blocks, window.output)
            image = image_at(x_place, part.image)
            to = cols_place[0] + part.image * cols_place[1]
            _shifted_columns(
                x, image, part, window, blocks, space[worker], cols, to, cols_place[2], movers
            )  # fmt: skip
        finish(movers)


@device
def gather_columns(
    x: Array, image: Image, part: Stretch, window: WindowAxes, blocks: Blocks, strips: Array,
    cols: Array, start: int, element_step: int, row_step: int, position_step: int, movers: Movers,
) -> None:  # fmt: skip
    """Write a stretch of columns, strip by strip; element 0 of its first position is at `start`."""
    taps = window.kernel[0] * window.kernel[1] * window.kernel[2]
    w0 = part.w0 * window.stride[2] - window.low[2]
    row = part.row
    while row < part.row_end:
        i, j = row // window.output[1], row % window.output[1]
        rows = min(part.row_end - row, window.output[1] - j, blocks.strip)
        to = start + (row - part.row) * row_step
        for a in range(window.kernel[0]):
            d = plane(i, a, window)
            for b0 in range(0, window.kernel[1], blocks.height_block):
                b1 = min(b0 + blocks.height_block, window.kernel[1])
                fetch_strip(
                    x, image, part.c0, part.c1, d,
                    j * window.stride[1] + b0 * window.dilation[1] - window.low[1], rows, w0,
                    part.n, window, b1 - b0, blocks.down, blocks.across, blocks.steps, strips, 0,
                    movers,
                )  # fmt: skip
                tap = (a * window.kernel[1] + b0) * window.kernel[2]
                k = patch_index(part.c0, tap, blocks.channels, taps, blocks.channel_major != 0)
                matrix = Matrix(
                    movers.cols, to + k * element_step,
                    (taps if blocks.channel_major else 1) * element_step,
                    (1 if blocks.channel_major else blocks.channels) * element_step, row_step,
                    position_step,
                )  # fmt: skip
                write_columns(
                    strips, 0, part.c1 - part.c0, b1 - b0, window.kernel[2], rows, part.n, blocks,
                    cols, matrix, movers,
                )  # fmt: skip
        row += rows


@device
def _direct_columns(
    image: Image, part: Stretch, window: WindowAxes, blocks: Blocks, start: int, element_step: int,
    movers: Movers,
) -> None:  # fmt: skip
    """Write a stretch of columns from where their elements lie."""
    size, wide = movers.size, window.kernel[2]
    taps = window.kernel[0] * window.kernel[1] * wide
    step = window.stride[2] * image.width
    pitch = window.stride[1] * image.height
    channels = part.c1 - part.c0
    row = part.row
    while row < part.row_end:
        i, j = row // window.output[1], row % window.output[1]
        rows = min(part.row_end - row, window.output[1] - j, blocks.strip)
        to = start + row * window.output[2] + part.w0
        at = image.start + part.c0 * image.channel + part.w0 * step
        at += j * pitch + i * window.stride[0] * image.depth
        for tap in range(taps):
            a, b, e = split_axes(tap, window.kernel)
            together = movers.together != 0
            if together and e > 0:
                continue
            source = at + a * window.dilation[0] * image.depth
            source += b * window.dilation[1] * image.height + e * window.dilation[2] * image.width
            k = patch_index(part.c0, tap, blocks.channels, taps, blocks.channel_major != 0)
            entry = to + k * element_step
            if movers.turn == 0 or movers.together == SLOTS:
                apart = (taps if blocks.channel_major else 1) * element_step
                tap_step = (1 if blocks.channel_major else blocks.channels) * element_step
                for c in range(channels):
                    if together:
                        turn_rows(
                            source + c * image.channel, pitch, step, rows, part.n, wide,
                            entry + c * apart, window.output[2], tap_step, movers, movers.cols,
                        )  # fmt: skip
                        continue
                    link.call(
                        movers.read,
                        (
                            rows, part.n, movers.x + (source + c * image.channel) * size,
                            pitch * size, step, movers.cols + (entry + c * apart) * size,
                            window.output[2] * size,
                        ),
                    )  # fmt: skip
                continue
            turn_rows(
                source, pitch, step, rows, part.n, channels * (wide if together else 1), entry,
                window.output[2], element_step, movers, movers.cols,
            )  # fmt: skip
        row += rows


class Matrix(NamedTuple):
    """Where columns go: an address, where the first begins, and the steps between elements."""

    base: int
    start: int
    channel: int
    tap: int
    row: int
    position: int


@device
def write_columns(
    strips: Array, first: int, channels: int, kernel_rows: int, kernel_width: int, rows: int,
    n: int, blocks: Blocks, cols: Array, matrix: Matrix, movers: Movers,
) -> None:  # fmt: skip
    """Write what the taps of some kernel rows read of the strips from `first` on.

    In the order of the matrix, where `matrix` says. Past the caches where that is asked for and
    what is written together is long enough; it is then made one run in the workspace before.
    """
    down, across, steps = blocks.down, blocks.across, blocks.steps
    apart, size, run = down.step * steps.line, movers.size, rows * n
    stage = stage_at(blocks)
    joined = matrix.position == 1 and (rows == 1 or matrix.row == n)
    outer, inner = (channels, 1) if blocks.channel_major else (1, channels)
    # Taps that follow one another in the matrix go together.
    chained = (matrix.tap if blocks.channel_major else matrix.channel) == run
    whole = kernel_rows * kernel_width * run if blocks.channel_major else channels * run
    streamed = movers.stream != 0 and joined and (whole if chained else run) >= LEAST_STREAMED
    filled, begin = 0, 0
    for o in range(outer):
        for b in range(kernel_rows):
            at = b % down.slots * down.pitch + b // down.slots * down.shift
            at = first + at * steps.line + o * steps.channel
            slot, shift = 0, 0
            for e in range(kernel_width):
                source = at + slot * steps.slot + shift
                to = matrix.start + o * matrix.channel + (b * kernel_width + e) * matrix.tap
                for c in range(inner):
                    here, there = source + c * steps.channel, to + c * matrix.channel
                    if streamed:
                        if filled > 0 and (begin + filled != there or filled + run > blocks.staged):
                            _stream(stage, begin, filled, matrix.base, movers)
                            filled = 0
                        if filled == 0:
                            begin = there
                        link.call(
                            movers.copy,
                            (
                                rows, n, movers.lines + here * size, apart * size, 1,
                                movers.lines + (stage + filled) * size, n * size,
                            ),
                        )  # fmt: skip
                        filled += run
                    elif movers.copy != 0 and matrix.position == 1:
                        link.call(
                            movers.copy,
                            (
                                rows, n, movers.lines + here * size, apart * size, 1,
                                matrix.base + there * size, matrix.row * size,
                            ),
                        )  # fmt: skip
                    else:
                        for r in range(rows):
                            copy_run(
                                strips, here + r * apart, 1, cols, there + r * matrix.row,
                                matrix.position, n,
                            )  # fmt: skip
                slot += 1
                if slot == across.slots:
                    slot = 0
                    shift += across.shift
    if filled > 0:
        _stream(stage, begin, filled, matrix.base, movers)


@device
def _stream(stage: int, begin: int, n: int, base: int, movers: Movers) -> None:
    """Write what the stage holds past the caches."""
    link.call(
        movers.stream, (n, movers.lines + stage * movers.size, base + begin * movers.size)
    )  # fmt: skip


@device
def _shifted_columns(
    x: Array, image: Image, part: Stretch, window: WindowAxes, blocks: Blocks, staged: Array,
    cols: Array, start: int, element_step: int, movers: Movers,
) -> None:  # fmt: skip
    """Write whole rows of an output as wide as the input: all rows of a tap in one copy."""
    height, width = window.output[1], window.output[2]
    k = part.c0 * window.kernel[0] * window.kernel[1] * window.kernel[2]
    if not blocks.channel_major:
        k = part.c0
    for a in range(window.kernel[0]):
        for b in range(window.kernel[1]):
            for e in range(window.kernel[2]):
                to = start + k * element_step + part.row * width
                k += 1 if blocks.channel_major else blocks.channels
                row = part.row
                while row < part.row_end:
                    rows = min(part.row_end - row, height - row % height)
                    d = row // height * window.stride[0] + a * window.dilation[0] - window.low[0]
                    if 0 <= d < window.size[0]:
                        h = row % height + b * window.dilation[1] - window.low[1]
                        shift = e * window.dilation[2] - window.low[2]
                        at = image.start + part.c0 * image.channel + d * image.depth
                        if movers.stream != 0:
                            stage = stage_at(blocks)
                            shifted_rows(
                                x, at, shift, h, window.size[1], width, staged, stage, rows
                            )
                            link.call(
                                movers.stream,
                                (
                                    rows * width, movers.lines + stage * movers.size,
                                    movers.cols + to * movers.size,
                                ),
                            )  # fmt: skip
                        else:
                            shifted_rows(x, at, shift, h, window.size[1], width, cols, to, rows)
                    else:
                        fill_run(cols, to, 1, rows * width)
                    to += rows * width
                    row += rows


@device
def shifted_rows(
    x: Array, start: int, shift: int, h0: int, height: int, width: int, target: Array, first: int,
    rows: int,
) -> None:  # fmt: skip
    """Write rows ``h0, h0 + 1, ...`` of a plane, each shifted, with zeros beyond the edges."""
    r0 = min(max(0, -h0), rows)
    r1 = max(r0, min(rows, height - h0))
    left = min(max(0, -shift), width)
    right = min(max(0, shift), width)
    if left == width or right == width:
        r1 = r0
    fill_run(target, first, 1, r0 * width)
    fill_run(target, first + r1 * width, 1, (rows - r1) * width)
    if r1 == r0:
        return
    # From the first to the last element inside; what runs across the ends of rows is wrong.
    n = (r1 - r0) * width - left - right
    copy_run(
        x, start + (h0 + r0) * width + left + shift, 1, target, first + r0 * width + left, 1, n
    )
    for r in range(r0, r1):
        fill_run(target, first + r * width, 1, left)
        fill_run(target, first + (r + 1) * width - right, 1, right)
