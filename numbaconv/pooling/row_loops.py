"""The loops of pools of large windows: whole rows are combined, first down the columns.

Down a column of windows that overlap, rows are combined in blocks as long as a window, from the
front and from the back, so that a window costs one more operation however tall it is: M. van Herk,
"A fast algorithm for local minimum and maximum filters", Pattern Recognition Letters 13 (1992); J.
Gil, M. Werman, "Computing 2-D min, median, and max filters", IEEE PAMI 15 (1993). Along a row,
windows are put together from windows of half their size. Sums are never taken back from a running
one, so nothing drifts.
"""

from typing import NamedTuple

from numbaconv.kernels.indexing import WindowAxes, unpack_window
from numbaconv.kernels.jit import device, unpacker
from numbaconv.native.link import call, copy_bytes
from numbaconv.pooling.loops import count_of, taps_inside
from numbaconv.problem.arrays import Table
from numbaconv.teams.jobs import tasks_kernel

#: Rows of a worker's memory beside those of two blocks: the padded row, a block's front, three for
#: windows along a row.
ROWS = 5


class Shape(NamedTuple):
    """What the loops need to know, all int64; strides in bytes.

    A *plane* is a channel of an image, or with channels last an image; its *cells* are elements, or
    pixels of all channels.
    """

    size: int  # bytes of an element of the input, and of the result
    work: int  # of what is combined
    cell: int  # elements
    lanes: int  # elements of a vector
    planes: int
    channels: int  # planes of an image
    block: int  # planes of a task
    strips: int  # of the output rows of a depth, each a task
    blocked: int  # whether rows are combined in blocks
    mean: int
    indexed: int
    whole: int  # whether a row has one window, of all its cells between its ends
    x_image: int
    x_plane: int
    x_depth: int
    x_row: int
    pitch: int  # of a row in memory
    worker_bytes: int
    places: int  # from a row to the places of its maxima


class Natives(NamedTuple):
    """The addresses of native functions, and of rows that never change."""

    combine: int
    bring: int
    copy: int
    shift: int
    fold: int
    pick: int
    pick_places: int
    divide: int
    nothing: int  # a row of what changes nothing
    nowhere: int  # its places
    columns: int  # the column of each element of a row
    picked: int  # where every window's element lies in a row
    picked_places: int
    counts: int  # of each element of a row of results


unpack = unpacker(Shape)


unpack_natives = unpacker(Natives)


@tasks_kernel
def reduce_rows(
    index: int, worker: int, begin: int, x: int, out: int, indices: int, memory: int,
    packed: Table, natives: Table, window: Table, depth_counts: Table, row_counts: Table,
) -> None:  # fmt: skip
    """Reduce the windows of the tasks from `begin` to `end`."""
    s, n, w = unpack(packed), unpack_natives(natives), unpack_window(window)
    task = begin + index
    strip = task % s.strips
    depth = task // s.strips % w.output[0]
    first = task // s.strips // w.output[0] * s.block
    own = memory + worker * s.worker_bytes
    o0, o1 = strip * w.output[1] // s.strips, (strip + 1) * w.output[1] // s.strips
    padded = _padded_cells(w) * s.cell
    copy(s, n, own, own + s.places, n.nothing, n.nowhere, padded)
    results = w.output[2] * s.cell
    for plane in range(first, min(first + s.block, s.planes)):
        source = x + plane // s.channels * s.x_image + plane % s.channels * s.x_plane
        to = (plane * w.output[0] + depth) * w.output[1] * results
        if s.blocked:
            _in_blocks(s, n, w, source, depth, o0, o1, own, out, indices, to, depth_counts,
                       row_counts)  # fmt: skip
            continue
        row = own + w.low[2] * s.cell * s.work
        for o in range(o0, o1):
            a, b, h = taps_inside(w, 1, o)
            place = own + s.places + w.low[2] * s.cell * 8
            _bring(s, n, w, source, depth, h, own, row, place)
            for tap in range(1, b - a):
                other = own + s.pitch
                at = h + tap * w.dilation[1]
                _bring(s, n, w, source, depth, at, own, other, other + s.places)
                combine(s, n, row, place, row, place, other, other + s.places,
                         w.size[2] * s.cell)  # fmt: skip
            _finish(s, n, w, own, depth, o, out, indices, to + o * results, depth_counts,
                    row_counts)  # fmt: skip


