"""The loops of Winograd convolution where channels are last, in addresses and bytes.

All tiles of a *group* are transformed, by all workers; then they multiply: a task is a *chunk* of
those tiles and a block of output channels.
"""

from typing import NamedTuple

import numpy as np

from numbaconv.kernels.jit import device, unpacker
from numbaconv.native.link import call, fetch_add
from numbaconv.problem.arrays import Table
from numbaconv.routes.winograd.tiling import TINY, largest, weights_are_tiny
from numbaconv.teams.jobs import fork_join, fork_tasks, team_kernel, team_part

#: Tiles that are transformed in one task.
_TILES_OF_TASK = 4


class Shape(NamedTuple):
    """What the loops need to know. Sizes in elements or tiles; strides and bytes in bytes."""

    channels: int
    outputs: int
    block: int  # output channels of a block
    blocks: int
    narrow: int  # output channels for which a register tile of one vector serves
    tile_pixels: int  # tiles that are multiplied at once
    chunk: int  # tiles of a task, a multiple of those
    group: int  # chunks whose transformed input is there at once
    n_tall: int
    n_wide: int
    m_tall: int
    m_wide: int
    across: int  # tiles along the last axis
    down: int  # tiles of an image along the first
    height: int
    width: int
    out_height: int
    out_width: int
    low_height: int
    low_width: int
    x_image: int
    x_row: int
    x_pixel: int
    pitch: int  # between two transformed tiles
    xi_stride: int  # between two elements of transformed tiles,
    weight_xi: int  # of transformed weights,
    product_xi: int  # and of products
    weight_block: int  # of a block of transformed weights
    worker_bytes: int


unpack = unpacker(Shape)


@team_kernel
def convolve(
    team: int, workers: int, images: int, x: int, weight: int, bias: int, out: int, memory: int,
    shared: int, counter: Table, packed: Table, natives: Table, offsets: Table, places: Table,
) -> None:  # fmt: skip
    """Convolve; ``counter[1]`` becomes 1 if an image must go another way.

    So it must if a result is not finite, and if the image's or the kernels' largest number is so
    small that the transforms would round it.
    """
    s = unpack(packed)
    counter[1] = _has_tiny(s, images, x, weight)
    tiles = images * s.down * s.across
    step = s.group * s.chunk
    for first in range(0, tiles, step):
        count = min(step, tiles - first)
        counter[0] = 0
        to_transform = (first, count, x, shared, counter, packed, natives, offsets, places)
        fork_join(team, workers, _transform, to_transform)
        counter[0] = 0
        to_multiply = (
            first, count, weight, bias, out, memory, shared, counter, packed, natives, places,
        )  # fmt: skip
        fork_join(team, workers, _multiply, to_multiply)


@device
def _has_tiny(s: Shape, images: int, x: int, weight: int) -> int:
    """Return 1 if an image, or the kernels, hold nothing but tiny numbers; usually a glance."""
    for image in range(images):
        found = np.float32(0.0)
        for h in range(s.height):
            for w in range(s.width):
                start = x + image * s.x_image + h * s.x_row + w * s.x_pixel
                found = largest(start, s.channels * 4, found)
                if found >= TINY:
                    break
            if found >= TINY:
                break
        if np.float32(0.0) < found < TINY:
            return 1
    return int(
        weights_are_tiny(
            weight, s.blocks, s.weight_block, s.n_tall * s.n_wide, s.weight_xi,
            s.channels * s.block * 4,
        )
    )  # fmt: skip


@team_part
def _transform(
    worker: int, first: int, count: int, x: int, shared: int, counter: Table, packed: Table,
    natives: Table, offsets: Table, places_of: Table,
) -> None:  # fmt: skip
    """Transform the tiles of a group."""
    s, places = unpack(packed), places_of[worker]
    tasks = (count + _TILES_OF_TASK - 1) // _TILES_OF_TASK
    while True:
        task = fetch_add(counter.ctypes.data)
        if task >= tasks:
            break
        for t in range(task * _TILES_OF_TASK, min(task * _TILES_OF_TASK + _TILES_OF_TASK, count)):
            _find_inputs(s, first + t, x, natives[3], offsets, places)
            call(
                natives[0],
                (places.ctypes.data, s.channels, shared + t * s.pitch, s.xi_stride),
            )  # fmt: skip


