"""The loops of filters, in addresses and bytes: rows, and what is summed of them, or wins.

An input is *planes* of rows. A row of the result is a sum over rows (*down*), over neighbours in a
row (*along*), one after the other in either order, or over a window of rows and neighbours. Rows
that are needed again wait in a ring, with what lies beyond their ends. What is summed is float64;
a largest or smallest value is found in the input's own type.
"""

from typing import NamedTuple

from numbaconv.filtering.borders import place
from numbaconv.kernels.jit import device, unpacker
from numbaconv.native.link import call, copy_bytes
from numbaconv.problem.arrays import Table
from numbaconv.teams.jobs import tasks_kernel

#: What is done to a plane.
DOWN, ALONG, DOWN_ALONG, ALONG_DOWN, WINDOW = range(5)


class Shape(NamedTuple):
    """What the loops need to know, all int64; sizes in elements, distances in bytes."""

    form: int  # one of those above
    planes: int
    depth: int  # planes over which a window goes; they follow each other
    rows: int  # of a plane
    width: int  # of a row
    x_plane: int  # between planes of the input,
    x_row: int  # and between rows
    size: int  # bytes of an element of the input,
    work: int  # of rows in memory,
    out_size: int  # and of the result
    strips: int  # of the rows of a plane, each a task
    pieces: int  # of a row, each a task
    piece: int
    low: int  # neighbours before a row's first element
    high: int  # and behind the last
    above: int  # rows before a plane's first,
    ring: int  # and those that wait,
    slots: int  # for whose like there is memory
    before: int  # planes before the first,
    ring_planes: int  # and those of a window
    taps_down: int
    taps_along: int
    sums_down: int  # rows that are listed for them: of symmetric weights almost twice as many
    sums_along: int
    pitch: int  # of a row in memory
    worker_bytes: int
    divisor: int  # of the sums, or 0,
    first_divisor: int  # and of those that are summed again
    block: int  # rows of the result that are summed at once: what they sum is
    box_planes: int  # so many planes, rows and columns
    box_rows: int
    box_columns: int
    first_plane: int  # from these positions on
    first_row: int
    first_column: int
    column: int  # elements from column to column
    doublings: int  # of sums of equal weights along a row, or 0,
    doubled: int  # where they lie in a worker's memory,
    length_along: int  # and how many neighbours they sum


class Natives(NamedTuple):
    """The addresses of native functions, of weights, and of rows that never change."""

    widen: int  # from the input, or 0
    add_down: int
    add_block: int  # for several rows of the result, or 0
    add_along: int
    round: int  # to the result's type
    unround: int  # and back to float64; both 0 where it is that
    divide: int
    weights_down: int
    weights_along: int
    constant: int  # a row of it, as rows are in memory
    constant_input: int  # the same in the input's type


_unpack = unpacker(Shape)


_unpack_natives = unpacker(Natives)


@tasks_kernel
def filter_rows(
    index: int, worker: int, begin: int, x: int, out: int, memory: int, packed: Table,
    natives: Table, places: Table, row_places: Table, plane_places: Table, down: Table,
    along: Table, lists: Table,
) -> None:  # fmt: skip
    """Filter the rows of the tasks from `begin` to `end`.

    `places` and its kin say what stands beyond the ends of an axis (`borders.beyond`), `along` and
    `down` which positions are summed: the latter planes, rows and neighbours.
    """
    s, n = _unpack(packed), _unpack_natives(natives)
    task = begin + index
    piece, strip = task % s.pieces, task // s.pieces % s.strips
    plane = task // s.pieces // s.strips
    own = memory + worker * s.worker_bytes
    h0, h1 = strip * s.rows // s.strips, (strip + 1) * s.rows // s.strips
    w0 = piece * s.piece
    w1 = min(w0 + s.piece, s.width)
    source = x + plane * s.x_plane
    rows = lists[worker]
    sums = own + s.block * s.pitch
    h = h0
    while h < h1:
        count = s.block if h1 - h >= s.block else 1
        if s.form == DOWN:
            _down_input(s, n, source, h, w0, count, row_places, down, rows, sums, w1 - w0)
        elif s.form == ALONG:
            _bring(s, n, source + h * s.x_row, w0, w1, own, places)
            _sum_along(s, n, own, own, sums, along, rows, w1 - w0)
        elif s.form == DOWN_ALONG:
            middle = own + s.low * s.work
            _down_input(s, n, source, h, 0, count, row_places, down, rows, middle, s.width)
            for j in range(count):
                _round(s, n, middle + j * s.pitch, sums, s.width)
                _extend(s, n, own + j * s.pitch, places)
            for j in range(count):
                _sum_along(s, n, own + j * s.pitch, own, sums + j * s.pitch, along, rows, s.width)
        elif s.form == ALONG_DOWN:
            for q in range(h if h == h0 else h + s.ring - 1, h + s.ring - 1 + count):
                to_ring = own + (2 * s.block + q % s.slots) * s.pitch
                found = place(q - s.above, s.rows, s.above, row_places)
                if found < 0:
                    copy_bytes(to_ring, n.constant, s.width * s.work)
                    continue
                row = source + found * s.x_row
                _bring(s, n, row, 0, s.width, own, places)
                _sum_along(s, n, own, own, to_ring, along, rows, s.width)
                _round(s, n, to_ring, sums, s.width)
            _down_ring(s, n, own, h, count, down, rows, sums)
        else:
            _bring_window(s, n, x, plane, h, count, h == h0, own, places, row_places, plane_places)
            _down_ring(s, n, own, h, count, down, rows, sums)
        for j in range(count):
            _give(s, n, out, (plane * s.rows + h + j) * s.width + w0, sums + j * s.pitch, w1 - w0)
        h += count


