"""The reference route's kernels: gather a tile's column matrix, multiply, store the product."""

from typing import Any, NamedTuple

import numba
import numpy as np

from numbaconv.kernels.indexing import (
    add_run,
    copy_run,
    spatial_strides,
    split_axes,
    unpack_place,
    unpack_walk,
    unpack_window,
)
from numbaconv.kernels.jit import device, kernel, unpacker
from numbaconv.kernels.long_sums import fold_part, whole_sums
from numbaconv.problem.arrays import Array, Table
from numbaconv.problem.geometry import Axes
from numbaconv.reference.blas import multiply
from numbaconv.reference.taps import gather_elements, gather_position, reader_of


class Cut(NamedTuple):
    """A problem and its `Blocks`, as kernels take them."""

    images: int
    channels: int  # of a group
    groups: int
    outputs: int  # of a group
    run: int
    positions: int
    elements: int
    output_block: int
    long: int


_unpack = unpacker(Cut)


@device
def _count(packed: Table, cut: Table) -> tuple[int, int]:
    """Return the number of tiles, and of blocks of outputs."""
    output, c = unpack_window(packed).output, _unpack(cut)
    runs = output[0] * output[1] * output[2] // c.run
    tiles = runs * ((c.run + c.positions - 1) // c.positions)
    return c.images * c.groups * tiles, (c.outputs + c.output_block - 1) // c.output_block


@kernel
def outputs_by_positions(
    workers: int,
    x: Array,
    x_place: Table,
    packed: Table,
    cut: Table,
    weight: Array,
    bias: Array,
    workspace: Array,
    out: Array,
    out_place: Table,
    walk: Table,
    reading: Table,
) -> None:
    """Convolve with patches as columns: a worker runs its share of tiles and output blocks."""
    tiles, blocks = _count(packed, cut)
    for index in numba.prange(workers):
        worker: Any = np.int64(index)
        task = worker * tiles * blocks // workers
        end = (worker + 1) * tiles * blocks // workers
        while task < end:
            block = task % blocks
            block_end = min(blocks, block + end - task)
            _columns_tile(
                task // blocks, block, block_end, x, x_place, packed, cut, weight, bias,
                workspace[worker], out, out_place, walk, reading,
            )  # fmt: skip
            task += block_end - block


@device
def _columns_tile(
    tile: int,
    block: int,
    block_end: int,
    x: Array,
    x_place: Table,
    packed: Table,
    cut: Table,
    weight: Array,
    bias: Array,
    workspace: Array,
    out: Array,
    out_place: Table,
    walk: Table,
    reading: Table,
) -> None:
    """Multiply (outputs, elements) by (elements, positions) for some output blocks of a tile."""
    window, c = unpack_window(packed), _unpack(cut)
    source, target = unpack_place(x_place), unpack_place(out_place)
    outputs = c.outputs
    taps = window.kernel[0] * window.kernel[1] * window.kernel[2]
    image, group, l0, l1 = _locate(tile, window.output, c)
    length = c.channels * taps
    start = source.base + image * source.image + group * c.channels * source.channel
    to = target.base + image * target.image + group * outputs * target.channel
    n = l1 - l0
    reader = reader_of(reading, x, workspace)
    stage = workspace.size - reader.stage
    # The parts of long sums are formed for one block of outputs at a time.
    step = 1 if c.long else block_end - block
    for b0 in range(block, block_end, step):
        for k0 in range(0, length, c.elements):
            k1 = min(k0 + c.elements, length)
            gather_elements(
                x, start, source.channel, spatial_strides(x_place), window, k0, k1, l0, l1,
                workspace, stage, reader,
            )  # fmt: skip
            columns = workspace[: (k1 - k0) * n].reshape(k1 - k0, n)
            last = min((b0 + step) * c.output_block, outputs)
            for o0 in range(b0 * c.output_block, last, c.output_block):
                m = min(c.output_block, outputs - o0)
                first = group * outputs * length + outputs * k0 + o0 * (k1 - k0)
                rows = weight[first : first + m * (k1 - k0)].reshape(m, k1 - k0)
                product = workspace[(k1 - k0) * n : (k1 - k0 + m) * n]
                multiply(rows, columns, product.reshape(m, n))
                if c.long and not _sum_parts(product, workspace, c, k0, k1 == length):
                    continue
                for o in range(m):
                    offset = bias[group * outputs + o0 + o]
                    first = to + (o0 + o) * target.channel
                    row = product[o * n : (o + 1) * n]
                    _store_row(row, offset, k0 > 0 and not c.long, l0, out, first, walk)


@device
def _sum_parts(product: Array, workspace: Array, c: Cut, k0: int, last: bool) -> bool:
    """Add a part of long sums to those so far; of the last, make the product the whole."""
    begin = c.positions * (c.elements + c.output_block)
    size = c.positions * c.output_block
    high = workspace[begin : begin + product.size]
    low = workspace[begin + size : begin + size + product.size]
    fold_part(product, high, low, k0 == 0)
    if last:
        whole_sums(high, low, product)
    return last


@device
def _store_row(
    product: Array, offset: Any, accumulate: bool, l0: int, out: Array, start: int, walk: Table
) -> None:
    """Write or add one channel's products at output positions from `l0` on."""
    sizes, steps = unpack_walk(walk)
    d, h, w = split_axes(l0, sizes)
    done = 0
    while done < product.size:
        n = min(product.size - done, sizes[2] - w)
        first = start + d * steps[0] + h * steps[1] + w * steps[2]
        row = product[done : done + n]
        if not accumulate:
            for j in range(n):
                row[j] += offset
        _store_run(row, accumulate, out, first, steps[2])
        done += n
        w = 0
        h += 1
        if h == sizes[1]:
            h = 0
            d += 1


@device
def _store_run(row: Array, accumulate: bool, out: Array, first: int, step: int) -> None:
    """Write or add a row at `step`."""
    if accumulate:
        add_run(row, 0, 1, out, first, step, row.size)
    else:
        copy_run(row, 0, 1, out, first, step, row.size)


@kernel
def positions_by_outputs(
    workers: int,
    x: Array,
    x_place: Table,
    packed: Table,
    cut: Table,
    weight: Array,
    bias: Array,
    workspace: Array,
    out: Array,
    out_place: Table,
    walk: Table,
    reading: Table,
) -> None:
    """Do that with patches as rows."""
    tiles, blocks = _count(packed, cut)
    for index in numba.prange(workers):
        worker: Any = np.int64(index)
        task = worker * tiles * blocks // workers
        end = (worker + 1) * tiles * blocks // workers
        while task < end:
            block = task % blocks
            block_end = min(blocks, block + end - task)
            _rows_tile(
                task // blocks, block, block_end, x, x_place, packed, cut, weight, bias,
                workspace[worker], out, out_place, walk, reading,
            )  # fmt: skip
            task += block_end - block


@device
def _rows_tile(
    tile: int,
    block: int,
    block_end: int,
    x: Array,
    x_place: Table,
    packed: Table,
    cut: Table,
    weight: Array,
    bias: Array,
    workspace: Array,
    out: Array,
    out_place: Table,
    walk: Table,
    reading: Table,
) -> None:
    """Multiply (positions, elements) by (elements, outputs) for some output blocks of a tile."""
    window, c = unpack_window(packed), _unpack(cut)
    source, target = unpack_place(x_place), unpack_place(out_place)
    outputs = c.outputs
    length = c.channels * window.kernel[0] * window.kernel[1] * window.kernel[2]
    image, group, l0, l1 = _locate(tile, window.output, c)
    start = source.base + image * source.image + group * c.channels * source.channel
    to = target.base + image * target.image + group * outputs * target.channel
    n = l1 - l0
    step = 1 if c.long else block_end - block
    for b0 in range(block, block_end, step):
        for k0 in range(0, length, c.elements):
            k1 = min(k0 + c.elements, length)
            for position in range(l0, l1):
                gather_position(
                    x, start, source.channel, spatial_strides(x_place), window, position,
                    c.channels, k0, k1, workspace, (position - l0) * (k1 - k0),
                )  # fmt: skip
            rows = workspace[: n * (k1 - k0)].reshape(n, k1 - k0)
            last = min((b0 + step) * c.output_block, outputs)
            for o0 in range(b0 * c.output_block, last, c.output_block):
                m = min(c.output_block, outputs - o0)
                first = group * outputs * length + o0 * length + m * k0
                matrix = weight[first : first + m * (k1 - k0)].reshape(k1 - k0, m)
                product = workspace[n * (k1 - k0) : n * (k1 - k0 + m)]
                multiply(rows, matrix, product.reshape(n, m))
                if c.long and not _sum_parts(product, workspace, c, k0, k1 == length):
                    continue
                _store_positions(
                    product.reshape(n, m), bias, group * outputs + o0, k0 > 0 and not c.long,
                    l0, out, to + o0 * target.channel, target.channel, walk,
                )  # fmt: skip


@device
def _store_positions(
    product: Array,
    bias: Array,
    first_output: int,
    accumulate: bool,
    l0: int,
    out: Array,
    start: int,
    step: int,
    walk: Table,
) -> None:
    """Write or add all products of output positions from `l0` on."""
    sizes, steps = unpack_walk(walk)
    for i in range(product.shape[0]):
        d, h, w = split_axes(l0 + i, sizes)
        first = start + d * steps[0] + h * steps[1] + w * steps[2]
        row = product[i]
        if not accumulate:
            for o in range(row.size):
                row[o] += bias[first_output + o]
        _store_run(row, accumulate, out, first, step)


@device
def _locate(tile: int, output: Axes, c: Cut) -> tuple[int, int, int, int]:
    """Return (image, group, first position, end position) of a tile."""
    runs = output[0] * output[1] * output[2] // c.run
    pieces = (c.run + c.positions - 1) // c.positions
    piece, rest = tile % pieces, tile // pieces
    run, rest = rest % runs, rest // runs
    l0 = piece * c.positions
    l1 = min(l0 + c.positions, c.run)
    return rest // c.groups, rest % c.groups, run * c.run + l0, run * c.run + l1