@device
def _find_inputs(s: Shape, tile: int, x: int, zeros: int, offsets: Table, places: Table) -> None:
    """Write the addresses of a tile's pixels, outside of the image those of zeros."""
    rest, column = tile // s.across, tile % s.across
    image, row = rest // s.down, rest % s.down
    top, left = row * s.m_tall - s.low_height, column * s.m_wide - s.low_width
    start = x + image * s.x_image + top * s.x_row + left * s.x_pixel
    if top >= 0 and left >= 0 and top + s.n_tall <= s.height and left + s.n_wide <= s.width:
        for k in range(s.n_tall * s.n_wide):
            places[k] = start + offsets[k]
        return
    for i in range(s.n_tall):
        inside = 0 <= top + i < s.height
        for j in range(s.n_wide):
            k = i * s.n_wide + j
            found = inside and 0 <= left + j < s.width
            places[k] = start + offsets[k] if found else zeros


@team_part
def _multiply(
    worker: int, first: int, count: int, weight: int, bias: int, out: int, memory: int,
    shared: int, counter: Table, packed: Table, natives: Table, places_of: Table,
) -> None:  # fmt: skip
    """Multiply a group's tiles, and transform the products back."""
    s, places = unpack(packed), places_of[worker]
    own = memory + worker * s.worker_bytes
    trash = own + s.n_tall * s.n_wide * s.product_xi
    chunks = (count + s.chunk - 1) // s.chunk
    while True:
        task = fetch_add(counter.ctypes.data)
        if task >= chunks * s.blocks:
            break
        block, t0 = task // chunks, task % chunks * s.chunk
        t1 = min(t0 + s.chunk, count)
        outputs = min(s.block, s.outputs - block * s.block)
        tile = natives[1] if outputs > s.narrow else natives[6]
        for xi in range(s.n_tall * s.n_wide):
            panel = weight + block * s.weight_block + xi * s.weight_xi
            for t in range(t0, t1, s.tile_pixels):
                call(
                    tile,
                    (
                        1, s.channels, shared + xi * s.xi_stride + t * s.pitch, 4, s.pitch, panel,
                        s.block * 4, natives[4], own + xi * s.product_xi + (t - t0) * s.block * 4,
                        s.block * 4, natives[5], s.block, 0,
                    ),
                )  # fmt: skip
        for t in range(t0, t1):
            _find_outputs(s, first + t, out + block * s.block * 4, trash, places)
            call(
                natives[2],
                (
                    own + (t - t0) * s.block * 4, s.product_xi, places.ctypes.data, outputs,
                    bias + block * s.block * 4, counter.ctypes.data + 8,
                ),
            )  # fmt: skip


@device
def _find_outputs(s: Shape, tile: int, out: int, trash: int, places: Table) -> None:
    """Write the addresses of a tile's results, outside of the image one that nobody reads."""
    rest, column = tile // s.across, tile % s.across
    image, row = rest // s.down, rest % s.down
    top, left = row * s.m_tall, column * s.m_wide
    pixel = s.outputs * 4
    start = out + ((image * s.out_height + top) * s.out_width + left) * pixel
    for i in range(s.m_tall):
        for j in range(s.m_wide):
            inside = top + i < s.out_height and left + j < s.out_width
            at = start + (i * s.out_width + j) * pixel
            places[i * s.m_wide + j] = at if inside else trash


@team_kernel
def pack(
    team: int, workers: int, weight: int, to: int, memory: int, space: int, blocks: int,
    rows: int, outputs: int, channels: int, taps: int, weight_block: int, weight_xi: int,
    copier: int, transformer: int, table: Table,
) -> None:  # fmt: skip
    """Transform ``(taps, channels, outputs)`` weights, block by block."""
    shared = (
        weight, to, memory, space, rows, outputs, channels, taps, weight_block, weight_xi, copier,
        transformer, table,
    )  # fmt: skip
    fork_tasks(team, workers, blocks, _pack_block, shared)


@team_part
def _pack_block(
    block: int, worker: int, weight: int, to: int, memory: int, space: int, rows: int,
    outputs: int, channels: int, taps: int, weight_block: int, weight_xi: int, copier: int,
    transformer: int, table: Table,
) -> None:  # fmt: skip
    panel = memory + worker * space
    valid = min(rows, outputs - block * rows)
    call(
        copier,
        (
            panel, rows * 4, weight + block * rows * 4, table.ctypes.data, channels * taps, rows,
            0, valid, 0,
        ),
    )  # fmt: skip
    call(transformer, (panel, channels, rows, to + block * weight_block, weight_xi))
