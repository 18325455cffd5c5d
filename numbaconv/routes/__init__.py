"""The routes to a convolution, one file each, with the same few functions.

``refusal(geometry, dtype)`` says why an algorithm cannot run a problem, or None. ``plan(geometry,
dtype)`` returns its `Plan`, which packs weights and runs. ``cost(geometry, dtype, prepared=...)``
is what ``"auto"`` compares. A route is imported when it is first considered, so that ``import
numbaconv`` stays short.
"""

import importlib
import math
from collections.abc import Hashable
from typing import Any, Literal, Protocol, cast

import numpy as np

from numbaconv.problem.arrays import Array
from numbaconv.problem.geometry import ConvGeometry
from numbaconv.running.packed import Packed

#: The module of each algorithm, the reference first. A new one is a line here, and its file.
MODULES = {
    "im2col": "numbaconv.reference.forward",
    "direct": "numbaconv.routes.direct.plan",
    "depthwise": "numbaconv.routes.depthwise.plan",
    "winograd": "numbaconv.routes.winograd.plan",
    "fft": "numbaconv.routes.fft",
}
# Positions of a padded image that are always few.
_MOST_PADDED = 1 << 16


class Plan(Protocol):
    """A problem as one algorithm runs it."""

    #: Whether `pack` and `run` work by launches alone (see `numbaconv.kernels.recording`).
    replayable: bool

    @property
    def pack_key(self) -> Hashable:
        """What the packed form of the weights depends on, beside the weights."""

    def pack(self, weight: Array, bias: Array | None, parallel: bool, *, keep: bool) -> Packed:
        """Return weights (contiguous, of the plan's dtype) in this algorithm's form.

        Unless they are to be kept, their memory is borrowed, and released after the call.
        """

    def run(self, x: Array, packed: Packed, out: Array, parallel: bool) -> None:
        """Write the convolution of the batched array `x` to `out`.

        Both are of the plan's dtype and aligned. Unless the algorithm says otherwise, `out` is
        contiguous, so is the last axis of `x`, and the padding is of zeros.
        """

    def workspace_nbytes(self, images: int, workers: int) -> int:
        """Return the memory that `run` borrows."""


class Algorithm(Protocol):
    """What the module of a route offers."""

    #: Whether every product is summed, so that "exact" may choose it, and "auto" in any precision.
    EXACT: bool
    #: What inputs its plans take: of any strides, of contiguous rows, or contiguous.
    READS: Literal["any", "rows", "contiguous"]
    #: Whether its plans write to outputs of any strides.
    WRITES_ANY: bool
    #: Whether its plans know padding modes; others read an input that holds its padding.
    OWN_PADDING: bool

    def cost(self, geometry: ConvGeometry, dtype: np.dtype[Any], *, prepared: bool) -> float:
        """Return the estimated cycles of one core; `prepared` leaves the packing of weights out."""

    def refusal(self, geometry: ConvGeometry, dtype: np.dtype[Any]) -> str | None:
        """Return why this route cannot run the problem, or None."""

    def plan(self, geometry: ConvGeometry, dtype: np.dtype[Any]) -> Plan:
        """Return the plan of a problem that is not refused."""


def names() -> tuple[str, ...]:
    """Return the names of all algorithms, the reference first."""
    return tuple(MODULES)


def load(name: str) -> Algorithm:
    """Return the module of an algorithm."""
    return cast(Algorithm, importlib.import_module(MODULES[name]))


def refusals(geometry: ConvGeometry, dtype: np.dtype[Any]) -> dict[str, str | None]:
    """Return for each algorithm why it cannot run the problem, or None."""
    window = geometry.window
    if window.padding_mode != "zeros":
        # All but the reference read an image that holds its padding.
        padded = math.prod(
            n + low + high for n, (low, high) in zip(window.size, window.padding, strict=True)
        )
        if padded > _MOST_PADDED + 8 * (math.prod(window.size) + window.positions):
            reason = "an image with its padding would be many times larger than input and result"
            return {name: None if load(name).OWN_PADDING else reason for name in MODULES}
    return {name: load(name).refusal(geometry, dtype) for name in MODULES}
