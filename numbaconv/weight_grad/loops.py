"""The loops of the direct weight gradient, in addresses and bytes: one machine code for all dtypes.

A *chunk* is some output positions: all of several images, or some rows of one depth of one image. A
*slot* is a sum of its own over every so-manieth chunk. A task owns some output channels and some
elements of the patch in one slot.
"""

from typing import NamedTuple

from numbaconv.kernels.jit import device, unpacker
from numbaconv.native.link import call, fetch_add
from numbaconv.native.rows import NOTHING
from numbaconv.problem.arrays import Table
from numbaconv.teams.jobs import fork_join, fork_tasks, team_kernel, team_part


class Shape(NamedTuple):
    """What the loops need to know, all int64; sizes in elements, strides and bytes in bytes."""

    size: int  # bytes of an element
    tile_rows: int  # output channels of a tile
    tile_width: int  # elements of a patch (or channels) of a tile
    outputs: int  # of a group
    channels: int  # of a group
    taps: int
    groups: int
    out_blocks: int
    blocks: int  # of patch elements: channels by taps, or elements
    out_cuts: int
    cuts: int
    slots: int
    chunk_images: int  # images of a chunk, or 0 where it is rows of one image
    chunk_rows: int
    depths: int
    rows: int
    width: int
    in_depth: int
    in_height: int
    in_width: int
    kernel_depth: int
    stride_depth: int
    stride_height: int
    stride_width: int
    dilation_depth: int
    low_depth: int
    low_height: int
    low_width: int
    interleaved: int  # images whose equal positions follow each other, or 1 where images do
    row_step: int  # input rows between those that are loaded
    span: int  # input rows that a chunk loads, a depth
    space_width: int  # input columns that it loads
    patches: int  # whether patches are laid out, element by element
    channels_last: int
    x_image: int
    x_channel: int
    x_depth: int
    x_row: int
    x_column: int
    g_image: int
    g_channel: int
    g_depth: int
    g_row: int
    g_column: int
    panel: int  # bytes of a block of output gradients
    space: int  # bytes of a block of inputs
    space_offset: int  # where those begin in a worker's memory
    scratch_offset: int
    worker_bytes: int


_unpack = unpacker(Shape)


@team_kernel
def accumulate(
    team: int,
    workers: int,
    x: int,
    grad: int,
    sums: int,
    zeros: int,
    memory: int,
    first: int,
    images: int,
    counter: Table,
    packed: Table,
    natives: Table,
    offsets: Table,
    starts: Table,
    elements: Table,
    columns: Table,
    pixels: Table,
    seen: Table,
    row_table: Table,
) -> None:
    """Run all tasks over some images, of which the first is number `first`."""
    counter[0] = 0
    shared = (
        x, grad, sums, zeros, memory, first, images, counter, packed, natives, offsets, starts,
        elements, columns, pixels, seen, row_table,
    )  # fmt: skip
    fork_join(team, workers, _work, shared)


