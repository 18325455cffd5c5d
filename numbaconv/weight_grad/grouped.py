"""The weight gradient of groups of few input channels, channels first: products of rows.

A tap's gradient is the product of the output's gradient and of the input as that tap sees it. For
each column of the kernel the rows of a plane are copied, strides and padding resolved, so that
each tap's elements follow each other as the gradients do; some taps of some outputs at a time then
keep their sums in vectors, over all images. A group is one thread's, from the first image to the
last.
"""

import itertools
import math
from typing import Any

import numpy as np

from numbaconv.kernels import threads, workspace
from numbaconv.kernels.long_sums import PART
from numbaconv.kernels.slots import Slots
from numbaconv.native import isa
from numbaconv.native.dots import MOST, dots, most_ones
from numbaconv.native.rows import column_table, copier
from numbaconv.problem.arrays import Array, address
from numbaconv.problem.geometry import ConvGeometry, three_axes
from numbaconv.routes.direct import cut
from numbaconv.routes.direct.places import contiguous_strides, of_result
from numbaconv.teams import jobs
from numbaconv.weight_grad import grouped_loops

# Bytes of a worker's copies, which should lie near, and at most.
_NEAR_BYTES, _MOST_BYTES = 1 << 15, 1 << 19
# Vectors of a plane, if a group has several channels.
_LEAST_VECTORS = 8
# Input channels of a group, and sums.
_MOST_CHANNELS, _MOST_SUMS = 8, 1 << 16


