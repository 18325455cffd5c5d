"""What Winograd convolution is in both layouts: tiles, their schedules, and images done again."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np

from numbaconv.kernels import held, workspace
from numbaconv.kernels.jit import device
from numbaconv.native import isa
from numbaconv.native.link import load_float
from numbaconv.native.winograd import weight_transform
from numbaconv.problem.arrays import Array, address
from numbaconv.problem.geometry import ConvGeometry
from numbaconv.routes.direct import places
from numbaconv.routes.direct import plan as direct
from numbaconv.running.packed import Packed
from numbaconv.teams import jobs

#: The only dtype, and the bytes of an element.
FLOAT = np.dtype(np.float32)
ITEM = FLOAT.itemsize
#: Below this, and 24 bits above the smallest number, transforms may round more than Winograd does.
TINY = np.float32(2.0**-100)
# Numbers of images and workers, and strides, for which a plan keeps its tables.
_MOST_SCHEDULES = 4


def tile_outputs(geometry: ConvGeometry) -> tuple[int, int]:
    """Return the outputs of a tile, (tall, wide): F(4, 3) on large maps, F(2, 3) on small ones."""
    tall, wide = (1, *geometry.window.output)[-2:]
    kernel = (1, *geometry.window.kernel)[-2:]
    return _outputs_along(tall, wide, kernel[0], kernel), _outputs_along(
        wide, tall, kernel[1], kernel
    )


def _outputs_along(size: int, other: int, taps: int, kernel: tuple[int, ...]) -> int:
    if taps == 1:
        return 1
    if taps == 5:
        return 2
    # Beside a 5 only the same n = 6 is worthwhile.
    small = max(size, other) <= 8 and size <= 8
    return 2 if small and 5 not in kernel else 4


def least_products(geometry: ConvGeometry) -> tuple[int, int]:
    """Return the outputs of a tile, (tall, wide), with which all tiles have the fewest elements."""

    def along(size: int, taps: int) -> int:
        choices = {1: (1,), 3: (4, 2), 5: (2,)}[taps]
        return min(choices, key=lambda m: -(-size // m) * (m + taps - 1))

    window = geometry.window
    sizes = zip((1, *window.output)[-2:], (1, *window.kernel)[-2:], strict=True)
    tall, wide = (along(size, taps) for size, taps in sizes)
    return tall, wide


def aligned(nbytes: int) -> int:
    """Return a number of bytes, rounded up to whole lines."""
    return -(-nbytes // 64) * 64


class Tiling(ABC):
    """Everything that follows from a geometry, whatever its layout.

    Parameters
    ----------
    geometry : ConvGeometry
        The problem; its batch does not matter.
    tile : tuple of int, optional
        The outputs of a tile, (tall, wide); by default `tile_outputs`.
    """

    replayable = True
    #: Blocks of output channels, the output channels of one, and the bytes of its weights.
    blocks: int
    rows: int
    weight_block: int
    #: Bytes between the weights of a tile's elements; a bias of zeros for all blocks.
    weight_xi: int
    no_bias: Array

    def __init__(self, geometry: ConvGeometry, tile: tuple[int, int] | None = None) -> None:
        self.geometry = geometry
        window = geometry.window
        self.kernel = (1, *window.kernel)[-2:]
        self.size = (1, *window.size)[-2:]
        self.output = (1, *window.output)[-2:]
        low = ((0, 0), *window.padding)[-2:]
        self.low = low[0][0], low[1][0]
        self.m = tile_outputs(geometry) if tile is None else tile
        self.n = self.m[0] + self.kernel[0] - 1, self.m[1] + self.kernel[1] - 1
        self.elements = self.n[0] * self.n[1]
        self.channels, self.outputs = geometry.in_channels, geometry.out_channels
        self.taps = self.kernel[0] * self.kernel[1]
        self.work = self.outputs * self.output[0] * self.output[1] * self.channels
        self.strides = places.contiguous_strides(geometry, ITEM)
        self.lanes = isa.host().lanes(FLOAT)
        self.down = -(-self.output[0] // self.m[0])
        self.across = -(-self.output[1] // self.m[1])
        self.schedules: dict[Any, tuple[Any, ...]] = {}

    @property
    def transform_sizes(self) -> tuple[int, int, int, int]:
        """Outputs and taps of a tile, down and across."""
        return self.m[0], self.kernel[0], self.m[1], self.kernel[1]

    @property
    def pack_key(self) -> tuple[Any, ...]:
        """The tile's outputs, and the rows of the register tile."""
        return self.m, self.rows

    @property
    def packed_nbytes(self) -> int:
        """The size of transformed weights."""
        return self.blocks * self.weight_block

    @property
    @abstractmethod
    def refusal(self) -> str | None:
        """Why the buffers of this problem would be too large, or None."""

    @abstractmethod
    def cycles(self, multiply: float, tile: float) -> float:
        """Return the estimated cycles of all but the weights' transform."""

    @abstractmethod
    def pack(self, weight: Array, bias: Array | None, parallel: bool, *, keep: bool) -> Packed:
        """Return transformed weights, as panels for each element of a tile."""

    def packed(
        self, kernel: jobs.TeamKernel, packer: int, weight: Array, bias: Array | None,
        parallel: bool, keep: bool, table: Callable[[int], Array] | None = None,
    ) -> Packed:  # fmt: skip
        """Return what a kernel makes with a packer; it takes a `table` made for so many workers."""
        nbytes = self.packed_nbytes
        space = workspace.Workspace(nbytes) if keep else workspace.take(nbytes)
        panel = aligned((self.channels * self.taps * self.rows + 64) * ITEM)
        workers = jobs.team_size(self.blocks, work=weight.size * 8, parallel=parallel)
        memory = workspace.take(workers * panel)
        jobs.run(
            kernel, workers, address(weight), space.address, memory.address, panel, self.blocks,
            self.rows, self.outputs, self.channels, self.taps, self.weight_block, self.weight_xi,
            packer,
            weight_transform(*self.transform_sizes), *(() if table is None else (table(workers),)),
        )  # fmt: skip
        workspace.give_back(memory)
        padded = self.no_bias if bias is None else self.padded_bias(bias)
        alive = (space, padded)
        return Packed(weight, bias, space.address, address(padded), alive, None if keep else space)

    def padded_bias(self, bias: Array) -> Array:
        """Return a bias as the kernels take it."""
        return bias

    @abstractmethod
    def run(self, x: Array, packed: Packed, out: Array, parallel: bool) -> None:
        """Write the convolution to `out`; images whose result is not finite go the direct way."""

    def repair(self, x: Array, packed: Packed, out: Array, parallel: bool) -> None:
        """Compute images again whose result is not finite somewhere, and those that are tiny."""
        exact = direct.plan(self.geometry, FLOAT)
        panels = exact.pack(packed.plain_weight, packed.bias, parallel, keep=False)
        tiny = _is_tiny(packed.weight)
        for n in range(len(x)):
            if tiny or _is_tiny(x[n]) or not np.isfinite(out[n]).all():
                exact.run(x[n : n + 1], panels, out[n : n + 1], parallel)
        panels.release()

    def schedule(self, images: int, workers: int, strides: tuple[int, ...]) -> tuple[Any, ...]:
        """Return (bytes a worker, bytes shared, and the tables of `convolve`)."""
        key = images, workers, strides
        found = self.schedules.get(key)
        if found is None:
            if len(self.schedules) >= _MOST_SCHEDULES:
                self.schedules.clear()
            found = self.schedules[key] = self.make_schedule(images, workers, strides)
            held.grew(found)
        return found

    @abstractmethod
    def make_schedule(self, images: int, workers: int, strides: tuple[int, ...]) -> tuple[Any, ...]:
        """Make what `schedule` returns."""

    def workspace_nbytes(self, images: int, workers: int) -> int:
        """Return the memory that `run` borrows."""
        nbytes, shared, *_ = self.schedule(images, workers, self.strides)
        return int(nbytes * workers + shared)


def _is_tiny(array: Array) -> bool:
    """Return whether an array's largest number is not zero, and tiny."""
    return bool(0 < np.abs(array).max() < TINY)


@device
def largest(start: int, nbytes: int, least: Any) -> Any:
    """Return the largest magnitude of float32s, of which one was `least`, or one not tiny."""
    found = np.float32(least)
    for at in range(start, start + nbytes, 4):
        value = abs(load_float(at))
        if value > found:
            found = value
            if found >= TINY:
                return found
    return found


@device
def weights_are_tiny(
    weight: int, blocks: int, block_step: int, elements: int, element_step: int, nbytes: int
) -> bool:
    """Return whether transformed kernels hold nothing but tiny numbers, and not only zeros.

    Of each block and element `nbytes` are looked at; gaps follow them.
    """
    found = np.float32(0.0)
    for block in range(blocks):
        for element in range(elements):
            found = largest(weight + block * block_step + element * element_step, nbytes, found)
            if found >= TINY:
                return False
    return bool(found > np.float32(0.0))
