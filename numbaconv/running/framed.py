"""Padding by values of the input: the image with padding of zeros, then its borders once more.

Most outputs of a large image see no padding. They are computed from the image where it lies, and
those along each border again, from a padded strip: instead of from a padded copy of the image.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from numbaconv.problem.arrays import Array
from numbaconv.problem.formulas import dilated_size, end_inside, first_inside
from numbaconv.problem.geometry import ConvGeometry, Ints, Window
from numbaconv.running import call, strips
from numbaconv.running.call import Call

# Outputs of an image from which on, and the share along its borders up to which, this is faster.
_LEAST_POSITIONS = 1 << 13
_MOST_BORDER = 0.25


@dataclass(frozen=True)
class Strip(strips.Box):
    """Outputs along a border: what they read lies anywhere, by `indices` along each axis."""

    indices: tuple[Array | slice, ...]


class Plan(strips.Plan):
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

        super().__init__([strips.Box(whole, (), ()), *borders])

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


def pays(geometry: ConvGeometry) -> bool:
    """Return whether borders are a small part of large images."""
    window = geometry.window
    if not window.mirrors or window.positions < _LEAST_POSITIONS:
        return False
    inner = math.prod(end - first for first, end in (_inner(window, a) for a in range(window.ndim)))
    return window.positions - inner <= _MOST_BORDER * window.positions