@device
def _in_blocks(
    s: Shape, n: Natives, w: WindowAxes, source: int, depth: int, o0: int, o1: int, own: int,
    out: int, indices: int, to: int, depth_counts: Table, row_counts: Table,
) -> None:  # fmt: skip
    """Reduce the output rows from `o0` to `o1`; blocks lie alike for all strips."""
    tall, count = w.kernel[1], w.size[2] * s.cell
    results = w.output[2] * s.cell
    row = own + w.low[2] * s.cell * s.work
    row_place = own + s.places + w.low[2] * s.cell * 8
    front = own + s.pitch  # of the next block, as far as windows reach
    back = own + ROWS * s.pitch  # of this block, from each row on
    ahead = back + tall * s.pitch
    first = o0 * w.stride[1]
    block, known = first // tall - 1, first % tall  # rows of the next block that are there
    needed = known
    for o in range(o0, o1):
        r = o * w.stride[1]
        while r // tall > block:
            h = (block + 1) * tall - w.low[1]
            for i in range(known, tall):
                at = ahead + i * s.pitch
                _bring(s, n, w, source, depth, h + i, own, at, at + s.places)
            back, ahead = ahead, back
            for i in range(tall - 2, needed - 1, -1):
                at, behind = back + i * s.pitch, back + (i + 1) * s.pitch
                combine(s, n, at, at + s.places, at, at + s.places, behind, behind + s.places,
                         count)  # fmt: skip
            block += 1
            known = needed = 0
        r -= block * tall
        here = back + r * s.pitch
        if r == 0:
            copy(s, n, row, row_place, here, here + s.places, count)
        else:
            while known < r:
                at = ahead + known * s.pitch
                h = (block + 1) * tall - w.low[1] + known
                _bring(s, n, w, source, depth, h, own, at, at + s.places)
                if known == 0:
                    copy(s, n, front, front + s.places, at, at + s.places, count)
                else:
                    combine(s, n, front, front + s.places, front, front + s.places, at,
                             at + s.places, count)  # fmt: skip
                known += 1
            combine(s, n, row, row_place, here, here + s.places, front, front + s.places, count)
        _finish(s, n, w, own, depth, o, out, indices, to + o * results, depth_counts, row_counts)