@team_part
def _work(
    worker: int,
    x: int,
    grad: int,
    sums: int,
    zeros: int,
    memory: int,
    first: int,
    images: int,
    counter: Table,
    packed: Table,
    natives: Table,
    offsets: Table,
    starts: Table,
    elements: Table,
    columns: Table,
    pixels: Table,
    seen: Table,
    row_table: Table,
) -> None:
    s = _unpack(packed)
    own = memory + worker * s.worker_bytes
    tasks = s.slots * s.groups * s.out_cuts * s.cuts
    parts = (s.rows + s.chunk_rows - 1) // s.chunk_rows
    tile_bytes = s.tile_rows * s.tile_width * s.size
    if s.chunk_images:
        begin = first // s.chunk_images
        end = (first + images + s.chunk_images - 1) // s.chunk_images
    else:
        begin, end = first * s.depths * parts, (first + images) * s.depths * parts
    while True:
        task = fetch_add(counter.ctypes.data)
        if task >= tasks:
            break
        cut, rest = task % s.cuts, task // s.cuts
        out_cut, rest = rest % s.out_cuts, rest // s.out_cuts
        group, slot = rest % s.groups, rest // s.groups
        o0 = out_cut * s.out_blocks // s.out_cuts
        o1 = (out_cut + 1) * s.out_blocks // s.out_cuts
        # Channels stay together with all their taps, unless patches are laid out.
        unit = 1 if s.patches else s.taps
        units = s.blocks // unit
        b0, b1 = cut * units // s.cuts * unit, (cut + 1) * units // s.cuts * unit
        total = sums + (slot * s.groups + group) * s.out_blocks * s.blocks * tile_bytes
        for chunk in range(begin + (slot - begin) % s.slots, end, s.slots):
            if s.chunk_images:
                image, depth, row = chunk * s.chunk_images - first, 0, 0
                count = min(s.chunk_images, images - image)
                rows = s.rows
            else:
                row = chunk % parts * s.chunk_rows
                depth = chunk // parts % s.depths
                image = chunk // parts // s.depths - first
                count, rows = 1, min(s.chunk_rows, s.rows - row)
            _load_gradients(
                s, grad, own, image, count, depth, row, rows, group, o0, o1, natives, pixels
            )
            if s.patches:
                _load_patches(
                    s, x, own, image, count, depth, row, rows, group, b0, b1, natives, elements,
                    columns, row_table[worker],
                )  # fmt: skip
            else:
                _load_channels(
                    s, x, own, image, count, depth, row, rows, group, b0 // unit, b1 // unit,
                    natives, pixels,
                )  # fmt: skip
            for b in range(b0, b1):
                reads = own + s.space_offset + starts[b] - b0 // unit * s.space
                for o in range(o0, o1):
                    _add_products(
                        s, seen, b % unit, count, depth, row, rows, own + (o - o0) * s.panel,
                        reads, offsets, total + (o * s.blocks + b) * tile_bytes, natives[0],
                        zeros, chunk != slot,
                    )  # fmt: skip