@device
def _give(s: Shape, n: Natives, out: int, first: int, sums: int, length: int) -> None:
    """Write a row of sums to the result, from an element on."""
    if s.divisor:
        call(n.divide, (sums, sums, s.divisor, length))
    if n.round:
        call(n.round, (out + first * s.out_size, sums, length))
    else:
        copy_bytes(out + first * s.out_size, sums, length * s.work)


@device
def _down_input(
    s: Shape, n: Natives, source: int, h: int, w0: int, count: int, row_places: Table,
    down: Table, rows: Table, to: int, length: int,
) -> None:  # fmt: skip
    """Sum rows of the input for some rows of the result."""
    if n.add_block and count == s.block:
        for k in range(s.box_rows + count - 1):
            rows[k] = _input_row(s, n, source, h + s.first_row + k, w0, row_places)
        _sum_block(s, n, rows, to, length)
        return
    for j in range(count):
        for k in range(s.sums_down):
            rows[k] = _input_row(s, n, source, h + j + down[1, k], w0, row_places)
        _sum(n.add_down, s.taps_down, rows, n.weights_down, to + j * s.pitch, length)


@device
def _sum_doubled(
    s: Shape, n: Natives, row: int, doubled: int, to: int, rows: Table, length: int
) -> None:  # fmt: skip
    """Sum neighbours by sums of 2, 4, 8 and so on, and those of them that make up the number."""
    source, cell = row, s.column * s.work
    for k in range(s.doublings):
        half = 1 << k
        rows[0], rows[1] = source, source + half * cell
        source = doubled + k * s.pitch
        _sum(n.add_along, 2, rows, n.weights_along, source,
             length + (s.length_along - 2 * half) * s.column)  # fmt: skip
    taps, first = 0, 0
    for k in range(s.doublings, -1, -1):
        if s.length_along >> k & 1:
            rows[taps] = (doubled + (k - 1) * s.pitch if k else row) + first * cell
            taps += 1
            first += 1 << k
    _sum(n.add_along, taps, rows, n.weights_along, to, length)


@device
def _input_row(
    s: Shape, n: Natives, source: int, position: int, w0: int, row_places: Table
) -> int:  # fmt: skip
    """Return the address of a row of the input, counted from the first that is summed."""
    row = place(position - s.above, s.rows, s.above, row_places)
    at = source + row * s.x_row + w0 * s.size
    return n.constant_input if row < 0 else at


@device
def _down_ring(
    s: Shape, n: Natives, own: int, h: int, count: int, down: Table, rows: Table, to: int
) -> None:  # fmt: skip
    """Sum rows that wait in the ring for some rows of the result."""
    ring = own + 2 * s.block * s.pitch
    if n.add_block and count == s.block:
        k = 0
        for a in range(s.first_plane, s.first_plane + s.box_planes):
            for q in range(h + s.first_row, h + s.first_row + s.box_rows + count - 1):
                row = ring + (a * s.slots + q % s.slots) * s.pitch + s.first_column * s.work
                for c in range(s.box_columns):
                    rows[k + c] = row + c * s.column * s.work
                k += s.box_columns
        _sum_block(s, n, rows, to, s.width)
        return
    for j in range(count):
        for k in range(s.sums_down):
            slot = down[0, k] * s.slots + (h + j + down[1, k]) % s.slots
            rows[k] = ring + slot * s.pitch + down[2, k] * s.work
        _sum(n.add_down, s.taps_down, rows, n.weights_down, to + j * s.pitch, s.width)


