"""Dilated Winograd convolution, channels first: the convolution of each phase of the positions.

With dilation d, outputs that are d apart read inputs that are d apart: the positions of each
remainder along each axis are a convolution without dilation of their own. All phases of an image
are copied side by side, with their padding, convolved as so many small images, and put back.
"""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from numbaconv.kernels import workspace
from numbaconv.kernels.jit import unpacker
from numbaconv.problem.arrays import Array, Table
from numbaconv.problem.geometry import ConvGeometry
from numbaconv.routes.winograd import first
from numbaconv.routes.winograd.tiling import FLOAT, least_products
from numbaconv.running.packed import Packed
from numbaconv.teams import jobs
from numbaconv.teams.jobs import fork_tasks, team_kernel, team_part

#: Cycles of an element that is copied, and how many times as long small images of phases take.
COPY, SMALL = 1.5, 1.4
# Phases at most, and bytes of copies that are made at once.
_MOST_PHASES = 256
_NEAR_BYTES = 1 << 22


def dilation_of(geometry: ConvGeometry) -> tuple[int, int]:
    """Return the dilations that matter, (down, across): of axes that the kernel has taps along."""
    window = geometry.window
    pairs = zip((1, *window.dilation)[-2:], (1, *window.kernel)[-2:], strict=True)
    down, across = (d if k > 1 else 1 for d, k in pairs)
    return down, across


def refusal(geometry: ConvGeometry) -> str | None:
    """Return why a dilated problem cannot be cut into phases, or None."""
    dilation, output = dilation_of(geometry), (1, *geometry.window.output)[-2:]
    if geometry.channels_last:
        return "with dilation it takes channels first"
    if math.prod(dilation) > _MOST_PHASES:
        return f"dilations of {dilation} would make {math.prod(dilation)} small convolutions"
    if any(d > max(n, 1) for d, n in zip(dilation, output, strict=True)):
        return f"dilations of {dilation} are larger than the result"
    return None


