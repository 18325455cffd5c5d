"""Direct convolution by tiles of pixels: vectors along the output channels, and no tap in vain.

The other form of the register tile (see `numbaconv.native.pixels`). Elements of patches are
broadcast from where they lie: in the input, if it has no padding, else in a plain copy of the rows
that a chunk needs, with zeros at their ends. So strides cost nothing, and channels that are last
are read, and written, as they lie. Where channels are first a chunk's results are turned.

A tile's pixels follow each other along a row or down a column, and it leaves out the taps that
meet nothing but padding for all of them: on small maps, and where dilation is wide, that is most
of them. Not so if a weight is not finite, because infinity times zero is not zero.

Every output is the sum over its patch in one order, but for those zeros.
"""

import functools
from collections.abc import Hashable
from typing import Any

import numpy as np

from numbaconv.kernels import held, recording, threads, workspace
from numbaconv.kernels.long_sums import LONGEST, PART
from numbaconv.native import isa
from numbaconv.problem.arrays import Array, address
from numbaconv.problem.geometry import ConvGeometry, three_axes
from numbaconv.routes.direct import across, infinite, pixel_cut, pixel_loops, places
from numbaconv.routes.direct.panels import Panelled
from numbaconv.routes.direct.pixel_tables import Tables
from numbaconv.running.packed import Packed
from numbaconv.teams import jobs

# Words of the lists of runs of one problem.
_MOST_WORDS = 1 << 15
# Numbers of images and workers, and strides, for which a plan keeps its tables.
_MOST_SCHEDULES = 4
# Output positions of a row.
_LONGEST_ROW = 1 << 15
# Planes that are read where they lie: more of them lie on too many pages.
_MOST_PLANES = 64


