"""Tiles of pixels across images: one position of several of them, which need the same taps.

On small maps, and where dilation is wide, neighbours in a row meet the padding with other taps,
and a tile of them makes sums in vain. The same position of several images does not, and weights are
read once for all images. The batch is taken for one more axis, the last, along which the kernel has
one tap. Where channels are first the images are turned for that, so that the channels of a
position lie together, and the results are turned back.
"""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol

from numbaconv.kernels import workspace
from numbaconv.kernels.long_sums import LONGEST
from numbaconv.native.link import call
from numbaconv.native.transpose import transposer
from numbaconv.problem.arrays import Array, address
from numbaconv.problem.geometry import ConvGeometry
from numbaconv.routes.direct import pixel_cut, places
from numbaconv.routes.direct.pixel_cut import Form, Span
from numbaconv.running.packed import Packed
from numbaconv.teams import jobs

#: Images that are worth a tile.
LEAST_IMAGES = 4
# Bytes of images and results that are turned at a time.
_MOST_BYTES = 1 << 23
#: How many times as fast they must be, by the estimate.
LEAST_GAIN = 1.05
# Columns of a matrix that are turned in one task.
_COLUMNS = 64


class Tiles(pixel_cut.Tiled, Protocol):
    """A `numbaconv.routes.direct.pixels.Plan`."""

    in_place: bool
    #: Whether runs lie along rows of the input, and not along its channels.
    along_row: bool
    #: Whether the weights of all channels of a tap follow each other in a panel.
    weights_last: bool
    place: places.Place
    forms: dict[bool, Form]

    def form(self, skip: bool) -> Form:
        """Return how tiles go over the result."""

    def multiply(
        self, images: int, x: int, packed: Packed, out: int, strides: tuple[int, ...],
        workers: int, skip: bool,
    ) -> None:  # fmt: skip
        """Write a convolution, between addresses."""

    def space_nbytes(self, images: int, strides: tuple[int, ...], workers: int, skip: bool) -> int:
        """Return the memory that `multiply` borrows."""


def images_at_once(own: Tiles, most_words: int) -> int:
    """Return of how many images tiles can be made at a time; 0 where they cannot be."""
    geometry = own.geometry
    if geometry.window.ndim > 2 or not geometry.window.is_padded:
        return 0
    if own.along_row:
        return 0  # its sums would be in another order
    if own.k > LONGEST and own.dtype.kind == "f":
        return 0  # the parts of its sums would be others
    words = 2
    for needed in own.form(True).needed:
        if needed.outputs > pixel_cut.LONG:
            return 0
        spans = {needed.by(Span(o, o + 1)) for o in range(needed.outputs)}
        words *= sum(span.length for span in spans)
    channels = geometry.in_channels * math.prod(geometry.window.size)
    nbytes = (channels + geometry.out_channels * geometry.window.positions) * own.size
    found = _MOST_BYTES // max(nbytes, 1)
    return 0 if words > most_words or found < LEAST_IMAGES else found


