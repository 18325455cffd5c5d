"""The reference route of the weight gradient: output gradients times the transposed column matrix.

A tile is some output positions of one image. For each, a task gathers part of the column matrix in
a workspace and multiplies the same positions of the output's gradient by it, as one GEMM with one
thread. Tiles are dealt out to *slots*, each with sums of its own, which are added up in the end in
the order of the slots: neither depends on the number of threads.

K. Chellapilla, S. Puri, P. Simard, "High Performance Convolutional Neural Networks for Document
Processing", IWFHR 2006, section 3.2, trains with the same three products.
"""

from typing import Any, NamedTuple

import numba
import numpy as np

from numbaconv.kernels import threads
from numbaconv.kernels.indexing import (
    copy_run,
    spatial_strides,
    split_axes,
    unpack_place,
    unpack_walk,
    unpack_window,
)
from numbaconv.kernels.jit import device, kernel, unpacker
from numbaconv.kernels.long_sums import Slots
from numbaconv.problem.arrays import Array, Table, flatten, spatial_walk
from numbaconv.problem.cuts import even_block
from numbaconv.problem.geometry import ConvGeometry
from numbaconv.reference import blas
from numbaconv.reference.blas import multiply
from numbaconv.reference.taps import Reading, gather_elements, reader_of

# Positions of a tile, and the most patch elements and output channels of one product.
_POSITIONS = 512
_MOST_ELEMENTS = 512
_MOST_OUTPUTS = 256
# Sums that are kept at most, and their bytes.
_MOST_SLOTS = 8
_SLOT_BYTES = 1 << 23
# Tiles of a slot that are added one after another.
_MOST_TILES = 1024
# Positions of images that are converted at once, where arrays must be.
_CONVERTED = 1 << 15


