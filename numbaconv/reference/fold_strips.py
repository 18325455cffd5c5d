"""Folding patches at the speed of memory: col2im's kernels, in native rows and squares.

What is written is partitioned, each element of the result is summed by one thread in the order of
the kernel's taps. There are two ways to sum a stretch of result rows:

- patches that are columns, or are made columns by turning squares of them, are added run by run to
  rows in slots (see `numbaconv.reference.lines`), which are then written out;
- patches that are rows of channels that lie together are added to the result as they are.

What these cannot take (long sums, strides of any kind, no native code) `numbaconv.reference.fold`
sums position by position.
"""

import math
from typing import Any, NamedTuple

import numba
import numpy as np

from numbaconv.kernels import held, launches, threads, workspace
from numbaconv.kernels.indexing import (
    WindowAxes,
    end_inside,
    end_reaching,
    first_inside,
    first_reaching,
    patch_index,
    reached_from,
    unpack_window,
)
from numbaconv.kernels.jit import device, kernel, native_available
from numbaconv.kernels.runs import fill_run
from numbaconv.native import emit, link
from numbaconv.native.moves import adder, mover, spreader
from numbaconv.native.transpose import transposer
from numbaconv.problem.arrays import Array, Flat, Place
from numbaconv.problem.cuts import even_block
from numbaconv.problem.geometry import Axes, Window, three_axes
from numbaconv.reference.blocks import share
from numbaconv.reference.lines import Slots, packed_fields

# Positions of a result row beyond which it is cut, and those of a task.
_LONGEST_PIECE = 1024
_POSITIONS = 2048
_LEAST_ROWS = 8
# Planes that share what is turned.
_PLANES = 4
_PATCHES = 256
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


