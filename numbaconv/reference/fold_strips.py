"""Folding patches at the speed of memory: how col2im is cut, and which kernels run it.

What is written is partitioned, each element of the result is summed by one thread in the order of
the kernel's taps. There are two ways to sum a stretch of result rows:

- patches that are columns, or are made columns by turning squares of them, are added run by run to
  rows in slots (see `numbaconv.reference.lines`), which are then written out: `fold_taps`;
- patches that are rows of channels that lie together are added to the result as they are:
  `col2im_runs`.

What these cannot take (long sums, strides of any kind, no native code) `numbaconv.reference.fold`
sums position by position.
"""

import math
from typing import Any

import numba
import numpy as np

from numbaconv.kernels import held, threads, workspace
from numbaconv.kernels.indexing import (
    WindowAxes,
    end_inside,
    fill_run,
    first_inside,
    reached_from,
    unpack_place,
    unpack_window,
)
from numbaconv.kernels.jit import device, kernel, native_available
from numbaconv.native import emit, link
from numbaconv.native.moves import adder, mover, spreader
from numbaconv.native.transpose import transposer
from numbaconv.problem.arrays import Array, Flat, Table
from numbaconv.problem.cuts import even_block
from numbaconv.problem.geometry import Window, three_axes
from numbaconv.reference import fold_taps
from numbaconv.reference.blocks import share
from numbaconv.reference.fold_blocks import Blocks, Part, Tools, part_of, tools_of, unpack_blocks
from numbaconv.reference.lines import Slots

# Positions of a result row beyond which it is cut, and those of a task.
_LONGEST_PIECE = 1024
_POSITIONS = 2048
_LEAST_ROWS = 8
# Planes that share what is turned.
_PLANES = 4
# Bytes of the sums of a task, small ones, and of the columns that are turned for it.
_SUM_BYTES = 1 << 18
_SMALL_SUMS = 1 << 15
_TURNED_BYTES = 1 << 19
# Elements of a patch that are turned together at least, where a channel has fewer.
_LEAST_TURNED = 128
# Channels of the result that are turned together at least, and bytes of a run that is added.
_CHANNELS = 8
_LEAST_RUN = 64
# Tasks a thread, at least, where there is enough to do.
_TASKS = 4


def fits(cols: Flat, dtype: np.dtype[Any]) -> bool:
    """Return whether these kernels can fold patches at `cols`."""
    if native_available() is not None or not emit.supports(_number(dtype)):
        return False
    return cols.place[5] == 1 and dtype.itemsize <= 8