class Plan(Panelled):
    """Everything that follows from geometry and dtype.

    Parameters
    ----------
    geometry : ConvGeometry
        The problem; its batch does not matter.
    dtype : dtype
        One that `numbaconv.routes.direct.plan.refusal` accepts.
    """

    replayable = True
    #: How many times as fast as the other form this was estimated to be, if it was chosen for that.
    chosen_gain = 1.0

    def __init__(self, geometry: ConvGeometry, dtype: np.dtype[Any]) -> None:
        self.geometry, self.dtype, self.size = geometry, dtype, dtype.itemsize
        window, host = geometry.window, isa.host()
        self.lanes = host.lanes(dtype)
        self.channels = geometry.in_channels // geometry.groups
        self.outputs = geometry.out_channels // geometry.groups
        self.k = geometry.patch_size
        self.work = geometry.out_channels * window.positions * self.k
        self.kernel = self.axes(window.kernel, 1)
        self.input = self.axes(window.size, 1)
        self.output = self.axes(window.output, 1)
        self.stride = self.axes(window.stride, 1)
        self.dilation = self.axes(window.dilation, 1)
        self.low = self.axes(tuple(low for low, _ in window.padding), 0)
        self.most, self.vectors = host.narrow if self.outputs <= self.lanes else host.tile
        self.rows = self.vectors * self.lanes
        self.lay_panels()
        last = geometry.channels_last
        self.in_place = not window.is_padded and (last or self.channels <= _MOST_PLANES)
        #: Elements of a run, and how it lies: along the channels of a pixel, or along a row.
        self.along_row = not last and self.channels < self.kernel[2]
        # Neighbours in a row follow each other with all their channels.
        follow = last and self.dilation[2] == 1 and geometry.groups == 1
        self.weights_last = last
        self.merged = follow and self.kernel[2] * self.channels <= PART
        self.longest_run = self._longest_run()
        self.flags = threads.Scratch(1)
        self.strides = self.turned(places.contiguous_strides(geometry, self.size))
        self.place = places.of_result(geometry, self.size)
        if self.is_column:
            self.place = self.place._replace(row=self.place.column)
        self.forms: dict[bool, pixel_cut.Form] = {}
        self.schedules: dict[Any, tuple[Any, ...]] = {}
        self.groups: dict[tuple[int, int], across.Across | None] = {}

    @property
    def is_column(self) -> bool:
        """Whether the one spatial axis is taken for a column, which can be cut into chunks."""
        return self.geometry.channels_last and self.geometry.window.ndim == 1

    def axes(self, values: tuple[int, ...], fill: int) -> tuple[int, int, int]:
        """Return values along depth, rows and columns."""
        return (fill, values[0], fill) if self.is_column else three_axes(values, fill)

    def turned(self, strides: tuple[int, ...]) -> tuple[int, ...]:
        """Return strides in the order of `axes`."""
        return (*strides[:3], strides[4], strides[4]) if self.is_column else strides

    def _longest_run(self) -> int:
        if self.along_row:
            return self.kernel[2]
        return self.channels * (self.kernel[2] if self.merged else 1)

    def gain(self, other: float, batch: tuple[int, int]) -> float:
        """Return how many times as long as these tiles something takes, by an estimate of `cut`.

        `batch` says the images and the workers of the estimate.
        """
        if self.longest_run > PART and self.k > LONGEST and self.dtype.kind == "f":
            return 0.0  # parts of long sums are whole runs
        if self.output[2] > _LONGEST_ROW:
            return 0.0  # its tiles are listed
        return other / pixel_cut.best_cut(self, self.form(True), *batch)[2]

    def form(self, skip: bool) -> pixel_cut.Form:
        """Return how tiles go over the result."""
        found = self.forms.get(skip)
        if found is None:
            found = self.forms[skip] = pixel_cut.best_form(self, skip)
        return found

    @property
    def pack_key(self) -> Hashable:
        """What the packed form depends on: elements lie in another order than for other tiles."""
        return "pixels", super().pack_key

    def packed(
        self, space: workspace.Workspace, weight: Array, bias: Array | None, parallel: bool, *,
        keep: bool, offset: int = 0,
    ) -> Packed:  # fmt: skip
        """Return the panels, and whether taps may be left out."""
        packed = super().packed(space, weight, bias, parallel, keep=keep, offset=offset)
        return packed._replace(alive=(*packed.alive, self._may_skip(weight, parallel)))

    def columns_of_channels_last(self) -> Array:
        """Return where the weights of each patch element begin, in the order tap, channel."""
        return np.arange(self.k, dtype=np.int64) * self.geometry.out_channels * self.size

    def _may_skip(self, weight: Array, parallel: bool) -> bool:
        """Return whether taps over padding may be left out: whether all weights are finite."""
        if not self.geometry.window.is_padded or weight.dtype.kind != "f":
            return True
        return not infinite.among(weight, self.flags, parallel)

    def run(self, x: Array, packed: Packed, out: Array, parallel: bool) -> None:
        """Write the convolution to `out`."""
        images = len(x)
        strides = self.strides
        if not x.flags.c_contiguous:
            strides = self.turned(places.byte_strides(x, self.geometry))
            if self.geometry.channels_last and strides[4] != self.strides[4]:
                x, strides = np.ascontiguousarray(x), self.strides
        skip = bool(packed.alive[2])
        at_once = self.images_across if skip and self._are_planes(strides) else 0
        # Passes of as many images as there is room for, evenly.
        most = -(-images // -(-images // at_once)) if at_once and images else images
        for n in range(0, images, max(most, 1)):
            count = min(images - n, most)
            workers = jobs.team_size(1 << 30, work=count * self.work, parallel=parallel)
            others = self.across(count, workers) if at_once else None
            if others is not None:
                others.run(x[n:], strides, packed, out[n:], workers)
                continue
            source, target = address(x[n:]), address(out[n:])
            self.multiply(count, source, packed, target, strides, workers, skip)

    def multiply(
        self, images: int, x: int, packed: Packed, out: int, strides: tuple[int, ...],
        workers: int, skip: bool,
    ) -> None:  # fmt: skip
        """Write the convolution of images at an address, `strides` apart, to another address."""
        nbytes, kept, *tables = self.schedule(images, workers, strides, skip)
        space, scratch = workspace.take(nbytes * workers), kept.take(workers)
        jobs.run(
            pixel_loops.convolve, workers, images, x, packed.address, packed.bias_address, out,
            space.address, scratch[0], *tables, scratch[1],
        )  # fmt: skip
        workspace.give_back(space)
        kept.give_back(scratch)
        if recording.active:
            recording.keep(constants=(self.no_bias,))

    def _are_planes(self, strides: tuple[int, ...]) -> bool:
        """Return whether the positions of a channel follow each other, if they are to be turned."""
        return self.geometry.channels_last or strides[2:] == self.strides[2:]

    @functools.cached_property
    def images_across(self) -> int:
        """Of how many images tiles can be made at a time; 0 where they cannot be."""
        return across.images_at_once(self, _MOST_WORDS)

    def across(self, images: int, workers: int) -> across.Across | None:
        """Return how tiles go across so many images, if that is estimated to be faster."""
        if not across.LEAST_IMAGES <= images <= self.images_across:
            return None
        key = images, workers
        if key not in self.groups:
            if len(self.groups) >= _MOST_SCHEDULES:
                self.groups.clear()
            made = across.Across(self, Plan, images, workers)
            self.groups[key] = made if made.gain > across.LEAST_GAIN else None
        return self.groups[key]

    def gain_across(self, workers: int) -> float:
        """Return how many times as fast a batch is for its tiles across images, by estimate."""
        found = self.across(min(self.geometry.batch, self.images_across), workers)
        return 1.0 if found is None else found.gain

    def workspace_nbytes(self, images: int, workers: int) -> int:
        """Return the memory that `run` borrows."""
        own = self.space_nbytes(images, self.strides, workers, True)
        some = min(images, self.images_across)
        others = self.across(some, workers)
        return own if others is None else max(own, others.workspace_nbytes(workers))

    def space_nbytes(self, images: int, strides: tuple[int, ...], workers: int, skip: bool) -> int:
        """Return the memory that `multiply` borrows."""
        return int(self.schedule(images, workers, strides, skip)[0]) * workers

    def schedule(
        self, images: int, workers: int, strides: tuple[int, ...], skip: bool
    ) -> tuple[Any, ...]:
        """Return (bytes a worker, scratch, and the tables of `pixel_loops.convolve`)."""
        key = images, workers, strides, skip
        found = self.schedules.get(key)
        if found is None:
            if len(self.schedules) >= _MOST_SCHEDULES:
                self.schedules.clear()
            form = self.form(skip)
            chunk, shares, _ = pixel_cut.best_cut(self, form, images, workers)
            made = Tables(self, form, strides, chunk, shares)
            found = made.arguments()
            if len(made.runs) > _MOST_WORDS and skip:
                # A list for each tile: what is left out does not pay for reading that.
                return self.schedule(images, workers, strides, False)
            self.schedules[key] = found
            held.grew(found)
        return found
