"""The loops of Winograd convolution, in addresses and bytes."""

from typing import Any

import numpy as np

from numbaconv.kernels.jit import device
from numbaconv.native.link import call, fetch_add
from numbaconv.problem.arrays import Table
from numbaconv.routes.winograd.stages import (
    Shape,
    find_rows,
    multiply,
    tiles_of,
    transform,
    unpack,
)
from numbaconv.routes.winograd.tiling import TINY, largest, weights_are_tiny
from numbaconv.teams.jobs import fork_join, fork_tasks, team_kernel, team_part


@team_kernel
def convolve(
    team: int,
    workers: int,
    images: int,
    x: int,
    weight: int,
    bias: int,
    out: int,
    memory: int,
    shared: int,
    counter: Table,
    packed: Table,
    natives: Table,
    offsets: Table,
    tables: Table,
    runs: Table,
) -> None:
    """Convolve, all stages fused; ``counter[1]`` becomes 1 if an image must go another way.

    So it must if a result is not finite, and if the image's or the kernels' largest number is so
    small that the transforms would round it.
    """
    counter[0] = 0
    s = unpack(packed)
    counter[1] = _has_tiny(s, images, x, weight)
    panels = (images * s.down * s.across + s.panel - 1) // s.panel
    blocks = (panels + s.block - 1) // s.block
    arguments = (
        blocks, images, x, weight, bias, out, memory, counter, packed, natives, offsets, tables,
        runs,
    )  # fmt: skip
    fork_join(team, workers, _fused, arguments)


@team_kernel
def convolve_shared(
    team: int,
    workers: int,
    images: int,
    x: int,
    weight: int,
    bias: int,
    out: int,
    memory: int,
    shared: int,
    counter: Table,
    packed: Table,
    natives: Table,
    offsets: Table,
    tables: Table,
    runs: Table,
) -> None:
    """Do the same with transformed tiles that all workers share, for few tiles."""
    counter[0] = 0
    s = unpack(packed)
    counter[1] = _has_tiny(s, images, x, weight)
    panels = (images * s.down * s.across + s.panel - 1) // s.panel
    blocks = (panels + s.block - 1) // s.block
    for first in range(0, blocks, s.group):
        count = min(s.group, blocks - first)
        counter[0] = 0
        to_transform = (
            first, count, images, x, memory, shared, counter, packed, natives, tables, runs,
        )  # fmt: skip
        fork_join(team, workers, _transform_shared, to_transform)
        counter[0] = 0
        to_multiply = (
            first, count, images, weight, bias, out, memory, shared, counter, packed, natives,
            offsets, tables, runs,
        )  # fmt: skip
        fork_join(team, workers, _multiply_shared, to_multiply)


@device
def _has_tiny(s: Shape, images: int, x: int, weight: int) -> int:
    """Return 1 if an image, or the kernels, hold nothing but tiny numbers; usually a glance."""
    row = s.width * 4
    for image in range(images):
        found = np.float32(0.0)
        for c in range(s.channels):
            for h in range(s.height):
                start = x + image * s.x_image + c * s.x_channel + h * s.x_row
                found = largest(start, row, found)
                if found >= TINY:
                    break
            if found >= TINY:
                break
        if np.float32(0.0) < found < TINY:
            return 1
    return int(
        weights_are_tiny(
            weight, s.out_blocks, s.weight_block, s.n_tall * s.n_wide, s.weight_xi,
            s.channels * s.tile_rows * 4,
        )
    )  # fmt: skip


@team_part
def _fused(
    worker: int,
    blocks: int,
    images: int,
    x: int,
    weight: int,
    bias: int,
    out: int,
    memory: int,
    counter: Table,
    packed: Table,
    natives: Table,
    offsets: Table,
    tables_of: Table,
    runs_of: Table,
) -> None:
    """Take blocks one by one through all stages."""
    s, tables, runs = unpack(packed), tables_of[worker], runs_of[worker]
    own = memory + worker * s.worker_bytes
    share = (s.out_blocks + s.cuts - 1) // s.cuts
    loaded = -1
    first: Any = np.int64(0)  # a literal 0 would be compiled for itself
    while True:
        task = fetch_add(counter.ctypes.data)
        if task >= blocks * s.cuts:
            break
        block = task // s.cuts
        cut = task % s.cuts
        if block != loaded:
            t0, t1 = tiles_of(s, block, images)
            count = find_rows(s, t0, t1, tables, runs)
            transform(s, x, first, s.channels, t1 - t0, own + s.tiles_offset, own, natives, tables,
                       runs, count)  # fmt: skip
            loaded = block
        multiply(
            s, weight, bias, out, own + s.tiles_offset, own, cut * share,
            min(cut * share + share, s.out_blocks), t0, t1, counter, natives, offsets, tables,
            runs, count,
        )  # fmt: skip


