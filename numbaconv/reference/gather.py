"""Gathering patches into a matrix: im2col's kernels, with ``prange`` over blocks of positions.

A patch matrix is addressed as flat memory with two steps: from one patch element to the next and
from one output position to the next. There are three ways to fill a stretch of output rows:

- as columns, a run of positions for each element, from a strip (see `numbaconv.reference.lines`);
- as rows, from the same strip, turned in squares that fit the registers;
- as rows, a run of elements for each position, where elements that lie together are many.
"""

import math
from typing import Any

import numpy as np

from numbaconv.kernels import held, recording, threads, workspace
from numbaconv.kernels.jit import Kernel, native_available
from numbaconv.native import emit
from numbaconv.native.moves import LARGEST_STEP, bits_of, mover, streamer
from numbaconv.native.transpose import transposer
from numbaconv.problem.arrays import Array, Table, flatten
from numbaconv.problem.cuts import even_block
from numbaconv.problem.geometry import Window, three_axes
from numbaconv.reference.blocks import STREAMED, TURNED, Blocks
from numbaconv.reference.columns import im2col_columns, im2col_direct, im2col_shifted
from numbaconv.reference.lines import SLOTS, SLOTS_OF_CHANNELS, Slots, Steps
from numbaconv.reference.rows import im2col_runs, im2col_turned

# Positions a task: of columns, which are then long runs, and of rows.
_COLUMN_POSITIONS = 4096
_ROW_POSITIONS = 1024
# Positions of an output row beyond which it is cut, and below which its pieces are not.
_LONGEST_PIECE = 1024
_LEAST_PIECE = 32
# Positions of a strip, and the bytes that all strips of a stretch have at most.
_STRIP_POSITIONS = 1024
_STRIP_BYTES = 1 << 18
# Elements that lie together from which on they are turned rather than picked.
_LEAST_TURNED = 8
# Positions below which rows are turned several at once.
_LEAST_TURN = 16
# Channels that are turned at once.
_CHANNELS = 16
# Bytes from which on elements that lie together are copied as they are.
_LEAST_RUN = 64
# Bytes of a matrix from which on it is written past the caches.
_STREAMED_BYTES = 1 << 25
# Tasks a thread, at least, where there is enough to do.
_TASKS = 4