def phases_of(geometry: ConvGeometry) -> ConvGeometry:
    """Return the convolution of all phases, as so many images that hold their padding."""
    window, dilation = geometry.window, dilation_of(geometry)
    down = dilation[-window.ndim :]
    outputs = [-(-n // d) for n, d in zip(window.output, down, strict=True)]
    size = tuple(n + k - 1 for n, k in zip(outputs, window.kernel, strict=True))
    one, none = (1,) * window.ndim, ((0, 0),) * window.ndim
    plain = replace(window, size=size, dilation=one, padding=none)
    return replace(geometry, batch=geometry.batch * math.prod(dilation), window=plain)


class Shape(NamedTuple):
    """An image and its phases, as kernels take them, all int64."""

    channels: int
    down: int  # dilation
    across: int
    height: int  # of an image
    width: int
    tall: int  # of a phase
    wide: int
    low_height: int
    low_width: int


_unpack = unpacker(Shape)


class Plan:
    """Everything that follows from a geometry.

    Parameters
    ----------
    geometry : ConvGeometry
        The problem; its batch does not matter.
    """

    replayable = False

    def __init__(self, geometry: ConvGeometry) -> None:
        self.geometry, self.phases = geometry, phases_of(geometry)
        self.inner = first.Plan(self.phases, least_products(self.phases))
        window, (down, across) = geometry.window, dilation_of(geometry)
        self.count = down * across
        (height, width), (tall, wide) = (
            (1, *axes)[-2:] for axes in (window.size, self.phases.window.size)
        )
        (out_height, out_width), (rows, columns) = (
            (1, *axes)[-2:] for axes in (window.output, self.phases.window.output)
        )
        low = ((0, 0), *window.padding)[-2:]
        self.input = np.array(
            Shape(
                geometry.in_channels, down, across, height, width, tall, wide, low[0][0], low[1][0]
            ), np.int64,
        )  # fmt: skip
        self.output = np.array(
            Shape(geometry.out_channels, down, across, out_height, out_width, rows, columns, 0, 0),
            np.int64,
        )  # fmt: skip
        self.elements = self.count * geometry.in_channels * tall * wide
        self.results = self.count * geometry.out_channels * rows * columns
        nbytes = (self.elements + self.results) * FLOAT.itemsize
        self.images = max(1, _NEAR_BYTES // nbytes)

    @property
    def pack_key(self) -> Any:
        """What the packed form of the weights depends on, beside the weights."""
        return self.inner.pack_key

    @property
    def refusal(self) -> str | None:
        """Why the buffers of this problem would be too large, or None."""
        return self.inner.refusal

    def pack(self, weight: Array, bias: Array | None, parallel: bool, *, keep: bool) -> Packed:
        """Return transformed weights."""
        return self.inner.pack(weight, bias, parallel, keep=keep)

    def pack_flipped(
        self, weight: Array, bias: Array | None, parallel: bool, *, keep: bool,
        flip: Callable[[Array], Array],
    ) -> Packed:  # fmt: skip
        """Do the same from ``(C, O, *kernel)``, with each kernel flipped, as `flip` does it."""
        return self.inner.pack_flipped(weight, bias, parallel, keep=keep, flip=flip)

    def run(self, x: Array, packed: Packed, out: Array, parallel: bool) -> None:
        """Write the convolution to `out`."""
        x = np.ascontiguousarray(x)
        image = self.phases.in_channels, *self.phases.window.size
        result = self.phases.out_channels, *self.phases.window.output
        for n in range(0, len(x), self.images):
            count = min(self.images, len(x) - n)
            space = workspace.take(count * (self.elements + self.results) * FLOAT.itemsize)
            flat = space.view(FLOAT, (count * (self.elements + self.results),))
            source, target = flat[: count * self.elements], flat[count * self.elements :]
            self._copy(gather, x[n : n + count], source, self.input, parallel)
            self.inner.run(
                source.reshape(count * self.count, *image), packed,
                target.reshape(count * self.count, *result), parallel,
            )  # fmt: skip
            self._copy(scatter, out[n : n + count], target, self.output, parallel)
            workspace.give_back(space)

    @staticmethod
    def _copy(
        kernel: jobs.TeamKernel, images: Array, phases: Array, shape: Table, parallel: bool
    ) -> None:
        tasks = images.shape[0] * images.shape[1]
        workers = jobs.team_size(tasks, work=phases.size, parallel=parallel)
        jobs.run(kernel, workers, tasks, images.reshape(-1), phases, shape)

    def workspace_nbytes(self, images: int, workers: int) -> int:
        """Return the memory that `run` borrows."""
        count = min(images, self.images)
        copies = count * (self.elements + self.results) * FLOAT.itemsize
        return copies + self.inner.workspace_nbytes(count * self.count, workers)


@team_kernel
def gather(
    team: int, workers: int, tasks: int, images: Array, phases: Array, shape: Table
) -> None:  # fmt: skip
    """Copy each phase of some images' channels, with zeros for what lies outside."""
    fork_tasks(team, workers, tasks, _gather, (images, phases, shape))


@team_part
def _gather(task: int, worker: int, images: Array, phases: Array, shape: Table) -> None:
    channels, down, across, height, width, tall, wide, low_height, low_width = _unpack(shape)
    image, channel = task // channels, task % channels
    start = task * height * width
    for phase in range(down * across):
        row, column = phase // across - low_height, phase % across - low_width
        to = ((image * down * across + phase) * channels + channel) * tall * wide
        first = min(wide, max(0, (-column + across - 1) // across))
        end = max(first, min(wide, (width - column + across - 1) // across))
        for i in range(tall):
            h = row + i * down
            inside = 0 <= h < height
            j0, j1 = (first, end) if inside else (wide, wide)
            for j in range(j0):
                phases[to + j] = 0
            at = start + h * width + column
            for j in range(j0, j1):
                phases[to + j] = images[at + j * across]
            for j in range(j1, wide):
                phases[to + j] = 0
            to += wide


@team_kernel
def scatter(
    team: int, workers: int, tasks: int, images: Array, phases: Array, shape: Table
) -> None:  # fmt: skip
    """Copy phases back to where they belong."""
    fork_tasks(team, workers, tasks, _scatter, (images, phases, shape))


@team_part
def _scatter(task: int, worker: int, images: Array, phases: Array, shape: Table) -> None:
    channels, down, across, height, width, tall, wide, _, _ = _unpack(shape)
    image, channel = task // channels, task % channels
    start = task * height * width
    for phase in range(down * across):
        row, column = phase // across, phase % across
        at = ((image * down * across + phase) * channels + channel) * tall * wide
        for h in range(row, height, down):
            to = start + h * width + column
            for j in range((width - column + across - 1) // across):
                images[to + j * across] = phases[at + j]
            at += wide
