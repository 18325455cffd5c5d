"""The loops of depthwise convolution, in addresses and bytes."""

from typing import NamedTuple

from numbaconv.kernels.jit import device, inlined, unpacker
from numbaconv.native.link import call, fetch_add
from numbaconv.problem.arrays import Table
from numbaconv.teams.jobs import fork_join, team_kernel, team_part


class Shape(NamedTuple):
    """What the loops need to know. Sizes in elements, strides in bytes."""

    size: int  # bytes of an element
    channels: int  # of a group
    outputs: int
    outputs_a_group: int
    in_depth: int
    in_height: int
    in_width: int
    out_depth: int
    out_height: int
    out_width: int
    kernel_depth: int
    kernel_height: int
    kernel_width: int
    stride_depth: int
    stride_height: int
    stride_width: int
    dilation_depth: int
    dilation_height: int
    dilation_width: int
    low_depth: int
    low_height: int
    low_width: int
    x_image: int
    x_channel: int
    x_depth: int
    x_row: int
    x_column: int
    small: int  # whether planes are small, and go many at a time
    grain: int  # tasks that a worker takes at a time
    rows: int  # output rows of a task
    band: int  # output rows (or, channels last, pixels) that are summed at once
    table_rows: int  # padded input rows of a task
    table_columns: int  # padded input columns of a row


unpack = unpacker(Shape)


@team_kernel
def planes(
    team: int,
    workers: int,
    images: int,
    x: int,
    weight: int,
    bias: int,
    out: int,
    zeros: int,
    counter: Table,
    packed: Table,
    natives: Table,
    tables: Table,
) -> None:
    """Convolve channels-first images: each task is some rows of an output plane."""
    counter[0] = 0
    shared = images, x, weight, bias, out, zeros, counter, packed, natives, tables
    fork_join(team, workers, _planes, shared)


@team_part
def _planes(
    worker: int,
    images: int,
    x: int,
    weight: int,
    bias: int,
    out: int,
    zeros: int,
    counter: Table,
    packed: Table,
    natives: Table,
    tables: Table,
) -> None:
    s, table = unpack(packed), tables[worker]
    parts = (s.out_height + s.rows - 1) // s.rows
    per_plane = s.out_depth * parts
    tasks = images * s.outputs * per_plane
    while True:
        task = fetch_add(counter.ctypes.data) * s.grain
        if task >= tasks:
            break
        last = min(task + s.grain, tasks)
        if s.small:
            _small_planes(s, task, last, x, weight, bias, out, natives)
            continue
        # Divided once for many tasks: a division costs as much as a row of a small plane.
        part = task % parts
        depth = task // parts % s.out_depth
        output = task // per_plane % s.outputs
        image = task // per_plane // s.outputs
        while task < last:
            _plane(s, part, depth, output, image, x, weight, bias, out, zeros, natives, table)
            task += 1
            part += 1
            if part == parts:
                part = 0
                depth += 1
                if depth == s.out_depth:
                    depth = 0
                    output += 1
                    if output == s.outputs:
                        output = 0
                        image += 1


@device
def _small_planes(
    s: Shape, task: int, end: int, x: int, weight: int, bias: int, out: int, natives: Table
) -> None:
    """Convolve planes that are one band each, many in one call."""
    plane = s.out_height * s.out_width * s.size
    while task < end:
        image, channel = task // s.outputs, task % s.outputs
        count = min(end - task, s.outputs - channel)
        call(
            natives[0],
            (
                x + image * s.x_image + channel * s.x_channel, s.x_channel, s.x_row,
                weight + channel * s.kernel_height * s.kernel_width * s.size,
                bias + channel * s.size, out + task * plane, plane, s.out_width * s.size,
                s.out_width, s.in_width, s.low_width, s.stride_width, count,
            ),
        )  # fmt: skip
        task += count