@device
def copy(
    s: Shape, n: Natives, to: int, to_places: int, x: int, x_places: int, count: int
) -> None:  # fmt: skip
    """Copy a row of our own."""
    call(n.copy, (to, x, count))
    if s.indexed:
        call(n.shift, (to_places, x_places, 0, (count + s.lanes - 1) // s.lanes * s.lanes))


@device
def _bring(
    s: Shape, n: Natives, w: WindowAxes, source: int, depth: int, h: int, own: int, to: int,
    places: int,
) -> None:  # fmt: skip
    """Bring a row of the input near: what its windows along the depth make of it."""
    count = w.size[2] * s.cell
    if h < 0 or h >= w.size[1]:
        copy(s, n, to, places, n.nothing, n.nowhere, count)
        return
    a, b, start = taps_inside(w, 0, depth)
    for tap in range(b - a):
        d = start + tap * w.dilation[0]
        at = source + d * s.x_depth + h * s.x_row
        here, here_places = to, places
        if tap > 0:
            here = own + 2 * s.pitch
            here_places = here + s.places
        call(n.bring, (here, at, count))
        if s.indexed:
            whole = (count + s.lanes - 1) // s.lanes * s.lanes
            call(n.shift, (here_places, n.columns, (d * w.size[1] + h) * w.size[2], whole))
        if tap > 0:
            combine(s, n, to, places, to, places, here, here_places, count)


@device
def combine(
    s: Shape, n: Natives, to: int, to_places: int, x: int, x_places: int, y: int, y_places: int,
    count: int,
) -> None:  # fmt: skip
    """Combine two rows of our own; `to` may be the first."""
    if s.indexed:
        call(n.combine, (to, to_places, x, x_places, y, y_places, count))
    else:
        call(n.combine, (to, x, y, count))


@device
def _padded_cells(w: WindowAxes) -> int:
    """Return the cells of a row with its padding, as far as windows reach."""
    reach = (w.output[2] - 1) * w.stride[2] + (w.kernel[2] - 1) * w.dilation[2] + 1
    return max(reach, w.low[2] + w.size[2])


@device
def _finish(
    s: Shape, n: Natives, w: WindowAxes, own: int, depth: int, o: int, out: int, indices: int,
    to: int, depth_counts: Table, row_counts: Table,
) -> None:  # fmt: skip
    """Combine the windows along the padded row, and write a row of results."""
    count = w.output[2] * s.cell
    if s.whole:
        found = own + 4 * s.pitch
        start = -w.low[2]
        a = max(0, start)
        b = min(w.size[2], start + w.kernel[2])
        row = own + w.low[2] * s.cell * s.work
        if s.cell == 1:
            call(n.fold, (found, row + a * s.work, b - a))
        else:
            call(n.copy, (found, row + a * s.cell * s.work, s.cell))
            for c in range(a + 1, b):
                at = row + c * s.cell * s.work
                combine(s, n, found, found, found, found, at, at, s.cell)
    else:
        found = along(s, n, w, own)
    if not s.mean:
        _pick(s, w, n.pick, n.picked, found, out + to * s.size, s.size)
        if s.indexed:
            _pick(s, w, n.pick_places, n.picked_places, found + s.places, indices + to * 8, 8)
        return
    if w.stride[2] > 1 and w.output[2] > 1:
        free = own + 3 * s.pitch if found != own + 3 * s.pitch else own + 2 * s.pitch
        _pick(s, w, n.pick, n.picked, found, free, s.work)
        found = free
    factor = count_of(depth_counts, depth) * count_of(row_counts, o)
    call(n.divide, (out + to * s.size, found, n.counts, factor, count))


@device
def _pick(
    s: Shape, w: WindowAxes, native: int, table: int, source: int, to: int, size: int
) -> None:  # fmt: skip
    """Copy the cells that are results: every so many."""
    if w.stride[2] == 1 or w.output[2] == 1:
        copy_bytes(to, source, w.output[2] * s.cell * size)
    elif s.cell == 1:
        row = table
        call(native, (to, 0, source, row, 1, w.output[2], 0, w.output[2], table + 8))
    else:
        step = w.stride[2] * s.cell * size
        for c in range(w.output[2]):
            copy_bytes(to + c * s.cell * size, source + c * step, s.cell * size)


@device
def along(s: Shape, n: Natives, w: WindowAxes, own: int) -> int:
    """Return where the windows of every position of the padded row are."""
    positions = (w.output[2] - 1) * w.stride[2] + 1
    wide, apart = w.kernel[2], w.dilation[2] * s.cell
    held, size = own, 1
    one, two, total = own + 2 * s.pitch, own + 3 * s.pitch, own + 4 * s.pitch
    offset, started = 0, False
    while True:
        if s.mean and wide & size:
            at = held + offset * apart * s.work
            if not started:
                if wide == size:
                    return held
                call(n.copy, (total, at, positions * s.cell))
                started = True
            else:
                call(n.combine, (total, total, at, positions * s.cell))
            offset += size
        if 2 * size > wide:
            break
        to = two if held == one else one
        cells = positions + (wide - 2 * size) * w.dilation[2]
        at, beside = held + size * apart * s.work, held + s.places + size * apart * 8
        combine(s, n, to, to + s.places, held, held + s.places, at, beside, cells * s.cell)
        held, size = to, 2 * size
    if s.mean:
        return total
    if size < wide:
        to = two if held == one else one
        shift = (wide - size) * apart
        at, beside = held + shift * s.work, held + s.places + shift * 8
        combine(s, n, to, to + s.places, held, held + s.places, at, beside, positions * s.cell)
        held = to
    return held