@team_part
def _transform_shared(
    worker: int,
    first: int,
    count: int,
    images: int,
    x: int,
    memory: int,
    shared: int,
    counter: Table,
    packed: Table,
    natives: Table,
    tables_of: Table,
    runs_of: Table,
) -> None:
    """Transform the input of a group of blocks into memory that all workers share."""
    s, tables, runs = unpack(packed), tables_of[worker], runs_of[worker]
    own = memory + worker * s.worker_bytes
    share = (s.channels + s.channel_cuts - 1) // s.channel_cuts
    while True:
        task = fetch_add(counter.ctypes.data)
        if task >= count * s.channel_cuts:
            break
        block = task // s.channel_cuts
        c0 = task % s.channel_cuts * share
        t0, t1 = tiles_of(s, first + block, images)
        found = find_rows(s, t0, t1, tables, runs)
        transform(
            s, x, c0, min(c0 + share, s.channels), t1 - t0,
            shared + block * s.block * s.panel_bytes, own, natives, tables, runs, found,
        )  # fmt: skip


@team_part
def _multiply_shared(
    worker: int,
    first: int,
    count: int,
    images: int,
    weight: int,
    bias: int,
    out: int,
    memory: int,
    shared: int,
    counter: Table,
    packed: Table,
    natives: Table,
    offsets: Table,
    tables_of: Table,
    runs_of: Table,
) -> None:
    """Multiply a group of blocks with shares of the output channels."""
    s, tables, runs = unpack(packed), tables_of[worker], runs_of[worker]
    own = memory + worker * s.worker_bytes
    share = (s.out_blocks + s.cuts - 1) // s.cuts
    while True:
        task = fetch_add(counter.ctypes.data)
        if task >= count * s.cuts:
            break
        cut = task // count
        block = task % count
        t0, t1 = tiles_of(s, first + block, images)
        found = find_rows(s, t0, t1, tables, runs)
        multiply(
            s, weight, bias, out, shared + block * s.block * s.panel_bytes, own, cut * share,
            min(cut * share + share, s.out_blocks), t0, t1, counter, natives, offsets, tables,
            runs, found,
        )  # fmt: skip


@team_kernel
def pack(
    team: int,
    workers: int,
    weight: int,
    to: int,
    memory: int,
    space: int,
    blocks: int,
    rows: int,
    outputs: int,
    channels: int,
    taps: int,
    weight_block: int,
    weight_xi: int,
    transposer: int,
    transformer: int,
) -> None:
    """Transform ``(outputs, channels * taps)`` weights, block by block."""
    shared = (
        weight, to, memory, space, rows, outputs, channels, taps, weight_block, weight_xi,
        transposer, transformer,
    )  # fmt: skip
    fork_tasks(team, workers, blocks, _pack_block, shared)


@team_part
def _pack_block(
    block: int, worker: int, weight: int, to: int, memory: int, space: int, rows: int,
    outputs: int, channels: int, taps: int, weight_block: int, weight_xi: int, transposer: int,
    transformer: int,
) -> None:  # fmt: skip
    panel = memory + worker * space
    valid = min(rows, outputs - block * rows)
    call(
        transposer,
        (
            valid, rows, channels * taps, weight + block * rows * channels * taps * 4,
            channels * taps * 4, panel, rows * 4,
        ),
    )  # fmt: skip
    call(transformer, (panel, channels, rows, to + block * weight_block, weight_xi))


@team_kernel
def pack_flipped(
    team: int,
    workers: int,
    weight: int,
    to: int,
    memory: int,
    space: int,
    blocks: int,
    rows: int,
    outputs: int,
    channels: int,
    taps: int,
    weight_block: int,
    weight_xi: int,
    packer: int,
    transformer: int,
    tables: Table,
) -> None:
    """Transform ``(channels, outputs * taps)`` weights, taps flipped, block by block."""
    for worker in range(workers):
        targets, steps = tables[worker, 0], tables[worker, 1]
        for tap in range(taps):
            targets[tap] = memory + worker * space + (taps - 1 - tap) * rows * 4
            steps[tap] = taps * rows * 4
    shared = (
        weight, to, memory, space, rows, outputs, channels, taps, weight_block, weight_xi, packer,
        transformer, tables,
    )  # fmt: skip
    fork_tasks(team, workers, blocks, _pack_flipped_block, shared)


@team_part
def _pack_flipped_block(
    block: int, worker: int, weight: int, to: int, memory: int, space: int, rows: int,
    outputs: int, channels: int, taps: int, weight_block: int, weight_xi: int, packer: int,
    transformer: int, tables: Table,
) -> None:  # fmt: skip
    targets, steps = tables[worker, 0], tables[worker, 1]
    first = block * rows
    call(
        packer,
        (
            channels, taps, min(rows, outputs - first), weight + first * taps * 4, taps * 4,
            outputs * taps * 4, targets.ctypes.data, steps.ctypes.data,
        ),
    )  # fmt: skip
    panel = memory + worker * space
    call(transformer, (panel, channels, rows, to + block * weight_block, weight_xi))