@device
def _add_products(
    s: Shape, seen: Table, tap: int, images: int, depth: int, row: int, rows: int, panel: int,
    reads: int, offsets: Table, sums: int, tile: int, zeros: int, adds: bool,
) -> None:  # fmt: skip
    """Add a tile's products over a chunk; of a tap in `seen` over what meets the input alone."""
    r0, r1, q0, q1 = 0, rows, 0, s.width
    if len(seen):
        d = depth * s.stride_depth + seen[tap, 0]
        r0, r1 = max(0, seen[tap, 1] - row), min(rows, seen[tap, 2] - row)
        q0, q1 = seen[tap, 3], seen[tap, 4]
        if d < 0 or d >= s.in_depth or r1 <= r0 or q1 <= q0:
            r0, r1, q0, q1 = 0, 0, 0, s.width
    # Runs of positions: of all images, of an image, or of a row.
    whole, n, tall = q1 - q0 == s.width, s.interleaved, r1 - r0
    lines = images if n == 1 else 1
    runs, each = lines, tall * s.width * n
    if not whole:
        runs, each = lines * tall, (q1 - q0) * n
    elif tall == rows:
        runs, each = 1, images * rows * s.width if n == 1 else each
    for run in range(runs):
        line, r = (run, 0) if whole else (run // tall, run % tall)
        first = ((line * rows + r0 + r) * s.width + q0) * n
        if each > 0 or (run == 0 and not adds):
            call(
                tile,
                (
                    each, panel + first * s.tile_rows * s.size, reads, offsets[first:].ctypes.data,
                    sums, s.tile_width * s.size, zeros, adds or run > 0, s.tile_rows, s.tile_width,
                ),
            )  # fmt: skip


@device
def _load_gradients(
    s: Shape,
    grad: int,
    own: int,
    image: int,
    count: int,
    depth: int,
    row: int,
    rows: int,
    group: int,
    o0: int,
    o1: int,
    natives: Table,
    pixels: Table,
) -> None:
    """Lay a chunk of the output's gradient out as panels: a block of channels each position."""
    positions = rows * s.width
    for o in range(o0, o1):
        valid = min(s.tile_rows, s.outputs - o * s.tile_rows)
        for i in range(max(count, s.interleaved)):
            source = grad + (image + i) * s.g_image + depth * s.g_depth + row * s.g_row
            source += (group * s.outputs + o * s.tile_rows) * s.g_channel
            each = s.tile_rows * s.size
            step = each * s.interleaved
            to = own + (o - o0) * s.panel + i * (each if s.interleaved > 1 else positions * each)
            if i >= count:
                # Of images that there are not.
                call(natives[1], (0, s.tile_rows, positions, to, 0, to, step))
            elif s.channels_last:
                for r in range(rows):
                    call(
                        natives[6] if s.interleaved > 1 else natives[3],
                        (
                            to + r * s.width * step, step, source + r * s.g_row,
                            pixels[1:].ctypes.data, s.width, s.tile_rows, 0, valid, 0,
                        ),
                    )  # fmt: skip
            elif valid == s.tile_rows and s.interleaved == 1:
                call(natives[4], (positions, source, s.g_channel, to))
            else:
                call(
                    natives[1], (valid, s.tile_rows, positions, source, s.g_channel, to, step)
                )  # fmt: skip


@device
def _load_channels(
    s: Shape,
    x: int,
    own: int,
    image: int,
    count: int,
    depth: int,
    row: int,
    rows: int,
    group: int,
    c0: int,
    c1: int,
    natives: Table,
    pixels: Table,
) -> None:
    """Lay a chunk's input out as pixels of a block of channels, with its padding."""
    # Images one after the other, or pixel by pixel.
    pitch = s.tile_width * s.size * s.interleaved
    begin = max(0, min(s.low_width, s.space_width))
    inside = max(0, min(s.in_width, s.space_width - s.low_width))
    needed = min(s.span, (rows - 1) * (s.stride_height // s.row_step) + s.span
                 - (s.chunk_rows - 1) * (s.stride_height // s.row_step))  # fmt: skip
    for c in range(c0, c1):
        valid = min(s.tile_width, s.channels - c * s.tile_width)
        base = own + s.space_offset + (c - c0) * s.space
        for i in range(max(count, s.interleaved)):
            source = x + (image + i) * s.x_image
            source += (group * s.channels + c * s.tile_width) * s.x_channel
            for a in range(s.kernel_depth):
                d = depth * s.stride_depth + a * s.dilation_depth - s.low_depth
                to = base + a * s.span * s.space_width * pitch
                if s.interleaved > 1:
                    to += i * s.tile_width * s.size
                else:
                    to += i * s.kernel_depth * s.span * s.space_width * pitch
                h = row * s.stride_height - s.low_height
                low = min(needed, (max(-h, 0) + s.row_step - 1) // s.row_step)
                high = min(needed, (s.in_height - h + s.row_step - 1) // s.row_step)
                if d < 0 or d >= s.in_depth or inside == 0 or i >= count:
                    low = high = needed
                high = max(low, high)
                _clear_pixels(s, to, low * s.space_width, natives)
                after = to + high * s.space_width * pitch
                _clear_pixels(s, after, (needed - high) * s.space_width, natives)
                at = source + d * s.x_depth + (h + low * s.row_step) * s.x_row
                to += low * s.space_width * pitch
                # Rows that follow each other on both sides are one long row.
                merged = s.row_step == 1 and inside == s.in_width == s.space_width
                lines = 1 if merged else high - low
                length = (high - low) * inside if merged else inside
                for _ in range(lines if high > low else 0):
                    _clear_pixels(s, to, begin, natives)
                    _load_pixels(s, at, length, valid, to + begin * pitch, natives, pixels)
                    behind = s.space_width - begin - inside
                    _clear_pixels(s, to + (begin + inside) * pitch, behind, natives)
                    at += s.row_step * s.x_row
                    to += s.space_width * pitch


@device
def _clear_pixels(s: Shape, to: int, count: int, natives: Table) -> None:
    """Write zeros to all channels of `count` pixels."""
    if count > 0:
        pitch = s.tile_width * s.size * s.interleaved
        call(natives[1], (0, s.tile_width, count, to, 0, to, pitch))


@device
def _load_pixels(
    s: Shape, source: int, count: int, valid: int, to: int, natives: Table, pixels: Table
) -> None:
    """Write the `valid` channels of `count` pixels, and zeros for the rest of a block."""
    pitch = s.tile_width * s.size * s.interleaved
    if s.channels_last:
        # One row of the input at most, whose pixels `pixels` knows.
        for first in range(0, count, s.in_width):
            n = min(s.in_width, count - first)
            call(
                natives[3],
                (
                    to + first * pitch, pitch, source + first * s.x_column, pixels.ctypes.data, n,
                    s.tile_width, 0, valid, 0,
                ),
            )  # fmt: skip
    elif valid == s.tile_width and s.interleaved == 1:
        call(natives[5], (count, source, s.x_channel, to))
    else:
        call(natives[1], (valid, s.tile_width, count, source, s.x_channel, to, pitch))


@device
def _load_patches(
    s: Shape,
    x: int,
    own: int,
    image: int,
    images: int,
    depth: int,
    row: int,
    rows: int,
    group: int,
    b0: int,
    b1: int,
    natives: Table,
    elements: Table,
    columns: Table,
    row_table: Table,
) -> None:
    """Lay a chunk's patches out, a block of elements each position: rows first, then turned."""
    scratch = own + s.scratch_offset
    positions = images * rows * s.width
    total = s.channels * s.taps
    pitch = s.width * s.size
    for b in range(b0, b1):
        k0 = b * s.tile_width
        k1 = min(k0 + s.tile_width, total)
        for k in range(k0, k1):
            # Of each element: its channel, its tap along depth and height, its column's table.
            c, a, t, e = elements[k, 0], elements[k, 1], elements[k, 2], elements[k, 3]
            d = depth * s.stride_depth + a - s.low_depth
            low, high, start = columns[e, 0], columns[e, 1], columns[e, 2]
            for r in range(rows):
                h = (row + r) * s.stride_height + t - s.low_height
                inside = 0 <= d < s.in_depth and 0 <= h < s.in_height
                row_table[r] = d * s.x_depth + h * s.x_row if inside else NOTHING
            for i in range(images):
                source = x + (image + i) * s.x_image + (group * s.channels + c) * s.x_channel
                to = scratch + ((k - k0) * positions + i * rows * s.width) * s.size
                call(
                    natives[2],
                    (
                        to, pitch, source + start, row_table.ctypes.data, rows, s.width, low, high,
                        columns[e, 3:].ctypes.data,
                    ),
                )  # fmt: skip
        to = own + s.space_offset + (b - b0) * s.space
        if k1 - k0 == s.tile_width:
            call(natives[5], (positions, scratch, positions * s.size, to))
        else:
            call(
                natives[1],
                (
                    k1 - k0, s.tile_width, positions, scratch, positions * s.size, to,
                    s.tile_width * s.size,
                ),
            )  # fmt: skip


@team_kernel
def finish(
    team: int, workers: int, sums: int, out: int, packed: Table, transposer: int, copier: int,
    rows: Table,
) -> None:  # fmt: skip
    """Write the sums of the first slot to weights in the caller's layout."""
    shared = sums, out, packed, transposer, copier, rows
    panels = _unpack(packed).groups * _unpack(packed).out_blocks
    fork_tasks(team, workers, panels, _finish_panel, shared)


@team_part
def _finish_panel(
    panel: int, worker: int, sums: int, out: int, packed: Table, transposer: int, copier: int,
    rows: Table,
) -> None:  # fmt: skip
    s = _unpack(packed)
    pitch = s.tile_width * s.size
    tile_bytes = s.tile_rows * pitch
    length = s.channels * s.taps
    group, block = panel // s.out_blocks, panel % s.out_blocks
    first = group * s.outputs + block * s.tile_rows
    valid = min(s.tile_rows, s.outputs - block * s.tile_rows)
    source = sums + panel * s.blocks * tile_bytes
    if s.channels_last:
        step = s.groups * s.outputs * s.size
        for b in range(s.blocks):
            if s.patches:
                k, wide = b * s.tile_width, min(s.tile_width, length - b * s.tile_width)
            else:
                c = b // s.taps * s.tile_width
                k, wide = b % s.taps * s.channels + c, min(s.tile_width, s.channels - c)
            call(
                transposer,
                (
                    valid, valid, wide, source + b * tile_bytes, pitch,
                    out + k * step + first * s.size, step,
                ),
            )  # fmt: skip
        return
    if s.patches or s.taps == 1:
        for b in range(s.blocks):
            wide = min(s.tile_width, length - b * s.tile_width)
            to = out + (first * length + b * s.tile_width) * s.size
            call(
                copier,
                (
                    to, length * s.size, source + b * tile_bytes, rows.ctypes.data, valid, wide,
                    0, wide, 0,
                ),
            )  # fmt: skip
        return
    for o in range(valid):
        to = out + (first + o) * length * s.size
        for c in range(s.blocks // s.taps):
            wide = min(s.tile_width, s.channels - c * s.tile_width)
            call(
                transposer,
                (
                    s.taps, s.taps, wide, source + c * s.taps * tile_bytes + o * pitch,
                    tile_bytes, to + c * s.tile_width * s.taps * s.size, s.taps * s.size,
                ),
            )  # fmt: skip