def _number(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the type of the numbers that are added: signed where the bits are the same."""
    if dtype.kind == "c":
        return np.dtype(f"f{dtype.itemsize // 2}")
    return np.dtype(f"i{dtype.itemsize}") if dtype.kind == "u" else dtype


def col2im(
    cols: Flat,
    out: Flat,
    window: Window,
    shape: tuple[int, int],
    dtype: np.dtype[Any],
    *,
    channels_last: bool,
    as_rows: bool,
    parallel: bool,
) -> None:
    """Fold `cols` into `out`, of ``(images, channels)``, where `fits` says so."""
    key = ("col2im", window, shape, out.place.tobytes(), dtype, channels_last, as_rows)
    plan = held.find(key)
    if plan is None:
        plan = _plan(out.place, window, shape, dtype, channels_last, as_rows)
        held.keep(key, plan)
    blocks, by_runs, functions, packed, size, kernel = plan
    tasks = blocks.tasks(size)
    work = shape[0] * shape[1] * window.taps * window.positions
    workers = threads.worker_count(tasks, work=work, parallel=parallel)
    while 1 < workers * _TASKS > tasks and (blocks.rows > 1 or blocks.channel_block > 1):
        if blocks.channel_block > 1 and not channels_last:
            blocks = blocks._replace(channel_block=-(-blocks.channel_block // 2))
        elif blocks.rows > 1:
            blocks = blocks._replace(rows=-(-blocks.rows // 2))
        else:
            break
        tasks = blocks.tasks(size)
    elements = 0 if by_runs else blocks.elements(kernel)
    space = workspace.take(workers * elements * dtype.itemsize)
    for begin, end in threads.ranges(tasks, work, threads.MOST_MOVED):
        threads.run(
            col2im_runs if by_runs else fold_taps.col2im_strips, workers, workers, begin,
            end, cols.data, cols.place, packed, blocks.packed, out.data, out.place,
            space.view(dtype, (workers, elements)), functions,
        )  # fmt: skip
    workspace.give_back(space)


def _plan(
    place: Table,
    window: Window,
    shape: tuple[int, int],
    dtype: np.dtype[Any],
    channels_last: bool,
    as_rows: bool,
) -> tuple[Any, ...]:
    """Return all that depends on neither memory nor threads, for a result at `place`."""
    images, channels = shape
    size, kernel = three_axes(window.size, 1), three_axes(window.kernel, 1)
    dense = window.dilation[-1] == 1
    run = channels * (kernel[2] if dense else 1)
    by_runs = (
        as_rows and channels_last and run * dtype.itemsize >= _LEAST_RUN
        and place[2] == 1 and place[5] == channels
    )  # fmt: skip
    blocks = _cut(window, images, channels, dtype, channels_last, as_rows and not by_runs)
    if by_runs:
        blocks = blocks._replace(channel_block=channels)
    bits = np.dtype(f"i{dtype.itemsize}")
    step = int(place[5]) * window.stride[-1]
    turn = channels_last and place[2] == 1 and blocks.channel_block >= _CHANNELS
    slots_lie_together = (
        dense and blocks.slots.slots == window.stride[-1] >= _CHANNELS and place[5] == 1
    )
    functions = np.array(
        [
            adder(_number(dtype)),
            mover(1, bits) if step == 1 else spreader(step, bits),
            transposer(bits) if turn else 0,
            transposer(bits, ahead=True) if as_rows and not by_runs else 0,
            transposer(bits) if slots_lie_together else 0,
        ],
        np.int64,
    )
    return blocks, by_runs, functions, window.packed, size, kernel


def _cut(
    window: Window,
    images: int,
    channels: int,
    dtype: np.dtype[Any],
    channels_last: bool,
    turned: bool,
) -> Blocks:
    """Return how a result is summed."""
    size, kernel, stride, dilation, output = (
        three_axes(axes, 1)
        for axes in (window.size, window.kernel, window.stride, window.dilation, window.output)
    )
    taps = kernel[1] * kernel[2]

    def slots(piece: int) -> Slots:
        common = math.gcd(stride[2], dilation[2])
        count = min(kernel[2], stride[2] // common)
        return Slots(count, dilation[2] // common, 1, -(-piece // stride[2]))

    def reached(axis: int, n: int) -> int:
        span = dilation[axis] * (kernel[axis] - 1)
        return min(output[axis], (span + n - 1) // stride[axis] + 1)

    # Whole strides of positions, so that slots begin alike.
    piece = min(size[2], -(-even_block(size[2], _LONGEST_PIECE) // stride[2]) * stride[2])
    rows = min(size[1], max(_POSITIONS // piece, _LEAST_ROWS * stride[1], 1))
    planes = min(size[0], _PLANES) if turned and kernel[0] > 1 else 1
    if turned and channels_last:
        block = channels
    elif turned:
        block = min(channels, -(-_LEAST_TURNED // (taps * kernel[0])))
    else:
        block = min(channels, 2 * _CHANNELS if channels_last else 1)

    def sums() -> int:
        return block * planes * rows * slots(piece).entries * dtype.itemsize

    def columns() -> int:
        positions = reached(1, rows) * reached(2, piece)
        return block * kernel[0] * taps * positions * dtype.itemsize if turned else 0

    while sums() > _SUM_BYTES or columns() > _TURNED_BYTES:
        if rows > 1:
            rows = -(-rows // 2)
        elif planes > 1:
            planes = 1
        elif block > 1 and not (turned and channels_last):
            block = -(-block // 2)
        elif piece > stride[2]:
            piece = -(-piece // 2 // stride[2]) * stride[2]
        else:
            break
    if rows == size[1] and not (turned and channels_last):
        # Small planes: as many channels as fit, so that sums which wait for one another lie apart.
        few = max(1, min(_SMALL_SUMS // sums(), _TURNED_BYTES // max(1, columns())))
        block = min(channels, block * few)
    positions = reached(1, rows) * reached(2, piece) if turned else 0
    parts = 2 if dtype.kind == "c" else 1
    return Blocks(
        images, channels, block, planes, rows, piece, slots(piece), int(not channels_last),
        positions, parts,
    )  # fmt: skip


@kernel
def col2im_runs(
    workers: int,
    begin: int,
    end: int,
    cols: Array,
    cols_place: Table,
    packed: Table,
    cut: Table,
    out: Array,
    out_place: Table,
    space: Array,
    functions: Table,
) -> None:
    """Fold patches that are rows, with all channels of a tap together: tasks ``[begin, end)``."""
    for index in numba.prange(workers):
        worker: Any = np.int64(index)
        window, blocks = unpack_window(packed), unpack_blocks(cut)
        source, target = unpack_place(cols_place), unpack_place(out_place)
        tools = tools_of(functions, cols, space[worker], out)
        first, last = share(begin, end, worker, workers)
        for task in range(first, last):
            part = part_of(task, blocks, window.size)
            for row in range((part.d1 - part.d0) * (part.h1 - part.h0)):
                d = part.d0 + row // (part.h1 - part.h0)
                h = part.h0 + row % (part.h1 - part.h0)
                to = target.base + part.image * target.image + d * target.depth
                to += h * target.row + part.w0 * blocks.channels
                fill_run(out, to, 1, (part.w1 - part.w0) * blocks.channels)
                start = source.base + part.image * source.image
                _add_runs(part, d, h, window, blocks, start, source.channel, to, tools)


@device
def _add_runs(
    part: Part, d: int, h: int, window: WindowAxes, blocks: Blocks, start: int, patch_step: int,
    to: int, tools: Tools,
) -> None:  # fmt: skip
    """Add all that patches hold of a piece of a result row, which is at `to`."""
    for a in range(window.kernel[0]):
        i = reached_from(
            d + window.low[0], a * window.dilation[0], window.stride[0], window.output[0]
        )
        if i < 0:
            continue
        for b in range(window.kernel[1]):
            j = reached_from(
                h + window.low[1], b * window.dilation[1], window.stride[1], window.output[1]
            )
            if j < 0:
                continue
            tap = (a * window.kernel[1] + b) * window.kernel[2]
            source = start + tap * blocks.channels
            source += (i * window.output[1] + j) * window.output[2] * patch_step
            if window.dilation[2] == 1:
                _add_dense(part, window, blocks, source, patch_step, to, tools)
                continue
            for e in range(window.kernel[2]):
                shift = e * window.dilation[2] - window.low[2] - part.w0
                o0 = first_inside(shift, window.stride[2], window.output[2])
                o1 = end_inside(shift, window.stride[2], part.w1 - part.w0, window.output[2])
                if o0 < o1:
                    _add_run(
                        blocks, o1 - o0, 1, source + e * blocks.channels + o0 * patch_step,
                        patch_step, to + (o0 * window.stride[2] + shift) * blocks.channels,
                        window.stride[2], tools,
                    )  # fmt: skip


@device
def _add_dense(
    part: Part, window: WindowAxes, blocks: Blocks, source: int, patch_step: int, to: int,
    tools: Tools,
) -> None:  # fmt: skip
    """Add the runs of all taps along the row at once, from the last position to the first.

    So each element gets its addends in the order of the taps.
    """
    stride, wide, width = window.stride[2], window.kernel[2], part.w1 - part.w0
    shift = -window.low[2] - part.w0
    lowest = first_inside(shift + wide - 1, stride, window.output[2])
    highest = end_inside(shift, stride, width, window.output[2])
    # Those whose taps all lie in the piece.
    whole0 = max(lowest, first_inside(shift, stride, window.output[2]))
    whole1 = min(highest, end_inside(shift + wide - 1, stride, width, window.output[2]))
    if whole1 <= whole0:
        whole0, whole1 = lowest, lowest
    o = highest - 1
    while o >= lowest:
        if o == whole1 - 1 and whole1 > whole0:
            at = to + (o * stride + shift) * blocks.channels
            _add_run(
                blocks, whole1 - whole0, wide, source + o * patch_step, -patch_step, at, -stride,
                tools,
            )  # fmt: skip
            o = whole0 - 1
            continue
        w = o * stride + shift
        e0, e1 = max(0, -w), min(wide, width - w)
        if e1 > e0:
            _add_run(
                blocks, 1, e1 - e0, source + o * patch_step + e0 * blocks.channels, 0,
                to + (w + e0) * blocks.channels, 0, tools,
            )  # fmt: skip
        o -= 1


@device
def _add_run(
    blocks: Blocks, count: int, taps: int, source: int, patch_step: int, to: int, positions: int,
    tools: Tools,
) -> None:  # fmt: skip
    """Add so many taps with all channels, for `count` patches, `positions` apart in the result."""
    link.call(
        tools.add,
        (
            count, taps * blocks.channels * blocks.parts, tools.cols + source * tools.size,
            patch_step * tools.size, tools.out + to * tools.size,
            positions * blocks.channels * tools.size,
        ),
    )  # fmt: skip