@device
def _sum_block(s: Shape, n: Natives, rows: Table, to: int, length: int) -> None:
    call(n.add_block, (
        s.box_planes, s.box_rows, s.box_columns, rows.ctypes.data, n.weights_down, to, s.pitch,
        length,
    ))  # fmt: skip


@device
def _sum(add: int, taps: int, rows: Table, weights: int, to: int, length: int) -> None:
    call(add, (taps, rows.ctypes.data, weights, to, length))


@device
def _sum_along(
    s: Shape, n: Natives, row: int, memory: int, to: int, along: Table, rows: Table, length: int
) -> None:  # fmt: skip
    """Sum the neighbours of each element of a row with its borders; `memory` is the worker's."""
    if s.doublings:
        _sum_doubled(s, n, row + along[0] * s.work, memory + s.doubled, to, rows, length)
        return
    for k in range(s.sums_along):
        rows[k] = row + along[k] * s.work
    _sum(n.add_along, s.taps_along, rows, n.weights_along, to, length)


@device
def _round(s: Shape, n: Natives, row: int, free: int, length: int) -> None:
    """Round a row of sums to the result's type: that is what the next sum takes."""
    if s.first_divisor:
        call(n.divide, (row, row, s.first_divisor, length))
    if n.round:
        call(n.round, (free, row, length))
        call(n.unround, (row, free, length))


@device
def _bring(
    s: Shape, n: Natives, source: int, w0: int, w1: int, to: int, places: Table
) -> None:  # fmt: skip
    """Bring a part of a row of the input near, with what lies before and behind it."""
    a, b = max(w0 - s.low, 0), min(w1 + s.high, s.width)
    start = to - (w0 - s.low) * s.work  # of element 0
    _widen(s, n, start + a * s.work, source + a * s.size, b - a)
    for i in range(w0 - s.low, a):
        _bring_one(s, n, source, start, i, place(i, s.width, s.low, places), a, b)
    for i in range(b, w1 + s.high):
        _bring_one(s, n, source, start, i, place(i, s.width, s.low, places), a, b)


@device
def _widen(s: Shape, n: Natives, to: int, source: int, count: int) -> None:
    if n.widen:
        call(n.widen, (to, source, count))
    else:
        copy_bytes(to, source, count * s.size)


@device
def _bring_one(
    s: Shape, n: Natives, source: int, start: int, i: int, found: int, a: int, b: int
) -> None:  # fmt: skip
    if found < 0:
        copy_bytes(start + i * s.work, n.constant, s.work)
    elif a <= found < b:
        copy_bytes(start + i * s.work, start + found * s.work, s.work)
    else:
        _widen(s, n, start + i * s.work, source + found * s.size, 1)


@device
def _extend(s: Shape, n: Natives, row: int, places: Table) -> None:
    """Fill what lies before and behind a row of float64."""
    start = row + s.low * s.work
    for k in range(s.low + s.high):
        i = k - s.low if k < s.low else s.width + k - s.low
        source = n.constant if places[k] < 0 else start + places[k] * s.work
        copy_bytes(start + i * s.work, source, s.work)


@device
def _bring_window(
    s: Shape, n: Natives, x: int, plane: int, h: int, count: int, first: bool, own: int,
    places: Table, row_places: Table, plane_places: Table,
) -> None:  # fmt: skip
    """Bring the rows near that some rows' windows reach, beside those that are there."""
    d = plane % s.depth
    for a in range(s.ring_planes):
        at = place(d + a - s.before, s.depth, s.before, plane_places)
        source = x + (plane - d + at) * s.x_plane
        for q in range(h if first else h + s.ring - 1, h + s.ring - 1 + count):
            to = own + (2 * s.block + a * s.slots + q % s.slots) * s.pitch
            found = place(q - s.above, s.rows, s.above, row_places)
            if at < 0 or found < 0:
                copy_bytes(to, n.constant, (s.low + s.width + s.high) * s.work)
            else:
                row = source + found * s.x_row
                _bring(s, n, row, 0, s.width, to, places)