@inlined
def _plane(
    s: Shape,
    part: int,
    depth: int,
    output: int,
    image: int,
    x: int,
    weight: int,
    bias: int,
    out: int,
    zeros: int,
    natives: Table,
    table: Table,
) -> None:
    """Convolve some rows of an output plane."""
    taps = s.kernel_height * s.kernel_width
    first = part * s.rows
    end = min(first + s.rows, s.out_height)
    group = output if s.outputs_a_group == 1 else output // s.outputs_a_group
    to = out + ((image * s.outputs + output) * s.out_depth + depth) * (
        s.out_height * s.out_width * s.size
    )
    kind = 0
    for c in range(s.channels):
        plane = x + image * s.x_image + (group * s.channels + c) * s.x_channel
        for a in range(s.kernel_depth):
            d = depth * s.stride_depth + a * s.dilation_depth - s.low_depth
            _fill(s, plane + d * s.x_depth, 0 <= d < s.in_depth, first, zeros, table)
            at = weight + ((output * s.channels + c) * s.kernel_depth + a) * taps * s.size
            _bands(s, at, bias + output * s.size, to, first, end, natives[kind:], table)
            kind = 2


@inlined
def _fill(s: Shape, plane: int, exists: bool, first: int, zeros: int, table: Table) -> None:
    """Find the padded input rows from that of output row `first` on."""
    h = first * s.stride_height - s.low_height
    for i in range(s.table_rows):
        inside = exists and 0 <= h < s.in_height
        table[i] = plane + h * s.x_row if inside else zeros
        h += 1


@inlined
def _bands(
    s: Shape,
    weight: int,
    bias: int,
    to: int,
    first: int,
    end: int,
    natives: Table,
    table: Table,
) -> None:
    row = first
    while row < end:
        native, n = natives[0], s.band
        if end - row < n:
            native, n = natives[1], 1
        call(
            native,
            (
                table.ctypes.data + (row - first) * s.stride_height * 8, weight, bias,
                to + row * s.out_width * s.size, s.out_width * s.size, s.out_width, s.in_width,
                s.low_width, s.kernel_height, s.kernel_width, s.stride_height, s.dilation_height,
                s.dilation_width, s.stride_width,
            ),
        )  # fmt: skip
        row += n


@team_kernel
def pixels(
    team: int,
    workers: int,
    images: int,
    x: int,
    weight: int,
    bias: int,
    out: int,
    zeros: int,
    counter: Table,
    packed: Table,
    natives: Table,
    tables: Table,
    lanes_table: Table,
) -> None:
    """Convolve channels-last images: each task is one row of output pixels."""
    counter[0] = 0
    shared = images, x, weight, bias, out, zeros, counter, packed, natives, tables, lanes_table
    fork_join(team, workers, _pixels, shared)


@team_part
def _pixels(
    worker: int,
    images: int,
    x: int,
    weight: int,
    bias: int,
    out: int,
    zeros: int,
    counter: Table,
    packed: Table,
    natives: Table,
    tables: Table,
    lanes_table: Table,
) -> None:
    s, table = unpack(packed), tables[worker]
    tasks = images * s.out_depth * s.out_height
    tap_rows = s.kernel_depth * s.kernel_height
    begin = end_task = 0
    while True:
        if begin == end_task:
            begin = fetch_add(counter.ctypes.data) * s.grain
            end_task = min(begin + s.grain, tasks)
            if begin >= tasks:
                break
        task = begin
        begin += 1
        row = task % s.out_height
        depth = task // s.out_height % s.out_depth
        image = task // s.out_height // s.out_depth
        for a in range(tap_rows):
            d = depth * s.stride_depth + a // s.kernel_height * s.dilation_depth - s.low_depth
            h = row * s.stride_height + a % s.kernel_height * s.dilation_height - s.low_height
            inside = 0 <= d < s.in_depth and 0 <= h < s.in_height
            line = x + image * s.x_image + d * s.x_depth + h * s.x_row
            at = a * s.table_columns
            for i in range(s.table_columns):
                w = i - s.low_width
                table[at + i] = line + w * s.x_column if inside and 0 <= w < s.in_width else zeros
        pixel = out + task * s.out_width * s.outputs * s.size
        column = 0
        while column < s.out_width:
            native, n = natives[0], s.band
            if s.out_width - column < n:
                native, n = natives[1], 1
            call(
                native,
                (
                    table.ctypes.data + column * s.stride_width * 8, s.table_columns * 8, tap_rows,
                    s.kernel_width, s.stride_width, s.dilation_width, weight, bias,
                    pixel + column * s.outputs * s.size, s.outputs, lanes_table.ctypes.data,
                ),
            )  # fmt: skip
            column += n
