"""The weight gradient of very large images, a box of the result's positions at a time.

Each box is a problem of its own, so that no launch takes long, no table and no workspace grows with
the image, and their gradients are added with compensation (`numbaconv.kernels.long_sums`).
"""

import math
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from numbaconv.kernels.long_sums import Total
from numbaconv.problem.arrays import Array
from numbaconv.problem.geometry import ConvGeometry, Ints
from numbaconv.running import call, strips

# Positions of a box, and along its last axis.
_MOST_POSITIONS = 1 << 19
_MOST_COLUMNS = 1 << 15


class AnyPlan(Protocol):
    """A problem as one algorithm runs it."""

    #: How many images are converted at a time, where they must be; launches take so many, or
    #: several times as many.
    images_at_once: int
    #: After how many images, such a multiple, sums are to be drained.
    images_a_sum: int

    def readable(self, array: Array) -> bool:
        """Return whether an aligned array of the plan's dtype is read where it is."""

    def start(self, images: int) -> Any:
        """Return sums of nothing, for so many images in all."""

    def add(self, sums: Any, x: Array, grad: Array, first: int, parallel: bool) -> None:
        """Add what some images come to, of which the first since sums were empty is `first`."""

    def drain(self, sums: Any) -> None:
        """Set aside what the sums have come to: so many terms are added one after another."""

    def finish(self, sums: Any, out: Array, parallel: bool) -> None:
        """Write the gradient to `out`, in the caller's layout."""


def needed(geometry: ConvGeometry, work: np.dtype[Any], *, grows: bool) -> bool:
    """Return whether an image is too large for one plan, whose memory `grows` with it or not."""
    output = geometry.window.output
    many = math.prod(output) > 2 * _MOST_POSITIONS or output[-1] > 2 * _MOST_COLUMNS
    return call.is_huge(geometry, work) or (grows and many)


class Plan:
    """A problem in boxes.

    Parameters
    ----------
    geometry : ConvGeometry
        The convolution; its padding is of zeros, unless `make`'s plans take another.
    shape : tuple of int
        Of the gradient.
    dtype : dtype
        Of all arrays.
    make : callable
        Returns the plan of a geometry.
    """

    images_at_once = 1
    images_a_sum = 1 << 62

    def __init__(
        self, geometry: ConvGeometry, shape: Ints, dtype: np.dtype[Any],
        make: Callable[[ConvGeometry], AnyPlan],
    ) -> None:  # fmt: skip
        self.shape, self.dtype, self.make = shape, dtype, make
        self.boxes = strips.weight_boxes(geometry, _sizes(geometry, dtype))

    def readable(self, array: Array) -> bool:
        """Return whether an array of the right dtype is read where it is: boxes are copied."""
        return True

    def start(self, images: int) -> list[Total]:
        """Return a sum of nothing."""
        return []

    def add(self, sums: list[Total], x: Array, grad: Array, first: int, parallel: bool) -> None:
        """Add what some images come to."""
        for n in range(len(x)):
            for geometry, source, target in self.boxes:
                plan = self.make(geometry)
                part = np.empty(self.shape, self.dtype)
                own = plan.start(1)
                a, b = (np.ascontiguousarray(array) for array in (x[n][source[1:]],
                                                                  grad[n][target[1:]]))  # fmt: skip
                plan.add(own, a[None], b[None], 0, parallel)
                plan.finish(own, part, parallel)
                if sums:
                    sums[0].add(part)
                else:
                    sums.append(Total(part))

    def drain(self, sums: list[Total]) -> None:
        """Do nothing: the sum is compensated already."""

    def finish(self, sums: list[Total], out: Array, parallel: bool) -> None:
        """Write the gradient to `out`."""
        out[...] = sums[0].value


def _sizes(geometry: ConvGeometry, dtype: np.dtype[Any]) -> Ints:
    """Return the sizes of boxes along each axis."""
    output = geometry.window.output
    image = geometry.flops // max(geometry.batch, 1)
    each = list(strips.box_sizes(output, image, call.strip_flops(dtype)))
    each[-1] = min(each[-1], _MOST_COLUMNS)
    for axis in range(len(each)):
        while math.prod(each) > _MOST_POSITIONS and each[axis] > 1:
            each[axis] = -(-each[axis] // 2)
    return tuple(each)