def im2col(
    x: Array,
    cols: Array,
    window: Window,
    *,
    channels_last: bool,
    as_rows: bool,
    parallel: bool,
) -> None:
    """Fill `cols`, ``(N, K, L)`` or as rows ``(N, L, K)``, from a batched `x` of the same dtype.

    Both are arrays that `numbaconv.problem.arrays.is_direct`; they share no memory.
    """
    if as_rows and not channels_last:
        x, cols, window = _widened(x, cols, window)
    bits = bits_of(x.dtype)
    source = flatten(x.view(bits), channels_last=channels_last)
    target = flatten(cols.view(bits), channels_last=False)
    key = ("im2col", window, x.shape, x.strides, cols.strides, bits, channels_last, as_rows)
    plan = held.find(key)
    if plan is None:
        blocks = _cut(source.place, target.place, window, x.shape, bits, channels_last, as_rows)
        functions = _functions(source.place, window, bits, blocks, as_rows)
        table = np.zeros((1, 1), np.int64)
        if as_rows and not blocks.by_runs and not blocks.compact:
            table = _table(blocks, window.kernel[-1], bits.itemsize)
        plan = blocks, functions, window.packed, three_axes(window.output, 1), table
        held.keep(key, plan)
    blocks, functions, packed, output, table = plan
    tasks = blocks.tasks(output)
    workers = threads.worker_count(tasks, work=cols.size, parallel=parallel)
    while 1 < workers * _TASKS > tasks and blocks.rows > 1:
        blocks = blocks._replace(rows=-(-blocks.rows // 2))
        tasks = blocks.tasks(output)
    elements = blocks.elements + blocks.compact + blocks.staged
    space = workspace.take(workers * elements * bits.itemsize)
    if blocks.by_runs:
        table = threads.tables(workers, math.prod(window.kernel[:-1]))
    elif recording.active:
        recording.keep(constants=(table,))
    for begin, end in threads.ranges(tasks, cols.size, threads.MOST_MOVED):
        threads.run(
            _kernel(blocks, as_rows), workers, workers, begin, end, source.data,
            source.place, packed, blocks.packed, target.data, target.place,
            space.view(bits, (workers, elements)), table, functions,
        )  # fmt: skip
    workspace.give_back(space)


def _table(blocks: Blocks, kernel_width: int, size: int) -> Table:
    """Return where each element of a patch begins in a task's strips, in bytes.

    One row, with zeros behind up to a whole square of elements.
    """
    down, across, steps = blocks.down, blocks.across, blocks.steps
    b, e = np.arange(blocks.height_block), np.arange(kernel_width)
    rows = (b % down.slots * down.pitch + b // down.slots * down.shift) * steps.line
    along = e % across.slots * steps.slot + e // across.slots * across.shift
    channels = np.arange(blocks.channel_block) * steps.channel
    planes = np.arange(blocks.depth_block) * steps.plane
    taps = planes[:, None, None] + rows[:, None] + along
    if blocks.channel_major:
        offsets = channels[:, None, None, None] + taps
    else:
        offsets = taps[..., None] + channels
    table = np.zeros((1, offsets.size + _CHANNELS), np.int64)
    table[0, : offsets.size] = offsets.reshape(-1) * size
    return table


def _kernel(blocks: Blocks, as_rows: bool) -> Kernel:
    """Return the kernel that gathers so."""
    if as_rows:
        return im2col_runs if blocks.by_runs else im2col_turned
    if blocks.shifted:
        return im2col_shifted
    return im2col_direct if blocks.direct else im2col_columns


def _widened(x: Array, cols: Array, window: Window) -> tuple[Array, Array, Window]:
    """Return the same with a kernel row as one element, where windows share nothing."""
    wide, output = window.kernel[-1], window.output[-1]
    nbytes = wide * x.itemsize
    if not (
        1 < wide == window.stride[-1]
        and window.dilation[-1] == 1
        and nbytes in (2, 4, 8)
        and window.padding[-1][0] == 0
        and output * wide <= window.size[-1]
        and all(
            a.strides[-1] == a.itemsize
            and all(stride % nbytes == 0 for stride in a.strides[:-1])
            and a.ctypes.data % nbytes == 0
            for a in (x, cols)
        )
    ):
        return x, cols, window
    element = np.dtype(f"i{nbytes}")
    narrow = Window(
        (*window.size[:-1], output), (*window.kernel[:-1], 1), (*window.stride[:-1], 1),
        window.dilation, (*window.padding[:-1], (0, 0)), window.padding_mode,
    )  # fmt: skip
    return x[..., : output * wide].view(element), cols.view(element), narrow


def _functions(
    place: Table, window: Window, bits: np.dtype[Any], blocks: Blocks, as_rows: bool
) -> Table:
    """Return the native functions that move elements of this size."""
    if not emit.supports(bits) or native_available() is not None:
        return np.zeros(5, np.int64)
    found = (
        mover(int(place[5]) * window.stride[-1], bits),
        mover(1, bits),
        transposer(bits) if blocks.turned else 0,
        transposer(bits, table=not blocks.compact) if as_rows and not blocks.by_runs else 0,
        streamer(bits) if blocks.staged else 0,
    )
    return np.array(found, np.int64)


def _turned(
    place: Table, window: Window, channels: int, block: int, slots: int, channels_last: bool
) -> tuple[bool, int]:
    """Return whether what is read of channels or slots is turned, and what of it at once."""
    stride, dilation = window.stride[-1], window.dilation[-1]
    if channels_last and place[2] == 1:
        if place[5] == channels == block and dilation == 1 and slots * channels >= _LEAST_TURNED:
            return True, SLOTS_OF_CHANNELS
        return block >= _LEAST_TURNED, 0
    together = place[5] == 1 and dilation == 1 and stride > LARGEST_STEP and slots >= _LEAST_TURNED
    return together, SLOTS if together else 0


def _cut(
    place: Table,
    target: Table,
    window: Window,
    shape: tuple[int, ...],
    bits: np.dtype[Any],
    channels_last: bool,
    as_rows: bool,
) -> Blocks:
    """Return how the input at `place` is gathered into a matrix at `target`."""
    channels = shape[-1] if channels_last else shape[1]
    depth, height, width = three_axes(window.output, 1)
    kernel, stride, dilation = (
        three_axes(axes, 1) for axes in (window.kernel, window.stride, window.dilation)
    )
    together = channels if channels_last else 1
    dense = place[5] == together and dilation[2] == 1 and (together == 1 or place[2] == 1)
    run = together if place[2] == 1 or not channels_last else 1
    run *= kernel[2] if dense else 1
    by_runs = as_rows and target[5] == 1 and run * bits.itemsize >= _LEAST_RUN
    fitting = _STRIP_BYTES // bits.itemsize

    def slots(piece: int, strip: int, kernel_rows: int) -> tuple[Slots, Slots]:
        return (
            Slots.in_order(kernel_rows, stride[1], dilation[1], strip),
            Slots.of(kernel[2], stride[2], dilation[2], piece),
        )

    def elements(piece: int, strip: int, kernel_rows: int) -> int:
        down, across = slots(piece, strip, kernel_rows)
        return block * down.entries * across.entries

    # Columns need one kernel position along the first axis at a time, rows whole patches: of all
    # channels, or of as many as fit.
    block, depths, kernel_rows = 1, 1, kernel[1]
    if as_rows:
        block, depths = channels, kernel[0]
    elif channels_last:
        block = channels
    piece, strip = even_block(width, _LONGEST_PIECE), 1
    while depths * elements(piece, strip, kernel_rows) > fitting:
        # Shorter pieces, then fewer channels, and parts of a channel's patch last.
        if piece > _LEAST_PIECE:
            piece = -(-piece // 2)
        elif block > 1 and not (as_rows and channels_last):
            block = -(-block // 2)
        elif depths > 1:
            depths = 1
        elif kernel_rows > 1:
            kernel_rows = -(-kernel_rows // 2)
        else:
            break
    # Where windows share nothing, as much is read as is written, and better in turns.
    overlaps = kernel[0] * kernel[1] * kernel[2] >= 2 * stride[0] * stride[1] * stride[2]
    most = _STRIP_POSITIONS if overlaps else _STRIP_POSITIONS // 16
    while (
        strip < height
        and strip * piece < most
        and depths * elements(piece, strip + 1, kernel_rows) <= fitting
    ):
        strip += 1
    shifted = (
        not as_rows
        and window.padding_mode == "zeros"
        and stride[1] == stride[2] == 1
        and width == window.size[-1] == piece
        and place[5] == target[5] == 1
        and (len(window.size) == 1 or place[4] == window.size[-1])
    )
    if shifted:
        block = 1
    elif not as_rows and not channels_last and strip == height:
        fitted = min(fitting, _STRIP_POSITIONS * kernel_rows) // elements(piece, strip, kernel_rows)
        block = max(1, min(channels, fitted))
    positions = _ROW_POSITIONS if as_rows else _COLUMN_POSITIONS
    down, across = slots(piece, strip, kernel_rows)
    native = emit.supports(bits) and native_available() is None
    turned, together = False, 0
    if native:
        turned, together = _turned(place, window, channels, block, across.slots, channels_last)
    compact = 0
    if as_rows and not by_runs and piece < _LEAST_TURN and strip > 1 and native and target[5] == 1:
        compact = block * depths * kernel_rows * kernel[2] * piece * strip
    inside = all(
        low == 0 and (n - 1) * by + (k - 1) * d < size
        for (low, _), n, by, k, d, size in zip(
            window.padding,
            window.output,
            window.stride,
            window.kernel,
            window.dilation,
            window.size,
            strict=True,
        )
    )
    direct = (
        inside and not as_rows and not shifted and across.slots == kernel[2] and target[5] == 1
        and native
    )  # fmt: skip
    nbytes = shape[0] * channels * window.taps * window.positions * bits.itemsize
    staged = 0
    if nbytes >= _STREAMED_BYTES and target[5] == 1 and native:
        staged = strip * piece
        if not as_rows:
            staged = max(staged, STREAMED)
        if shifted:
            staged = min(depth * height * width, max(_COLUMN_POSITIONS, width))
        elif as_rows:
            n = channels * window.taps
            staged = n * max(TURNED, -(-STREAMED // n // TURNED) * TURNED + TURNED)
    return Blocks(
        shape[0], channels, block, depths, kernel_rows,
        max(1, min(depth * height, positions // piece)), strip, piece, down, across,
        Steps.of(down, across, block, depths, channels_inside=together == SLOTS_OF_CHANNELS),
        int(not channels_last), int(by_runs), int(shifted), int(direct), compact, staged,
        int(turned), together, int(window.padding_mode == "zeros" and piece == width),
    )  # fmt: skip
