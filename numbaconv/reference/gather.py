"""Gathering patches into a matrix: im2col's kernels, with ``prange`` over blocks of positions.

A patch matrix is addressed as flat memory with two steps: from one patch element to the next and
from one output position to the next. There are three ways to fill a stretch of output rows:

- as columns, a run of positions for each element, from a strip (see `numbaconv.reference.lines`);
- as rows, from the same strip, turned in squares that fit the registers;
- as rows, a run of elements for each position, where elements that lie together are many.
"""

import math
from typing import Any, NamedTuple

import numba
import numpy as np

from numbaconv.kernels import held, launches, recording, threads, workspace
from numbaconv.kernels.indexing import (
    WindowAxes,
    end_inside,
    first_inside,
    patch_index,
    source_index,
    split_axes,
    unpack_window,
)
from numbaconv.kernels.jit import Kernel, device, kernel, native_available
from numbaconv.kernels.runs import copy_run, fill_run
from numbaconv.native import emit, link
from numbaconv.native.moves import LARGEST_STEP, mover, streamer
from numbaconv.native.transpose import transposer
from numbaconv.problem.arrays import Array, Place, flatten
from numbaconv.problem.geometry import Axes, Window, three_axes
from numbaconv.reference.lines import (
    SLOTS,
    SLOTS_OF_CHANNELS,
    Image,
    Movers,
    Slots,
    Steps,
    fetch_strip,
    turn_rows,
)

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
# Bytes of a matrix from which on it is written past the caches, in runs of so many elements or
# more, and positions that are then turned at once or a multiple.
_STREAMED_BYTES = 1 << 25
_STREAMED = 1024
_LEAST_STREAMED = 384
_TURNED = 16
# Tasks a thread, at least, where there is enough to do.
_TASKS = 4