class Plan:
    """A problem of the reference route.

    Parameters
    ----------
    geometry : ConvGeometry
        The convolution.
    dtype : dtype
        Of all arrays.
    """

    def __init__(self, geometry: ConvGeometry, dtype: np.dtype[Any]) -> None:
        self.geometry, self.dtype = geometry, dtype
        self.positions = even_block(geometry.window.positions, _POSITIONS)
        self.elements = even_block(geometry.patch_size, _MOST_ELEMENTS)
        self.outputs = even_block(geometry.out_channels // geometry.groups, _MOST_OUTPUTS)
        self.tiles = -(-geometry.window.positions // self.positions)
        self.images_at_once = max(1, _CONVERTED // geometry.window.positions)
        shape = geometry.out_channels, geometry.patch_size
        fitting = _SLOT_BYTES // (shape[0] * shape[1] * dtype.itemsize)
        self.slots = max(1, min(_MOST_SLOTS, fitting))
        images = max(1, _MOST_TILES * self.slots // self.tiles)
        self.images_a_sum = -(-images // self.images_at_once) * self.images_at_once

    def readable(self, array: Array) -> bool:
        """Return whether an array of the right dtype is read where it is: any is."""
        return True

    def start(self, images: int) -> Slots:
        """Return sums of nothing, ``(slots, O, K)``, for so many images in all."""
        shape = self.geometry.out_channels, self.geometry.patch_size
        slots = min(self.slots, images * self.tiles)
        return Slots(np.zeros((slots, *shape), self.dtype))

    def add(self, sums: Slots, x: Array, grad: Array, first: int, parallel: bool) -> None:
        """Add what some images come to, of which the first is number `first`."""
        geometry = self.geometry
        groups = geometry.groups
        outputs = geometry.out_channels // groups
        cut = Cut(
            first, len(x), geometry.in_channels // groups, groups, outputs, self.positions,
            self.elements, self.outputs, -(-outputs // self.outputs),
            -(-geometry.patch_size // self.elements),
        )  # fmt: skip
        tasks = len(sums) * groups * cut.output_cuts * cut.element_cuts
        work = len(x) * geometry.window.positions * geometry.out_channels * geometry.patch_size
        workers = threads.worker_count(tasks, work=work, parallel=parallel)
        source = flatten(x, channels_last=geometry.channels_last)
        other = flatten(grad, channels_last=geometry.channels_last)
        reading = Reading.of(source.place, geometry.window, self.dtype, self.positions)
        workspace = self.positions * (self.elements + self.outputs) + self.elements * self.outputs
        workspace += reading.stage
        with blas.single_threaded():
            threads.run(
                _add_products, workers, workers, tasks, source.data, source.place,
                geometry.window.packed, other.data, other.place,
                spatial_walk(grad, channels_last=geometry.channels_last),
                np.array(cut, np.int64),
                np.empty((workers, workspace), self.dtype), sums.values,
                np.array(reading),
            )  # fmt: skip

    def drain(self, sums: Slots) -> None:
        """Set aside what the sums have come to, and let them begin at zero."""
        sums.drain()

    def finish(self, sums: Slots, out: Array, parallel: bool) -> None:
        """Write the gradient to `out`, in the caller's layout."""
        total = sums.total()
        geometry = self.geometry
        in_group = geometry.in_channels // geometry.groups
        total = total.reshape(geometry.out_channels, in_group, *geometry.window.kernel)
        out[...] = np.moveaxis(total, (0, 1), (-1, -2)) if geometry.channels_last else total


class Cut(NamedTuple):
    """How a problem is cut into tasks, as kernels take it."""

    first: int  # image
    images: int
    channels: int  # of a group
    groups: int
    outputs: int  # of a group
    positions: int  # of a tile
    elements: int  # of a patch, in a product
    output_block: int
    output_cuts: int
    element_cuts: int


_unpack = unpacker(Cut)


@kernel
def _add_products(
    workers: int,
    tasks: int,
    x: Array,
    x_place: Table,
    packed: Table,
    grad: Array,
    grad_place: Table,
    walk: Table,
    cut: Table,
    workspace: Array,
    sums: Array,
    reading: Table,
) -> None:
    for index in numba.prange(workers):
        worker: Any = np.int64(index)
        for task in range(worker * tasks // workers, (worker + 1) * tasks // workers):
            _add_slot(
                task,
                x,
                x_place,
                packed,
                grad,
                grad_place,
                walk,
                cut,
                workspace[worker],
                sums,
                reading,
            )


@device
def _add_slot(
    task: int,
    x: Array,
    x_place: Table,
    packed: Table,
    grad: Array,
    grad_place: Table,
    walk: Table,
    cut: Table,
    workspace: Array,
    sums: Array,
    reading: Table,
) -> None:
    """Add to one slot the products of some outputs and patch elements, tile by tile."""
    window, c = unpack_window(packed), _unpack(cut)
    source, given = unpack_place(x_place), unpack_place(grad_place)
    taps = window.kernel[0] * window.kernel[1] * window.kernel[2]
    positions = window.output[0] * window.output[1] * window.output[2]
    k_cut, rest = task % c.element_cuts, task // c.element_cuts
    o_cut, rest = rest % c.output_cuts, rest // c.output_cuts
    group, slot = rest % c.groups, rest // c.groups
    k0, o0 = k_cut * c.elements, o_cut * c.output_block
    k1, o1 = min(k0 + c.elements, c.channels * taps), min(o0 + c.output_block, c.outputs)
    tiles = (positions + c.positions - 1) // c.positions
    slots = sums.shape[0]
    reader = reader_of(reading, x, workspace)
    stage = workspace.size - reader.stage
    begin = c.first * tiles
    for tile in range(begin + (slot - begin) % slots, (c.first + c.images) * tiles, slots):
        image = tile // tiles - c.first
        l0 = tile % tiles * c.positions
        n = min(c.positions, positions - l0)
        start = source.base + image * source.image + group * c.channels * source.channel
        gather_elements(
            x, start, source.channel, spatial_strides(x_place), window, k0, k1, l0, l0 + n,
            workspace, stage, reader,
        )  # fmt: skip
        at = (k1 - k0) * n
        other = given.base + image * given.image + group * c.outputs * given.channel
        for o in range(o0, o1):
            _copy_positions(
                grad, other + o * given.channel, walk, l0, n, workspace, at + (o - o0) * n
            )
        columns = workspace[:at].reshape(k1 - k0, n)
        rows = workspace[at : at + (o1 - o0) * n].reshape(o1 - o0, n)
        at += (o1 - o0) * n
        product = workspace[at : at + (o1 - o0) * (k1 - k0)].reshape(o1 - o0, k1 - k0)
        multiply(rows, columns.T, product)
        for o in range(o1 - o0):
            total = sums[slot, group * c.outputs + o0 + o, k0:k1]
            row = product[o]
            for k in range(row.size):
                total[k] += row[k]


@device
def _copy_positions(
    source: Array, start: int, walk: Table, l0: int, n: int, target: Array, first: int
) -> None:
    """Copy one channel's output positions from `l0` on."""
    sizes, steps = unpack_walk(walk)
    d, h, w = split_axes(l0, sizes)
    done = 0
    while done < n:
        run = min(n - done, sizes[2] - w)
        at = start + d * steps[0] + h * steps[1] + w * steps[2]
        copy_run(source, at, steps[2], target, first + done, 1, run)
        done += run
        w = 0
        h += 1
        if h == sizes[1]:
            h = 0
            d += 1
