"""The loops of filters, in addresses and bytes: rows, and what is summed of them, or wins.

An input is *planes* of rows. A row of the result is a sum over rows (*down*), over neighbours in a
row (*along*), one after the other in either order, or over a window of rows and neighbours. Rows
that are needed again wait in a ring, with what lies beyond their ends. What is summed is float64;
a largest or smallest value is found in the input's own type.
"""

from typing import NamedTuple

from numbaconv.filtering.borders import place
from numbaconv.kernels.jit import device
from numbaconv.native.link import call, copy_bytes
from numbaconv.problem.arrays import Table
from numbaconv.teams.jobs import fork_tasks, team_kernel, team_part

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
    ring: int  # and those that wait
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


class Natives(NamedTuple):
    """The addresses of native functions, of weights, and of rows that never change."""

    widen: int  # from the input, or 0
    add_down: int
    add_along: int
    round: int  # to the result's type
    unround: int  # and back to float64; both 0 where it is that
    divide: int
    weights_down: int
    weights_along: int
    constant: int  # a row of it, as rows are in memory
    constant_input: int  # the same in the input's type


@device
def _unpack(p: Table) -> Shape:
    return Shape(
        p[0], p[1], p[2], p[3], p[4], p[5], p[6], p[7], p[8], p[9], p[10], p[11], p[12], p[13],
        p[14], p[15], p[16], p[17], p[18], p[19], p[20], p[21], p[22], p[23],
        p[24], p[25], p[26],
    )  # fmt: skip


@device
def _unpack_natives(p: Table) -> Natives:
    return Natives(p[0], p[1], p[2], p[3], p[4], p[5], p[6], p[7], p[8], p[9])


@team_kernel
def filter_rows(
    team: int, workers: int, begin: int, end: int, x: int, out: int, memory: int, packed: Table,
    natives: Table, places: Table, row_places: Table, plane_places: Table, down: Table,
    along: Table, lists: Table,
) -> None:  # fmt: skip
    """Filter the rows of the tasks from `begin` to `end`.

    `places` and its kin say what stands beyond the ends of an axis (`borders.beyond`), `along` and
    `down` which positions are summed: the latter planes, rows and neighbours.
    """
    shared = (
        begin, x, out, memory, packed, natives, places, row_places, plane_places, down, along, lists
    )  # fmt: skip
    fork_tasks(team, workers, end - begin, _filter_task, shared)


@team_part
def _filter_task(
    index: int, worker: int, begin: int, x: int, out: int, memory: int, packed: Table,
    natives: Table, places: Table, row_places: Table, plane_places: Table, down: Table,
    along: Table, lists: Table,
) -> None:  # fmt: skip
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
    sums = own + s.pitch
    for h in range(h0, h1):
        to = out + ((plane * s.rows + h) * s.width + w0) * s.out_size
        if s.form == DOWN:
            _list_input_rows(s, n, source, h, w0, row_places, down, rows)
            _sum(n.add_down, s.taps_down, rows, n.weights_down, sums, w1 - w0)
        elif s.form == ALONG:
            _bring(s, n, source + h * s.x_row, w0, w1, own, places)
            _sum_along(s, n, own, sums, along, rows, w1 - w0)
        elif s.form == DOWN_ALONG:
            _list_input_rows(s, n, source, h, 0, row_places, down, rows)
            middle = own + s.low * s.work
            _sum(n.add_down, s.taps_down, rows, n.weights_down, middle, s.width)
            _round(s, n, middle, sums, s.width)
            _extend(s, n, own, places)
            _sum_along(s, n, own, sums, along, rows, s.width)
        elif s.form == ALONG_DOWN:
            for q in range(h if h == h0 else h + s.ring - 1, h + s.ring):
                to_ring = own + (2 + q % s.ring) * s.pitch
                found = place(q - s.above, s.rows, s.above, row_places)
                if found < 0:
                    copy_bytes(to_ring, n.constant, s.width * s.work)
                    continue
                row = source + found * s.x_row
                _bring(s, n, row, 0, s.width, own, places)
                _sum_along(s, n, own, to_ring, along, rows, s.width)
                _round(s, n, to_ring, sums, s.width)
            for k in range(s.sums_down):
                rows[k] = own + (2 + (h + down[1, k]) % s.ring) * s.pitch
            _sum(n.add_down, s.taps_down, rows, n.weights_down, sums, s.width)
        else:
            _bring_window(s, n, x, plane, h, h == h0, own, places, row_places, plane_places)
            for k in range(s.sums_down):
                slot = 2 + down[0, k] * s.ring + (h + down[1, k]) % s.ring
                rows[k] = own + slot * s.pitch + down[2, k] * s.work
            _sum(n.add_down, s.taps_down, rows, n.weights_down, sums, s.width)
        if s.divisor:
            call(n.divide, (sums, sums, s.divisor, w1 - w0))
        if n.round:
            call(n.round, (to, sums, w1 - w0))
        else:
            copy_bytes(to, sums, (w1 - w0) * s.work)


@device
def _sum(add: int, taps: int, rows: Table, weights: int, to: int, length: int) -> None:
    call(add, (taps, rows.ctypes.data, weights, to, length))


@device
def _sum_along(
    s: Shape, n: Natives, row: int, to: int, along: Table, rows: Table, length: int
) -> None:
    """Sum the neighbours of each element of a row with its borders."""
    for k in range(s.sums_along):
        rows[k] = row + along[k] * s.work
    _sum(n.add_along, s.taps_along, rows, n.weights_along, to, length)


@device
def _list_input_rows(
    s: Shape, n: Natives, source: int, h: int, w0: int, row_places: Table, down: Table,
    rows: Table,
) -> None:  # fmt: skip
    """List the rows of the input that a row of the result sums."""
    for k in range(s.sums_down):
        row = place(h + down[1, k] - s.above, s.rows, s.above, row_places)
        at = source + row * s.x_row + w0 * s.size
        rows[k] = n.constant_input if row < 0 else at


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
    s: Shape, n: Natives, x: int, plane: int, h: int, first: bool, own: int, places: Table,
    row_places: Table, plane_places: Table,
) -> None:  # fmt: skip
    """Bring the rows near that a row's windows reach, beside those that are there."""
    d = plane % s.depth
    for a in range(s.ring_planes):
        at = place(d + a - s.before, s.depth, s.before, plane_places)
        source = x + (plane - d + at) * s.x_plane
        for q in range(h if first else h + s.ring - 1, h + s.ring):
            to = own + (2 + a * s.ring + q % s.ring) * s.pitch
            found = place(q - s.above, s.rows, s.above, row_places)
            if at < 0 or found < 0:
                copy_bytes(to, n.constant, (s.low + s.width + s.high) * s.work)
            else:
                row = source + found * s.x_row
                _bring(s, n, row, 0, s.width, to, places)