class Blocks(NamedTuple):
    """How im2col is cut into tasks, and each task into what fits its workspace.

    Attributes
    ----------
    images, channels : int
        Of the input.
    channel_block, depth_block, height_block : int
        Channels, and kernel positions along the first two axes, whose strips are in the workspace
        at once.
    rows, strip, piece : int
        Output rows of a task, those of a strip, and positions of each.
    down, across : Slots
        Of strips, and of lines.
    steps : Steps
        Of the workspace.
    channel_major, by_runs, shifted, direct : int
        Whether a patch begins with all taps of a channel; whether rows are copied run by run;
        whether a tap's output rows are the input's, one after the other, moved; whether windows
        share nothing and lie inside, so that columns are read where they are.
    compact : int
        Elements of a workspace in which columns are formed before they are turned, where output
        rows are too short to be turned alone; else 0.
    staged : int
        Elements of a workspace in which what is written together is formed, to go past the caches
        from there; 0 where it is written at once.
    turned : int
        Whether what lies together is turned rather than picked.
    together, cleared : int
        See `Movers`.
    """

    images: int
    channels: int
    channel_block: int
    depth_block: int
    height_block: int
    rows: int
    strip: int
    piece: int
    down: Slots
    across: Slots
    steps: Steps
    channel_major: int
    by_runs: int
    shifted: int
    direct: int
    compact: int
    staged: int
    turned: int
    together: int
    cleared: int

    @property
    def elements(self) -> int:
        """The elements of all strips of a stretch, where there are any."""
        if self.by_runs or self.shifted or self.direct:
            return 0
        strips = self.channel_block * self.depth_block
        return strips * self.down.entries * self.across.entries

    def tasks(self, output: Axes) -> int:
        """Return how many tasks there are."""
        rows, pieces = -(-output[0] * output[1] // self.rows), -(-output[2] // self.piece)
        return self.images * -(-self.channels // self.channel_block) * rows * pieces

    @property
    def packed(self) -> Place:
        """All fields, as kernels get them."""
        fields = [f for field in self for f in (field if isinstance(field, tuple) else [field])]
        return np.array(fields, np.int64)


@device
def unpack_blocks(cut: Place) -> Blocks:
    """Return the fields of `Blocks.packed`."""
    return Blocks(
        cut[0], cut[1], cut[2], cut[3], cut[4], cut[5], cut[6], cut[7],
        Slots(cut[8], cut[9], cut[10], cut[11]), Slots(cut[12], cut[13], cut[14], cut[15]),
        Steps(cut[16], cut[17], cut[18], cut[19]), cut[20], cut[21], cut[22], cut[23], cut[24],
        cut[25], cut[26], cut[27], cut[28],
    )  # fmt: skip


@device
def strip_elements(blocks: Blocks) -> int:
    """Return the elements of all strips of a stretch; columns that are turned follow them."""
    if blocks.by_runs or blocks.shifted or blocks.direct:
        return 0
    line = blocks.across.slots * blocks.across.pitch
    return blocks.channel_block * blocks.depth_block * blocks.down.slots * blocks.down.pitch * line


@device
def stage_at(blocks: Blocks) -> int:
    """Return where the stage begins in a workspace."""
    return strip_elements(blocks) + blocks.compact


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
    # Moving data needs one machine code for each size of an element, not for each dtype.
    bits = x.dtype if x.itemsize > 8 else np.dtype(f"i{x.itemsize}")
    source = flatten(x.view(bits), channels_last=channels_last)
    target = flatten(cols.view(bits), channels_last=False)
    key = ("im2col", window, x.shape, x.strides, cols.strides, bits, channels_last, as_rows)
    plan = held.find(key)
    if plan is None:
        blocks = _cut(source.place, target.place, window, x.shape, bits, channels_last, as_rows)
        movers = _movers(source.place, window, bits, blocks, as_rows)
        table = np.zeros((1, 1), np.int64)
        if as_rows and not blocks.by_runs and not blocks.compact:
            table = _table(blocks, window.kernel[-1], bits.itemsize)
        plan = blocks, movers, window.packed, three_axes(window.output, 1), table
        held.keep(key, plan)
    blocks, movers, packed, output, table = plan
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
    for begin, end in launches.ranges(tasks, cols.size, launches.MOST_MOVED):
        threads.run(
            _kernel(blocks, as_rows), workers, workers, begin, end, source.data,
            source.place, packed, blocks.packed, target.data, target.place,
            space.view(bits, (workers, elements)), table, *movers,
        )  # fmt: skip
    workspace.give_back(space)


def _table(blocks: Blocks, kernel_width: int, size: int) -> Place:
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


def _movers(
    place: Place, window: Window, bits: np.dtype[Any], blocks: Blocks, as_rows: bool
) -> tuple[int, int, int, int, int]:
    """Return the native functions that move elements of this size."""
    if not emit.supports(bits) or native_available() is not None:
        return 0, 0, 0, 0, 0
    return (
        mover(int(place[5]) * window.stride[-1], bits),
        mover(1, bits),
        transposer(bits) if blocks.turned else 0,
        transposer(bits, table=not blocks.compact) if as_rows and not blocks.by_runs else 0,
        streamer(bits) if blocks.staged else 0,
    )


def _turned(
    place: Place, window: Window, channels: int, block: int, slots: int, channels_last: bool
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
    place: Place,
    target: Place,
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
    piece, strip = _even(width, _LONGEST_PIECE), 1
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
            staged = max(staged, _STREAMED)
        if shifted:
            staged = min(depth * height * width, max(_COLUMN_POSITIONS, width))
        elif as_rows:
            n = channels * window.taps
            staged = n * max(_TURNED, -(-_STREAMED // n // _TURNED) * _TURNED + _TURNED)
    return Blocks(
        shape[0], channels, block, depths, kernel_rows,
        max(1, min(depth * height, positions // piece)), strip, piece, down, across,
        Steps.of(down, across, block, depths, channels_inside=together == SLOTS_OF_CHANNELS),
        int(not channels_last), int(by_runs), int(shifted), int(direct), compact, staged,
        int(turned), together, int(window.padding_mode == "zeros" and piece == width),
    )  # fmt: skip


def _even(total: int, most: int) -> int:
    """Return the length, at most `most`, that cuts `total` into the fewest, even pieces."""
    pieces = -(-total // most)
    return -(-total // pieces)


class Stretch(NamedTuple):
    """What a task fills: some channels of an image, and the same piece of some output rows."""

    image: int
    c0: int
    c1: int
    row: int
    row_end: int
    w0: int
    n: int


@device
def _stretch(task: int, blocks: Blocks, output: tuple[int, int, int]) -> Stretch:
    """Return what a task fills; those of the same channels follow one another."""
    rows = output[0] * output[1]
    pieces = (output[2] + blocks.piece - 1) // blocks.piece
    parts = (rows + blocks.rows - 1) // blocks.rows
    channel_blocks = (blocks.channels + blocks.channel_block - 1) // blocks.channel_block
    w0 = task % pieces * blocks.piece
    rest = task // pieces
    row = rest % parts * blocks.rows
    rest //= parts
    c0 = rest % channel_blocks * blocks.channel_block
    return Stretch(
        rest // channel_blocks, c0, min(c0 + blocks.channel_block, blocks.channels),
        row, min(row + blocks.rows, rows), w0, min(blocks.piece, output[2] - w0),
    )  # fmt: skip


@device
def image_at(place: Place, image: int) -> Image:
    """Return where an image of the input lies."""
    return Image(place[0] + image * place[1], place[2], place[3], place[4], place[5])


@kernel
def im2col_columns(
    workers: int,
    begin: int,
    end: int,
    x: Array,
    x_place: Place,
    packed: Place,
    cut: Place,
    cols: Array,
    cols_place: Place,
    space: Array,
    tables: Array,
    read: int,
    copy: int,
    turn: int,
    turn_lines: int,
    stream: int,
) -> None:
    """Write patches as columns: tasks ``[begin, end)``, some output rows of some channels each."""
    for index in numba.prange(workers):
        worker: Any = np.int64(index)
        window, blocks = unpack_window(packed), unpack_blocks(cut)
        movers = Movers(
            read, copy, turn, turn_lines, stream, x.ctypes.data, space[worker].ctypes.data,
            cols.ctypes.data, x.itemsize, blocks.together, blocks.cleared,
        )  # fmt: skip
        if blocks.cleared:
            clear(space[worker])
        first = begin + worker * (end - begin) // workers
        last = begin + (worker + 1) * (end - begin) // workers
        for task in range(first, last):
            part = _stretch(task, blocks, window.output)
            image = image_at(x_place, part.image)
            to = cols_place[0] + part.image * cols_place[1]
            to += (part.row * window.output[2] + part.w0) * cols_place[5]
            gather_columns(
                x, image, part, window, blocks, space[worker], cols, to, cols_place[2],
                window.output[2] * cols_place[5], cols_place[5], movers,
            )  # fmt: skip


@kernel
def im2col_direct(
    workers: int,
    begin: int,
    end: int,
    x: Array,
    x_place: Place,
    packed: Place,
    cut: Place,
    cols: Array,
    cols_place: Place,
    space: Array,
    tables: Array,
    read: int,
    copy: int,
    turn: int,
    turn_lines: int,
    stream: int,
) -> None:
    """Do that where windows share nothing and lie inside: from where their elements lie."""
    for index in numba.prange(workers):
        worker: Any = np.int64(index)
        window, blocks = unpack_window(packed), unpack_blocks(cut)
        movers = Movers(
            read, copy, turn, turn_lines, stream, x.ctypes.data, space[worker].ctypes.data,
            cols.ctypes.data, x.itemsize, blocks.together, blocks.cleared,
        )  # fmt: skip
        if blocks.cleared:
            clear(space[worker])
        first = begin + worker * (end - begin) // workers
        last = begin + (worker + 1) * (end - begin) // workers
        for task in range(first, last):
            part = _stretch(task, blocks, window.output)
            image = image_at(x_place, part.image)
            to = cols_place[0] + part.image * cols_place[1]
            _direct_columns(image, part, window, blocks, to, cols_place[2], movers)


@kernel
def im2col_shifted(
    workers: int,
    begin: int,
    end: int,
    x: Array,
    x_place: Place,
    packed: Place,
    cut: Place,
    cols: Array,
    cols_place: Place,
    space: Array,
    tables: Array,
    read: int,
    copy: int,
    turn: int,
    turn_lines: int,
    stream: int,
) -> None:
    """Do that where a tap's output rows are the input's, one after the other, moved."""
    for index in numba.prange(workers):
        worker: Any = np.int64(index)
        window, blocks = unpack_window(packed), unpack_blocks(cut)
        movers = Movers(
            read, copy, turn, turn_lines, stream, x.ctypes.data, space[worker].ctypes.data,
            cols.ctypes.data, x.itemsize, blocks.together, blocks.cleared,
        )  # fmt: skip
        if blocks.cleared:
            clear(space[worker])
        first = begin + worker * (end - begin) // workers
        last = begin + (worker + 1) * (end - begin) // workers
        for task in range(first, last):
            part = _stretch(task, blocks, window.output)
            image = image_at(x_place, part.image)
            to = cols_place[0] + part.image * cols_place[1]
            _shifted_columns(
                x, image, part, window, blocks, space[worker], cols, to, cols_place[2], movers
            )  # fmt: skip


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
    streamed = movers.stream != 0 and joined and (whole if chained else run) >= _LEAST_STREAMED
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
def clear(lines: Array) -> None:
    """Write zeros to a whole workspace."""
    for i in range(lines.size):
        lines[i] = 0


@device
def plane(i: int, a: int, window: WindowAxes) -> int:
    """Return the plane of the input that kernel plane a reads for output plane i, or -1."""
    d = i * window.stride[0] + a * window.dilation[0] - window.low[0]
    return source_index(d, window.size[0], window.mode)


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


@kernel
def im2col_turned(
    workers: int,
    begin: int,
    end: int,
    x: Array,
    x_place: Place,
    packed: Place,
    cut: Place,
    cols: Array,
    cols_place: Place,
    space: Array,
    tables: Array,
    read: int,
    copy: int,
    turn: int,
    turn_lines: int,
    stream: int,
) -> None:
    """Write patches as rows, turned: tasks ``[begin, end)``, some output rows of some channels."""
    for index in numba.prange(workers):
        worker: Any = np.int64(index)
        window, blocks = unpack_window(packed), unpack_blocks(cut)
        movers = Movers(
            read, copy, turn, turn_lines, stream, x.ctypes.data, space[worker].ctypes.data,
            cols.ctypes.data, x.itemsize, blocks.together, blocks.cleared,
        )  # fmt: skip
        if blocks.cleared:
            clear(space[worker])
        first = begin + worker * (end - begin) // workers
        last = begin + (worker + 1) * (end - begin) // workers
        for task in range(first, last):
            part = _stretch(task, blocks, window.output)
            image = image_at(x_place, part.image)
            to = cols_place[0] + part.image * cols_place[1]
            _turned_rows(
                x, image, part, window, blocks, space[worker], tables[0], cols, to, cols_place[5],
                cols_place[2], movers,
            )  # fmt: skip


@kernel
def im2col_runs(
    workers: int,
    begin: int,
    end: int,
    x: Array,
    x_place: Place,
    packed: Place,
    cut: Place,
    cols: Array,
    cols_place: Place,
    space: Array,
    tables: Array,
    read: int,
    copy: int,
    turn: int,
    turn_lines: int,
    stream: int,
) -> None:
    """Write patches as rows, run by run: tasks ``[begin, end)`` as well."""
    for index in numba.prange(workers):
        worker: Any = np.int64(index)
        window, blocks = unpack_window(packed), unpack_blocks(cut)
        movers = Movers(
            read, copy, turn, turn_lines, stream, x.ctypes.data, space[worker].ctypes.data,
            cols.ctypes.data, x.itemsize, blocks.together, blocks.cleared,
        )  # fmt: skip
        first = begin + worker * (end - begin) // workers
        last = begin + (worker + 1) * (end - begin) // workers
        for task in range(first, last):
            part = _stretch(task, blocks, window.output)
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
        step = max(_TURNED, (_STREAMED // n + _TURNED - 1) // _TURNED * _TURNED)
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
