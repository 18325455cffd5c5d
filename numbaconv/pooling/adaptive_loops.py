"""The loops of adaptive pools, in addresses and bytes: windows everywhere, and those that count.

Along an axis windows are of two sizes at most, k and k + 1. The windows of both sizes are put
together at every position, by few operations on long rows, and the results are picked: of large
planes row by row, after the rows of a window have been combined; of small ones of whole planes,
some at a time, first down and then along.
"""

from numbaconv.kernels.indexing import WindowAxes
from numbaconv.kernels.jit import device
from numbaconv.native.link import call, copy_bytes
from numbaconv.native.rows import NOTHING
from numbaconv.pooling.loops import count_of
from numbaconv.pooling.row_loops import (
    ROWS,
    Natives,
    Shape,
    along,
    combine,
    copy,
    unpack,
    unpack_natives,
)
from numbaconv.problem.arrays import Table
from numbaconv.teams.jobs import tasks_kernel

#: Rows of a worker's memory for windows along a row: those of `along`, and the longer windows.
ALONG = ROWS + 1
#: Rows of a worker's memory: the picked ones beside those, or windows down, and along both sizes.
HELD, HELD_FLAT = ALONG + 1, 3 * ALONG + 1


@tasks_kernel
def reduce_rows(
    index: int, worker: int, begin: int, x: int, out: int, indices: int, memory: int,
    packed: Table, natives: Table, depths: Table, rows: Table, columns: Table,
    depth_counts: Table, row_counts: Table, shortest: int, height: int, width: int,
    zero: Table, picks: Table, pieces: Table,
) -> None:  # fmt: skip
    """Reduce the windows of the tasks from `begin` to `end`: (begins, ends) for each axis."""
    s, n = unpack(packed), unpack_natives(natives)
    task = begin + index
    strip, first = task % s.strips, task // s.strips * s.block
    own = memory + worker * s.worker_bytes
    down, across = rows.shape[1], columns.shape[1]
    lines = depths.shape[1] * down
    results = across * s.cell
    for plane in range(first, min(first + s.block, s.planes)):
        source = x + plane // s.channels * s.x_image + plane % s.channels * s.x_plane
        start = strip * lines // s.strips
        for line in range(start, (strip + 1) * lines // s.strips):
            d, h = line // down, line % down
            to = (plane * lines + line) * results
            if (
                line > start
                and h > 0
                and rows[0, h] == rows[0, h - 1]
                and (rows[1, h] == rows[1, h - 1])
            ):
                # The windows of the row before, where there are more of them than rows.
                copy_bytes(out + to * s.size, out + (to - results) * s.size, results * s.size)
                if s.indexed:
                    copy_bytes(indices + to * 8, indices + (to - results) * 8, results * 8)
                continue
            factor = count_of(depth_counts, d) * count_of(row_counts, h)
            for piece in range(len(pieces)):
                c0, a = pieces[piece, 0], pieces[piece, 2]
                wide = pieces[piece, 3] - a
                _bring_rows(
                    s, n, source, depths[0, d], depths[1, d], rows[0, h], rows[1, h], height,
                    width, a, wide, own,
                )  # fmt: skip
                _write_piece(
                    s, n, own, columns[:, c0 : pieces[piece, 1]], a, wide, shortest, factor,
                    n.counts + c0 * s.cell * 8, out + (to + c0 * s.cell) * s.size,
                    indices + (to + c0 * s.cell) * 8, zero, picks[worker],
                )  # fmt: skip


@device
def _write_piece(
    s: Shape, n: Natives, own: int, columns: Table, a: int, wide: int, shortest: int, factor: int,
    counts: int, out: int, indices: int, zero: Table, picks: Table,
) -> None:  # fmt: skip
    """Put the windows of a part of a row together, and write those that are results."""
    across = columns.shape[1]
    found = _windows(s, n, own, shortest, 1, wide)
    longer = own + ROWS * s.pitch
    picked = own + ALONG * s.pitch if s.mean else out
    size = s.work if s.mean else s.size
    if s.cell == 1:
        for c in range(across):
            begins = columns[0, c] - a
            other = longer - found if columns[1, c] - columns[0, c] > shortest else 0
            picks[0, c] = begins * size + other
            picks[1, c] = begins * 8 + other
        picks[:, across:] = NOTHING
    _pick(s, n.pick, zero, picks[0], found, longer, columns, a, shortest, picked, size)
    if s.mean:
        call(n.divide, (out, picked, counts, factor, across * s.cell))
    if s.indexed:
        _pick(
            s, n.pick_places, zero, picks[1], found + s.places, longer + s.places, columns, a,
            shortest, indices, 8,
        )  # fmt: skip


@device
def _bring_rows(
    s: Shape, n: Natives, source: int, d0: int, d1: int, h0: int, h1: int, height: int,
    width: int, a: int, wide: int, own: int,
) -> None:  # fmt: skip
    """Combine the rows of a window, of `wide` columns from `a` on."""
    count = wide * s.cell
    whole = (count + s.lanes - 1) // s.lanes * s.lanes
    to = own
    for d in range(d0, d1):
        for h in range(h0, h1):
            at = source + d * s.x_depth + h * s.x_row + a * s.cell * s.size
            call(n.bring, (to, at, count))
            if s.indexed:
                columns = n.columns + a * s.cell * 8
                call(n.shift, (to + s.places, columns, (d * height + h) * width, whole))
            if to != own:
                combine(s, n, own, own + s.places, own, own + s.places, to, to + s.places, count)
            to = own + s.pitch


@device
def _windows(s: Shape, n: Natives, own: int, shortest: int, apart: int, width: int) -> int:
    """Return where the windows of the shorter size are at every position of a row.

    Those of the longer size are in the sixth row of memory from `own` on.
    """
    one = (1, 1, 1)
    positions = width - (shortest - 1) * apart
    w = WindowAxes(
        (1, 1, width), (1, 1, shortest), (1, 1, positions), one, (1, 1, apart), (0, 0, 0), 0
    )  # fmt: skip
    found = along(s, n, w, own)
    longer, end = own + ROWS * s.pitch, shortest * apart * s.cell
    if positions > apart:
        combine(
            s, n, longer, longer + s.places, found, found + s.places, own + end * s.work,
            own + s.places + end * 8, (positions - apart) * s.cell,
        )  # fmt: skip
    return found


@device
def _pick(
    s: Shape, native: int, zero: Table, places: Table, found: int, longer: int, columns: Table,
    a: int, shortest: int, to: int, size: int,
) -> None:  # fmt: skip
    """Copy the windows of a row that are results."""
    across = columns.shape[1]
    if s.cell == 1:
        row = zero.ctypes.data
        call(native, (to, 0, found, row, 1, across, 0, across, places.ctypes.data))
        return
    nbytes = s.cell * size
    for c in range(across):
        length = columns[1, c] - columns[0, c]
        source = (found if length == shortest else longer) + (columns[0, c] - a) * nbytes
        copy_bytes(to + c * nbytes, source, nbytes)


@tasks_kernel
def reduce_planes(
    index: int, worker: int, begin: int, x: int, out: int, indices: int, memory: int,
    packed: Table, natives: Table, rows: Table, columns: Table, shortest_row: int,
    shortest_column: int, height: int, width: int, zero: Table, picks: Table,
) -> None:  # fmt: skip
    """Reduce the windows of whole planes that follow each other, a block of them a task."""
    s, n = unpack(packed), unpack_natives(natives)
    own = memory + worker * s.worker_bytes
    first = (begin + index) * s.block
    planes = min(s.block, s.planes - first)
    plane, down, across = height * width, rows.shape[1], columns.shape[1]
    count = planes * plane
    call(n.bring, (own, x + first * plane * s.size, count))
    if s.indexed:
        whole = (count + s.lanes - 1) // s.lanes * s.lanes
        call(n.shift, (own + s.places, n.columns, 0, whole))
    short = _windows(s, n, own, shortest_row, width, count)
    one = _along_planes(s, n, own + ALONG * s.pitch, short, shortest_column, count)
    other = one
    if (rows[1] - rows[0]).max() > shortest_row:
        tall = own + ROWS * s.pitch
        other = _along_planes(s, n, own + 2 * ALONG * s.pitch, tall, shortest_column, count)
    size = s.work if s.mean else s.size
    k = 0
    for h in range(down):
        of_row, longer = one - own, own + ALONG * s.pitch + ROWS * s.pitch - own
        if rows[1, h] - rows[0, h] > shortest_row:
            of_row, longer = other - own, (2 * ALONG + ROWS) * s.pitch
        for c in range(across):
            at = longer if columns[1, c] - columns[0, c] > shortest_column else of_row
            start = rows[0, h] * width + columns[0, c]
            picks[worker, 0, k] = at + start * size
            picks[worker, 1, k] = at + start * 8
            k += 1
    picks[worker, :, k:] = NOTHING
    picked = own + 3 * ALONG * s.pitch
    for p in range(planes):
        to = (first + p) * k
        target = picked if s.mean else out + to * s.size
        row, places = zero.ctypes.data, picks[worker, 0].ctypes.data
        call(n.pick, (target, 0, own + p * plane * size, row, 1, k, 0, k, places))
        if s.mean:
            call(n.divide, (out + to * s.size, picked, n.counts, 1, k))
        if s.indexed:
            source = own + s.places + p * plane * 8
            places = picks[worker, 1].ctypes.data
            call(n.pick_places, (indices + to * 8, 0, source, row, 1, k, 0, k, places))


@device
def _along_planes(s: Shape, n: Natives, memory: int, source: int, shortest: int, count: int) -> int:
    """Return where the shorter windows along the rows of planes are, made in other memory."""
    copy(s, n, memory, memory + s.places, source, source + s.places, count)
    return _windows(s, n, memory, shortest, 1, count)
