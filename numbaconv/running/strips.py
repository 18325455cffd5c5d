"""Very large images, a box of the result at a time, so that no single launch takes long.

Python sees Ctrl-C between launches. The cut depends on the geometry and the dtype alone.

Padding by values of the input is made of such parts, too: the image with padding of zeros, and then
its borders once more, from padded strips, instead of from a padded copy of the image.
"""

import itertools
import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from numbaconv.problem import cuts
from numbaconv.problem.arrays import Array
from numbaconv.problem.cuts import Cut, Sliding
from numbaconv.problem.formulas import dilated_size, end_inside, first_inside
from numbaconv.problem.geometry import ConvGeometry, Ints, Window
from numbaconv.running import call
from numbaconv.running.call import Call
from numbaconv.running.packed import Packed

# Positions of results that every size of winograd's tiles divides.
_ALIGNED = 8
# Outputs of an image from which on, and the share along its borders up to which, this is faster.
_LEAST_POSITIONS = 1 << 13
_MOST_BORDER = 0.25


@dataclass(frozen=True)
class Box:
    """A part of the result: how it is computed, and what of the arrays it has to do with."""

    call: Call
    source: tuple[slice, ...]
    target: tuple[slice, ...]


class PackedBoxes(NamedTuple):
    """The weights of each box; boxes that want them in one form share them."""

    weight: Array
    bias: Array | None
    boxes: list[Any]

    def release(self) -> None:
        """Give the memory back; the object is of no use after that."""
        for packed in {id(p): p for p in self.boxes}.values():
            packed.release()


class Plan:
    """A problem in boxes, each of which is a problem of its own.

    Parameters
    ----------
    boxes : list of Box
        Which make up the result of one image.
    """

    replayable = False

    def __init__(self, boxes: list[Box]) -> None:
        self.boxes = boxes

    @property
    def pack_key(self) -> tuple[Hashable, ...]:
        """What the packed form of the weights depends on, beside the weights."""
        return tuple((box.call.algorithm, box.call.plan.pack_key) for box in self.boxes)

    def pack(self, weight: Array, bias: Array | None, parallel: bool, *, keep: bool) -> Any:
        """Return the weights in the form that each box wants."""
        found: dict[Hashable, Packed] = {}
        keys = self.pack_key
        for box, key in zip(self.boxes, keys, strict=True):
            if key not in found:
                found[key] = call.pack(box.call, weight, bias, parallel, keep=keep)
        return PackedBoxes(weight, bias, [found[key] for key in keys])

    def run(self, x: Array, packed: Any, out: Array, parallel: bool) -> None:
        """Write all boxes of all images."""
        for n in range(len(x)):
            for box, weights in zip(self.boxes, packed.boxes, strict=True):
                source, target = x[n : n + 1][box.source], out[n : n + 1][box.target]
                call.run_parts(box.call, source, weights, target, parallel)

    def workspace_nbytes(self, images: int, workers: int) -> int:
        """Return the memory that `run` borrows."""
        return max(box.call.plan.workspace_nbytes(1, workers) for box in self.boxes)