class Blocks(NamedTuple):
    """How col2im is cut into tasks.

    Attributes
    ----------
    images, channels, channel_block : int
        Of the result.
    planes, rows, piece : int
        Planes of the result of a task, rows of each, and positions of each row.
    slots : Slots
        In which rows are summed.
    channel_major : int
        Whether a patch begins with all taps of a channel.
    turned : int
        Positions of the columns that a task turns at most; 0 where patches are columns.
    parts : int
        Numbers of an element: 2 of complex ones.
    """

    images: int
    channels: int
    channel_block: int
    planes: int
    rows: int
    piece: int
    slots: Slots
    channel_major: int
    turned: int
    parts: int

    def tasks(self, size: Axes) -> int:
        """Return how many tasks there are for a result of this size."""
        pieces = -(-size[2] // self.piece)
        blocks = -(-self.channels // self.channel_block)
        planes = -(-size[0] // self.planes)
        return self.images * blocks * planes * -(-size[1] // self.rows) * pieces

    def elements(self, kernel: Axes) -> int:
        """Return the elements of a task's workspace."""
        sums = self.channel_block * self.planes * self.rows * self.slots.entries
        return sums + self.channel_block * math.prod(kernel) * self.turned

    @property
    def packed(self) -> Place:
        """All fields, as kernels get them."""
        return packed_fields(self)


@device
def unpack_blocks(cut: Place) -> Blocks:
    """Return the fields of `Blocks.packed`."""
    return Blocks(
        cut[0], cut[1], cut[2], cut[3], cut[4], cut[5], Slots(cut[6], cut[7], cut[8], cut[9]),
        cut[10], cut[11], cut[12],
    )  # fmt: skip


class Tools(NamedTuple):
    """Native functions and the memory that they work on, as addresses.

    Attributes
    ----------
    add : int
        A `numbaconv.native.moves.adder`.
    write : int
        A `mover` or `spreader` of the step between what a slot's neighbours are written to.
    turn : int
        A `numbaconv.native.transpose.transposer`, or 0 where channels are written one by one.
    turn_patches : int
        Another, of patches that are rows, or 0.
    turn_slots : int
        Another, where the slots of a position may lie together in the result, or 0.
    cols, sums, out : int
        Where the patch matrix, the workspace and the result begin.
    size : int
        Of an element.
    """

    add: int
    write: int
    turn: int
    turn_patches: int
    turn_slots: int
    cols: int
    sums: int
    out: int
    size: int


@device
def _tools(
    add: int, write: int, turn: int, turn_patches: int, turn_slots: int, cols: Array, sums: Array,
    out: Array,
) -> Tools:  # fmt: skip
    """Return what a worker works with."""
    return Tools(
        add, write, turn, turn_patches, turn_slots, cols.ctypes.data, sums.ctypes.data,
        out.ctypes.data, cols.itemsize,
    )  # fmt: skip


class Part(NamedTuple):
    """What a task sums: some channels of an image, planes of these, rows, and a piece of each."""

    image: int
    c0: int
    c1: int
    d0: int
    d1: int
    h0: int
    h1: int
    w0: int
    w1: int


@device
def _part(task: int, blocks: Blocks, size: tuple[int, int, int]) -> Part:
    """Return what a task sums; those of the same channels follow one another."""
    pieces = (size[2] + blocks.piece - 1) // blocks.piece
    parts = (size[1] + blocks.rows - 1) // blocks.rows
    channel_blocks = (blocks.channels + blocks.channel_block - 1) // blocks.channel_block
    w0 = task % pieces * blocks.piece
    rest = task // pieces
    h0 = rest % parts * blocks.rows
    rest //= parts
    planes = (size[0] + blocks.planes - 1) // blocks.planes
    d0 = rest % planes * blocks.planes
    rest //= planes
    c0 = rest % channel_blocks * blocks.channel_block
    return Part(
        rest // channel_blocks, c0, min(c0 + blocks.channel_block, blocks.channels), d0,
        min(d0 + blocks.planes, size[0]), h0, min(h0 + blocks.rows, size[1]), w0,
        min(w0 + blocks.piece, size[2]),
    )  # fmt: skip


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
    for begin, end in launches.ranges(tasks, work, launches.MOST_MOVED):
        threads.run(
            col2im_runs if by_runs else col2im_strips, workers, workers, begin, end, cols.data,
            cols.place, packed, blocks.packed, out.data, out.place,
            space.view(dtype, (workers, elements)), *functions,
        )  # fmt: skip
    workspace.give_back(space)


def _plan(
    place: Place,
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
    functions = (
        adder(_number(dtype)),
        mover(1, bits) if step == 1 else spreader(step, bits),
        transposer(bits) if turn else 0,
        transposer(bits, ahead=True) if as_rows and not by_runs else 0,
        transposer(bits) if slots_lie_together else 0,
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
def col2im_strips(
    workers: int,
    begin: int,
    end: int,
    cols: Array,
    cols_place: Place,
    packed: Place,
    cut: Place,
    out: Array,
    out_place: Place,
    space: Array,
    add: int,
    write: int,
    turn: int,
    turn_patches: int,
    turn_slots: int,
) -> None:
    """Fold patches that are columns, or are turned: tasks ``[begin, end)``."""
    for index in numba.prange(workers):
        worker: Any = np.int64(index)
        window, blocks = unpack_window(packed), unpack_blocks(cut)
        sums = space[worker]
        tools = _tools(add, write, turn, turn_patches, turn_slots, cols, space[worker], out)
        first, last = share(begin, end, worker, workers)
        for task in range(first, last):
            part = _part(task, blocks, window.size)
            plane = blocks.rows * blocks.slots.slots * blocks.slots.pitch
            fill_run(sums, 0, 1, (part.c1 - part.c0) * blocks.planes * plane)
            start = cols_place[0] + part.image * cols_place[1]
            # From the last plane of patches to the first, so that each element gets its addends in
            # the order of the taps.
            low, reach = window.low[0], (window.kernel[0] - 1) * window.dilation[0]
            first_plane = first_reaching(
                part.d0, low, window.kernel[0], window.stride[0], window.dilation[0]
            )
            i = end_reaching(part.d1 - 1, low, window.stride[0], window.output[0]) - 1
            while i >= first_plane:
                if blocks.turned:
                    _turn_patches(part, window, blocks, i, start, cols_place[2], tools)
                for d in range(part.d0, part.d1):
                    tap = d + low - i * window.stride[0]
                    if 0 <= tap <= reach and tap % window.dilation[0] == 0:
                        _add_plane(
                            part, window, blocks, tap // window.dilation[0], i, start,
                            cols_place[2], (d - part.d0) * plane, tools,
                        )  # fmt: skip
                i -= 1
            for d in range(part.d0, part.d1):
                _write_out(part, d, window, blocks, out, out_place, tools)


class Reached(NamedTuple):
    """The positions of a plane of patches that reach a part."""

    j0: int
    j1: int
    o0: int
    o1: int


@device
def _reached(part: Part, window: WindowAxes) -> Reached:
    """Return which positions of a plane reach a part."""
    return Reached(
        first_reaching(
            part.h0, window.low[1], window.kernel[1], window.stride[1], window.dilation[1]
        ),
        end_reaching(part.h1 - 1, window.low[1], window.stride[1], window.output[1]),
        first_reaching(
            part.w0, window.low[2], window.kernel[2], window.stride[2], window.dilation[2]
        ),
        end_reaching(part.w1 - 1, window.low[2], window.stride[2], window.output[2]),
    )  # fmt: skip


@device
def _columns_at(blocks: Blocks, tools: Tools) -> int:
    """Return the address of the columns that a task turns."""
    plane = blocks.rows * blocks.slots.slots * blocks.slots.pitch
    return tools.sums + blocks.channel_block * blocks.planes * plane * tools.size


@device
def _turn_patches(
    part: Part, window: WindowAxes, blocks: Blocks, i: int, start: int, patch_step: int,
    tools: Tools,
) -> None:  # fmt: skip
    """Turn the patches of a plane that reach a part, with all taps of its channels."""
    at = _reached(part, window)
    if at.j1 <= at.j0 or at.o1 <= at.o0:
        return
    size, length = tools.size, at.o1 - at.o0
    taps = window.kernel[0] * window.kernel[1] * window.kernel[2]
    n = (at.j1 - at.j0) * length
    k = part.c0 * taps if blocks.channel_major else 0
    whole = length == window.output[2]
    count = n if whole else length
    for j in range(at.j0, at.j0 + 1 if whole else at.j1):
        position = (i * window.output[1] + j) * window.output[2] + at.o0
        for l0 in range(0, count, _PATCHES):
            m = min(_PATCHES, count - l0)
            link.call(
                tools.turn_patches,
                (
                    m, m, (part.c1 - part.c0) * taps,
                    tools.cols + (start + (position + l0) * patch_step + k) * size,
                    patch_step * size,
                    _columns_at(blocks, tools) + ((j - at.j0) * length + l0) * size, n * size,
                ),
            )  # fmt: skip


@device
def _add_plane(
    part: Part, window: WindowAxes, blocks: Blocks, a: int, i: int, start: int, step: int,
    first: int, tools: Tools,
) -> None:  # fmt: skip
    """Add what kernel plane a holds in plane i of patches to the sums of a plane, at `first`."""
    tap = a * window.kernel[1] * window.kernel[2]
    taps = window.kernel[0] * window.kernel[1] * window.kernel[2]
    if blocks.turned:
        at = _reached(part, window)
        n = (at.j1 - at.j0) * (at.o1 - at.o0)
        channels = part.c1 - part.c0
        k = tap if blocks.channel_major else tap * channels
        add_taps(
            part, window, blocks, _columns_at(blocks, tools) + k * n * tools.size,
            (taps if blocks.channel_major else 1) * n,
            (1 if blocks.channel_major else channels) * n, at.o1 - at.o0, at.j0, at.o0, first,
            tools,
        )  # fmt: skip
        return
    k = patch_index(part.c0, tap, blocks.channels, taps, blocks.channel_major != 0)
    plane = start + k * step + i * window.output[1] * window.output[2]
    add_taps(
        part, window, blocks, tools.cols + plane * tools.size,
        (taps if blocks.channel_major else 1) * step,
        (1 if blocks.channel_major else blocks.channels) * step, window.output[2], 0, 0, first,
        tools,
    )  # fmt: skip


@device
def add_taps(
    part: Part, window: WindowAxes, blocks: Blocks, base: int, channel_step: int, tap_step: int,
    row_step: int, j_base: int, o_base: int, first: int, tools: Tools,
) -> None:  # fmt: skip
    """Add what the taps of one kernel plane hold of a part to sums, those at `first`.

    From columns at an address, where the positions from (j_base, o_base) on of one plane are.
    """
    slots, size = blocks.slots, tools.size
    line = slots.slots * slots.pitch
    apart = blocks.planes * blocks.rows * line
    for b in range(window.kernel[1]):
        shift = b * window.dilation[1] - window.low[1] - part.h0
        j0 = first_inside(shift, window.stride[1], window.output[1])
        j1 = end_inside(shift, window.stride[1], part.h1 - part.h0, window.output[1])
        if j1 <= j0:
            continue
        row = j0 * window.stride[1] + shift
        for e in range(window.kernel[2]):
            along = e * window.dilation[2] - window.low[2] - part.w0
            o0 = first_inside(along, window.stride[2], window.output[2])
            o1 = end_inside(along, window.stride[2], part.w1 - part.w0, window.output[2])
            if o1 <= o0:
                continue
            slot = e % slots.slots
            entry = o0 + e // slots.slots * slots.shift - slot_start(part, window, slot)
            source = (b * window.kernel[2] + e) * tap_step + (j0 - j_base) * row_step + o0 - o_base
            to = first + row * line + slot * slots.pitch + entry
            for c in range(part.c1 - part.c0):
                link.call(
                    tools.add,
                    (
                        j1 - j0, (o1 - o0) * blocks.parts,
                        base + (source + c * channel_step) * size, row_step * size,
                        tools.sums + (to + c * apart) * size, window.stride[1] * line * size,
                    ),
                )  # fmt: skip


@device
def slot_start(part: Part, window: WindowAxes, slot: int) -> int:
    """Return the first output, as if there were any, that a slot's tap reads in a part."""
    reached = slot * window.dilation[2] - window.low[2] - part.w0
    return -(reached // window.stride[2])


@device
def _write_out(
    part: Part, d: int, window: WindowAxes, blocks: Blocks, out: Array, out_place: Place,
    tools: Tools,
) -> None:  # fmt: skip
    """Write the sums of one plane of a part to the result."""
    slots, size, stride = blocks.slots, tools.size, window.stride[2]
    line = slots.slots * slots.pitch
    apart = blocks.planes * blocks.rows * line
    sums = tools.sums + (d - part.d0) * blocks.rows * line * size
    rows, channels, width = part.h1 - part.h0, part.c1 - part.c0, part.w1 - part.w0
    start = out_place[0] + part.image * out_place[1] + part.c0 * out_place[2]
    start += d * out_place[3] + part.h0 * out_place[4] + part.w0 * out_place[5]
    if slots.slots < stride:
        # Some positions no tap reads.
        for c in range(channels):
            for r in range(rows):
                to = start + c * out_place[2] + r * out_place[4]
                fill_run(out, to, out_place[5], width)
    step = stride * out_place[5]
    together = tools.turn_slots != 0 and width % stride == 0
    together = together and (window.low[2] + part.w0) % stride == 0
    if together:
        # The slots of a position lie together in the result.
        q = slot_start(part, window, 0)
        at = start + q * stride - window.low[2] - part.w0
        for c in range(channels):
            for r in range(rows):
                to = at + c * out_place[2] + r * out_place[4]
                link.call(
                    tools.turn_slots,
                    (
                        stride, stride, width // stride, sums + (c * apart + r * line) * size,
                        slots.pitch * size, tools.out + to * size, stride * size,
                    ),
                )  # fmt: skip
        return
    for slot in range(slots.slots):
        q = slot_start(part, window, slot)
        w = q * stride + slot * window.dilation[2] - window.low[2] - part.w0
        n = (width - w + stride - 1) // stride
        if n <= 0:
            continue
        to = start + w * out_place[5]
        if tools.turn != 0:
            for r in range(rows):
                link.call(
                    tools.turn,
                    (
                        channels, channels, n, sums + (r * line + slot * slots.pitch) * size,
                        apart * size, tools.out + (to + r * out_place[4]) * size, step * size,
                    ),
                )  # fmt: skip
            continue
        for c in range(channels):
            link.call(
                tools.write,
                (
                    rows, n, sums + (c * apart + slot * slots.pitch) * size, line * size, step,
                    tools.out + (to + c * out_place[2]) * size, out_place[4] * size,
                ),
            )  # fmt: skip


@kernel
def col2im_runs(
    workers: int,
    begin: int,
    end: int,
    cols: Array,
    cols_place: Place,
    packed: Place,
    cut: Place,
    out: Array,
    out_place: Place,
    space: Array,
    add: int,
    write: int,
    turn: int,
    turn_patches: int,
    turn_slots: int,
) -> None:
    """Fold patches that are rows, with all channels of a tap together: tasks ``[begin, end)``."""
    for index in numba.prange(workers):
        worker: Any = np.int64(index)
        window, blocks = unpack_window(packed), unpack_blocks(cut)
        tools = _tools(add, write, turn, turn_patches, turn_slots, cols, space[worker], out)
        first, last = share(begin, end, worker, workers)
        for task in range(first, last):
            part = _part(task, blocks, window.size)
            for row in range((part.d1 - part.d0) * (part.h1 - part.h0)):
                d = part.d0 + row // (part.h1 - part.h0)
                h = part.h0 + row % (part.h1 - part.h0)
                to = out_place[0] + part.image * out_place[1] + d * out_place[3]
                to += h * out_place[4] + part.w0 * blocks.channels
                fill_run(out, to, 1, (part.w1 - part.w0) * blocks.channels)
                start = cols_place[0] + part.image * cols_place[1]
                _add_runs(part, d, h, window, blocks, start, cols_place[2], to, tools)


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