class Across:
    """A problem of some images, by tiles across them.

    Parameters
    ----------
    own : Tiles
        The problem of an image; its weights are packed for both.
    build : callable
        Returns the `Tiles` of a problem.
    images, workers : int
        How many there are.
    """

    def __init__(
        self, own: Tiles, build: Callable[[ConvGeometry, Any], Tiles], images: int, workers: int
    ) -> None:
        self.geometry, self.size, self.dtype = own.geometry, own.size, own.dtype
        geometry, window = own.geometry, own.geometry.window
        self.images = images
        self.turned = not geometry.channels_last
        wider = replace(
            window, size=(*window.size, images), kernel=(*window.kernel, 1),
            stride=(*window.stride, 1), dilation=(*window.dilation, 1),
            padding=(*window.padding, (0, 0)),
        )  # fmt: skip
        problem = replace(geometry, batch=1, window=wider, channels_last=True, batched=True)
        self.tiles = tiles = build(problem, own.dtype)
        tiles.weights_last = own.weights_last
        # A tile's positions need what they read: none of it is padding.
        tiles.in_place = True
        depths, rows, columns = tiles.form(True).needed
        lines = depths.count * rows.count / (depths.outputs * rows.outputs)
        count = -(-images // -(-images // own.most))
        tiles.forms = {True: Form(False, count, (depths, rows, columns), lines * own.channels)}
        self.positions = math.prod(window.size), window.positions
        size, channels, outputs = own.size, geometry.in_channels, geometry.out_channels
        position, image = outputs, window.positions * outputs
        if self.turned:
            position, image = images * outputs, outputs
        tiles.place = places.Place(
            0, size, tiles.output[1] * position * size, position * size, image * size
        )
        position = images * channels * size
        self.strides = (0, size, tiles.input[1] * position, position, channels * size)
        #: How many times as long the tiles of single images take, by an estimate.
        self.gain = self._gain(own, workers)

    def _gain(self, own: Tiles, workers: int) -> float:
        single = pixel_cut.best_cut(own, own.form(True), self.images, workers)[2]
        time = pixel_cut.best_cut(self.tiles, self.tiles.form(True), 1, workers)[2]
        return single / (time + self._turned_elements() / pixel_cut.TURNED / workers)

    def _turned_elements(self) -> int:
        """Return the elements of images and results that are turned."""
        if not self.turned:
            return 0
        moved = zip(self._channels(), self.positions, strict=True)
        return self.images * sum(n * p for n, p in moved)

    def _channels(self) -> tuple[int, int]:
        return self.geometry.in_channels, self.geometry.out_channels

    def run(
        self, x: Array, strides: tuple[int, ...], packed: Packed, out: Array, workers: int
    ) -> None:
        """Write the convolution of so many images, `strides` of bytes apart, to `out`."""
        if not self.turned:
            image, channel, _, row, column = strides
            apart = (0, channel, row, column, image)
            self._multiply(address(x), apart, packed, address(out), workers)
            return
        channels, outputs = self._channels()
        inputs, results = self.positions
        size, images = self.size, self.images
        source = workspace.take(images * channels * inputs * size)
        target = workspace.take(images * outputs * results * size)
        self._turn(
            channels, inputs, workers, address(x), strides[:2],
            source.address, (channels * size, images * channels * size),
        )  # fmt: skip
        self._multiply(source.address, self.strides, packed, target.address, workers)
        workspace.give_back(source)
        self._turn(
            results, outputs, workers, target.address, (outputs * size, images * outputs * size),
            address(out), (outputs * results * size, results * size),
        )  # fmt: skip
        workspace.give_back(target)

    def _multiply(
        self, x: int, strides: tuple[int, ...], packed: Packed, out: int, workers: int
    ) -> None:
        self.tiles.multiply(1, x, packed, out, strides, workers, True)

    def _turn(
        self, rows: int, columns: int, workers: int, source: int, source_steps: tuple[int, ...],
        to: int, to_steps: tuple[int, int],
    ) -> None:  # fmt: skip
        parts = -(-columns // _COLUMNS)
        image, row = source_steps
        jobs.run(
            turn, min(workers, self.images * parts), self.images, parts, _COLUMNS, rows,
            columns, self.size, source, image, row, to, *to_steps, transposer(self.dtype),
        )  # fmt: skip

    def workspace_nbytes(self, workers: int) -> int:
        """Return the memory that `run` borrows."""
        turned = self._turned_elements() * self.size
        return turned + self.tiles.space_nbytes(1, self.strides, workers, True)


@jobs.team_kernel
def turn(
    team: int, workers: int, images: int, parts: int, each: int, rows: int, columns: int,
    size: int, source: int, image_step: int, row_step: int, to: int, to_image: int, to_row: int,
    transpose: int,
) -> None:  # fmt: skip
    """Turn matrices of `rows` by `columns` elements, `each` of the columns at a time.

    Steps are in bytes; `transpose` is a `numbaconv.native.transpose.transposer`.
    """
    shared = (
        parts, each, rows, columns, size, source, image_step, row_step, to, to_image, to_row,
        transpose,
    )  # fmt: skip
    jobs.fork_tasks(team, workers, images * parts, _turn_part, shared)


@jobs.team_part
def _turn_part(
    task: int, worker: int, parts: int, each: int, rows: int, columns: int, size: int, source: int,
    image_step: int, row_step: int, to: int, to_image: int, to_row: int, transpose: int,
) -> None:  # fmt: skip
    image, first = task // parts, task % parts * each
    call(
        transpose,
        (
            rows, rows, min(each, columns - first), source + image * image_step + first * size,
            row_step, to + image * to_image + first * to_row, to_row,
        ),
    )  # fmt: skip