def forward(geometry: ConvGeometry, most: int, choose: Callable[[ConvGeometry], Call]) -> list[Box]:
    """Return the boxes of a convolution's result, each of at most so much work.

    The padding is of zeros; `choose` says how a box is computed.
    """
    axes = _sliding(geometry.window)
    each = box_sizes(geometry.window.output, geometry.flops // max(geometry.batch, 1), most)
    along = [
        [cuts.reading(axis, a, b) for a, b in _intervals(axis.outputs, n)]
        for axis, n in zip(axes, each, strict=True)
    ]

    def window(found: Sequence[Cut]) -> Window:
        return replace(
            geometry.window, size=tuple(c.last - c.first for c in found),
            padding=tuple((c.low, c.high) for c in found),
        )  # fmt: skip

    return _boxes(geometry, along, window, choose)


def adjoint(geometry: ConvGeometry, most: int, choose: Callable[[ConvGeometry], Call]) -> list[Box]:
    """Return the boxes of the result of a convolution's adjoint, of its input's size."""
    axes = _sliding(geometry.window)
    each = box_sizes(geometry.window.size, geometry.flops // max(geometry.batch, 1), most)
    along = [
        [cuts.reached(axis, a, b) for a, b in _intervals(axis.size, n)]
        for axis, n in zip(axes, each, strict=True)
    ]

    def window(found: Sequence[Cut]) -> Window:
        # The high padding ends with the last window: it may be negative.
        return replace(
            geometry.window, size=tuple(c.length for c in found),
            padding=tuple((c.low, c.high - c.extra) for c in found),
        )  # fmt: skip

    return _boxes(geometry, along, window, choose)


def weight_boxes(geometry: ConvGeometry, each: Ints) -> list[tuple[ConvGeometry, Any, Any]]:
    """Return (geometry, index of the input, index of the result) of boxes of a result."""
    along = [
        [cuts.reading(axis, a, b) for a, b in _intervals(axis.outputs, n)]
        for axis, n in zip(_sliding(geometry.window), each, strict=True)
    ]
    found = []
    for chosen in itertools.product(*along):
        window = replace(
            geometry.window, size=tuple(c.last - c.first for c in chosen),
            padding=tuple((c.low, c.high) for c in chosen),
        )  # fmt: skip
        small = replace(geometry, batch=1, batched=True, window=window)
        found.append((small, *_indices(geometry, chosen)))
    return found


def box_sizes(sizes: Ints, work: int, most: int) -> Ints:
    """Return the sizes of boxes of at most so much of the work, one position at least.

    The first axis is cut first: the fewer rows, the less is read twice.
    """
    each = []
    for n in sizes:
        pieces = max(1, -(-work // most))
        size = max(1, n // min(pieces, n))
        if size > _ALIGNED:  # winograd's tiles begin where they would in the whole: the same bits
            size -= size % _ALIGNED
        each.append(min(size, n))
        work = work * each[-1] // max(n, 1)
    return tuple(each)


def _sliding(window: Window) -> list[Sliding]:
    return [
        Sliding(n, k, s, d, low, high, outputs)
        for n, k, s, d, (low, high), outputs in zip(
            window.size, window.kernel, window.stride, window.dilation, window.padding,
            window.output, strict=True,
        )
    ]  # fmt: skip


def _intervals(length: int, each: int) -> list[tuple[int, int]]:
    return [(a, min(a + each, length)) for a in range(0, length, each)]


def _boxes(
    geometry: ConvGeometry,
    along: list[list[Cut]],
    window: Callable[[Sequence[Cut]], Window],
    choose: Callable[[ConvGeometry], Call],
) -> list[Box]:
    calls: dict[ConvGeometry, Call] = {}
    found = []
    for chosen in itertools.product(*along):
        small = replace(geometry, batch=1, batched=True, window=window(chosen))
        if small not in calls:
            calls[small] = choose(small)
        found.append(Box(calls[small], *_indices(geometry, chosen)))
    return found


def _indices(
    geometry: ConvGeometry, chosen: Sequence[Cut]
) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Return where a box is in batched arrays of its source, and of its result."""
    ahead = (slice(None),) * (1 if geometry.channels_last else 2)
    return (
        (*ahead, *(slice(c.first, c.last) for c in chosen)),
        (*ahead, *(slice(c.start, c.stop) for c in chosen)),
    )


@dataclass(frozen=True)
class Strip(Box):
    """Outputs along a border: what they read lies anywhere, by `indices` along each axis."""

    indices: tuple[Array | slice, ...]


class FramedPlan(Plan):
    """A problem whose padding is not of zeros, as one whose is, and strips.

    Parameters
    ----------
    geometry : ConvGeometry
        The problem.
    choose : callable
        Returns how a problem is computed.
    """

    def __init__(self, geometry: ConvGeometry, choose: Callable[[ConvGeometry], Call]) -> None:
        window = geometry.window
        self.first_axis = 1 if geometry.channels_last else 2
        whole = choose(replace(geometry, window=replace(window, padding_mode="zeros")))
        inner = [_inner(window, axis) for axis in range(window.ndim)]
        borders = []
        for axis, (first, end) in enumerate(inner):
            for part in ((0, first), (end, window.output[axis])):
                if part[0] < part[1]:
                    # Of earlier axes what is within; of later ones all.
                    outputs = [*inner[:axis], part, *((0, n) for n in window.output[axis + 1 :])]
                    borders.append(self._strip(geometry, outputs, choose))

        super().__init__([Box(whole, (), ()), *borders])

    def _strip(
        self, geometry: ConvGeometry, outputs: list[tuple[int, int]],
        choose: Callable[[ConvGeometry], Call],
    ) -> Strip:  # fmt: skip
        window, indices = geometry.window, []
        mode: Any = call.NUMPY_MODES[window.padding_mode]
        for axis, (first, end) in enumerate(outputs):
            stride = window.stride[axis]
            start = first * stride
            stop = (end - 1) * stride + dilated_size(window.kernel[axis], window.dilation[axis])
            padded = np.pad(np.arange(window.size[axis]), window.padding[axis], mode)
            padded = padded[start:stop]
            follows = bool(np.all(np.diff(padded) == 1))
            indices.append(slice(int(padded[0]), int(padded[-1]) + 1) if follows else padded)
        size: Ints = tuple(
            i.stop - i.start if isinstance(i, slice) else len(i) for i in indices
        )  # fmt: skip
        none = ((0, 0),) * window.ndim
        small = Window(size, window.kernel, window.stride, window.dilation, none)
        target = (*(slice(None),) * self.first_axis, *(slice(*o) for o in outputs))
        return Strip(choose(replace(geometry, window=small)), (), target, tuple(indices))

    def run(self, x: Array, packed: Any, out: Array, parallel: bool) -> None:
        """Write the convolution to `out`."""
        (whole, first), *borders = zip(self.boxes, packed.boxes, strict=True)
        whole.call.plan.run(x, first, out, parallel)
        strip: Any
        for strip, weights in borders:
            source = x
            for axis, index in enumerate(strip.indices, self.first_axis):
                if isinstance(index, slice):
                    source = source[(slice(None),) * axis + (index,)]
                else:
                    source = source.take(index, axis)
            target = out[strip.target]
            result = np.empty(target.shape, out.dtype)
            call.run_parts(strip.call, source, weights, result, parallel)
            target[...] = result

    def workspace_nbytes(self, images: int, workers: int) -> int:
        """Return the memory that `run` borrows."""
        return max(box.call.plan.workspace_nbytes(images, workers) for box in self.boxes)


def _inner(window: Window, axis: int) -> tuple[int, int]:
    """Return the outputs along an axis that see no padding: the first, and their end."""
    stride, (low, _), count = window.stride[axis], window.padding[axis], window.output[axis]
    last_tap = dilated_size(window.kernel[axis], window.dilation[axis]) - 1 - low
    first = first_inside(-low, stride, count)
    return first, max(first, end_inside(last_tap, stride, window.size[axis], count))


def framing_pays(geometry: ConvGeometry) -> bool:
    """Return whether borders are a small part of large images."""
    window = geometry.window
    if not window.mirrors or window.positions < _LEAST_POSITIONS:
        return False
    inner = math.prod(end - first for first, end in (_inner(window, a) for a in range(window.ndim)))
    return window.positions - inner <= _MOST_BORDER * window.positions