def takes(geometry: ConvGeometry, dtype: np.dtype[Any]) -> bool:
    """Return whether this computes a problem that `numbaconv.weight_grad.direct` accepts."""
    channels = geometry.in_channels // geometry.groups
    if geometry.channels_last or geometry.groups < 2 or channels > _MOST_CHANNELS:
        return False
    if geometry.window.taps == 1:
        return False
    if geometry.out_channels * geometry.patch_size > _MOST_SUMS:
        return False
    terms = -(-geometry.window.positions // isa.host().lanes(dtype))
    if channels > 1 and terms < _LEAST_VECTORS:
        return False  # a tile has all channels at once
    return (dtype.kind != "f" or terms <= PART) and _row_bytes(geometry, dtype) <= _MOST_BYTES


def _row_bytes(geometry: ConvGeometry, dtype: np.dtype[Any]) -> int:
    """Return the bytes of copies that one row of the result needs."""
    _, height, width = three_axes(geometry.window.kernel, 1)
    return height * width * three_axes(geometry.window.output, 1)[2] * dtype.itemsize


class Plan:
    """Everything that follows from geometry and dtype.

    Parameters
    ----------
    geometry : ConvGeometry
        The convolution, with padding of zeros, of groups of few input channels.
    dtype : dtype
        Of all arrays.
    """

    images_at_once = 1

    def __init__(self, geometry: ConvGeometry, dtype: np.dtype[Any]) -> None:
        self.geometry, self.dtype, self.size = geometry, dtype, dtype.itemsize
        window, self.lanes = geometry.window, isa.host().lanes(dtype)
        self.work = geometry.out_channels * window.positions * geometry.patch_size
        #: How many images are added one after another: the terms of a lane.
        self.images_a_sum = max(1, PART // -(-window.positions // self.lanes))
        kernel, output = three_axes(window.kernel, 1), three_axes(window.output, 1)
        stride, dilation = three_axes(window.stride, 1), three_axes(window.dilation, 1)
        size, low = three_axes(window.size, 1), three_axes(tuple(p for p, _ in window.padding), 0)
        taps = np.arange(kernel[1]) * dilation[1]
        rows = output[1]

        def space() -> tuple[list[int], Array, int]:
            heights, first = cut.phases(taps, stride[1], rows)
            nbytes = len(heights) * output[2] * self.size + self.lanes * self.size
            return heights, first, -(-nbytes // 64) * 64

        while rows > 1 and space()[2] * kernel[2] > _NEAR_BYTES:
            rows = -(-rows // 2)
        heights, first, each = space()
        self.row_list = np.array(heights, np.int64)
        tap_columns = np.arange(kernel[2]) * each
        line = first * output[2] * self.size
        self.places = np.ascontiguousarray((line[:, None] + tap_columns).ravel(), np.int64)
        x, g = contiguous_strides(geometry, self.size), of_result(geometry, self.size)
        parts = -(-kernel[1] * kernel[2] // MOST)
        outputs = geometry.out_channels // geometry.groups
        ones = min(outputs, most_ones(-(-kernel[1] * kernel[2] // parts)))
        ones = -(-outputs // -(-outputs // ones))
        shape = grouped_loops.Shape(
            size=self.size, vector=self.lanes * self.size, groups=geometry.groups,
            channels=geometry.in_channels // geometry.groups, outputs=outputs, ones=ones,
            depths=output[0], rows=output[1],
            width=output[2], chunk=rows, kernel_depth=kernel[0], taps=kernel[1] * kernel[2],
            kernel_width=kernel[2], parts=parts, stride_depth=stride[0], stride_height=stride[1],
            dilation_depth=dilation[0], low_depth=low[0], low_height=low[1], in_depth=size[0],
            in_height=size[1], x_image=x[0], x_channel=x[1], x_depth=x[2], x_row=x[3],
            g_image=g.image, g_channel=g.channel, g_depth=g.depth, space=each,
            worker_bytes=each * kernel[2],
        )  # fmt: skip
        self.worker_bytes = shape.worker_bytes
        self.shape = np.array(shape, np.int64)
        self.columns = column_table(
            size[2], kernel[2], stride[2], dilation[2], low[2], output[2], x[4], self.lanes
        )
        # Of each part: its first tap, and its functions, for so many outputs.
        bounds = [i * shape.taps // parts for i in range(parts + 1)]
        self.parts = np.zeros((parts, 1 + ones), np.int64)
        for row, (start, end) in zip(self.parts, itertools.pairwise(bounds), strict=True):
            row[0] = start
            for count in {ones, outputs % ones} - {0}:
                row[count] = dots(count, end - start, dtype)
        self.copier = copier(stride[2] if stride[2] <= 2 else 0, dtype)
        self.scratch = threads.Scratch(1, (len(heights),))

    def readable(self, array: Array) -> bool:
        """Return whether an array of the right dtype is read where it is."""
        return bool(array.flags.c_contiguous)

    def start(self, images: int) -> tuple[Slots, workspace.Workspace]:
        """Return sums of nothing."""
        count = self.geometry.out_channels * self.geometry.patch_size * self.lanes
        memory = workspace.take(count * self.size)
        values = memory.view(self.dtype, (1, count))
        values[...] = 0
        return Slots(values), memory

    def add(self, sums: Any, x: Array, grad: Array, first: int, parallel: bool) -> None:
        """Add what some images come to."""
        images = len(x)
        workers = jobs.team_size(
            self.geometry.groups, work=images * self.work, parallel=parallel
        )  # fmt: skip
        space = workspace.take(self.worker_bytes * workers)
        counter, table = scratch = self.scratch.take(workers)
        jobs.run(
            grouped_loops.accumulate, workers, address(x), address(grad), sums[1].address,
            space.address, images, counter, self.shape, self.copier, self.parts, self.row_list,
            self.columns, self.places, table,
        )  # fmt: skip
        workspace.give_back(space)
        self.scratch.give_back(scratch)

    def drain(self, sums: Any) -> None:
        """Set aside what the sums have come to, and let them begin at zero."""
        sums[0].drain()

    def finish(self, sums: Any, out: Array, parallel: bool) -> None:
        """Write the gradient to `out`: the lanes are added in their order."""
        slots, memory = sums
        lanes = slots.total().reshape(math.prod(out.shape), self.lanes)
        with np.errstate(invalid="ignore"):  # infinities of both signs: NaN, as in the kernels
            out[...] = lanes.sum(axis=1, dtype=self.dtype).reshape(out.shape)
        workspace.give_back(memory)
