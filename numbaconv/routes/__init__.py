"""The routes to a convolution, one file each, with the same few functions.

``refusal(geometry, dtype)`` says why an algorithm cannot run a problem, or None. ``plan(geometry,
dtype)`` returns its `Plan`, which packs weights and runs. Adding an algorithm means adding its
file, its name here, and its cost to `numbaconv.running.costs`. A route is imported when it is first
considered, so that ``import numbaconv`` stays short.
"""

import importlib
import math
from collections.abc import Hashable
from typing import Any, Protocol, cast

import numpy as np

from numbaconv.problem.arrays import Array
from numbaconv.problem.geometry import ConvGeometry
from numbaconv.running.packed import Packed

#: The reference first. "auto" chooses among all, "exact" among those that sum every product.
NAMES = ("im2col", "direct", "depthwise", "winograd", "fft")
_MODULES = {
    "im2col": "numbaconv.reference.forward",
    "direct": "numbaconv.routes.direct.plan",
    "depthwise": "numbaconv.routes.depthwise.plan",
    "winograd": "numbaconv.routes.winograd.plan",
    "fft": "numbaconv.routes.fft",
}
EXACT = ("im2col", "direct", "depthwise")
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

        Both are of the plan's dtype and aligned. Unless the algorithm is "im2col", `out` is
        contiguous, so is the last axis of `x`, and the padding is of zeros.
        """

    def workspace_nbytes(self, images: int, workers: int) -> int:
        """Return the memory that `run` borrows."""


class Algorithm(Protocol):
    """What the module of a route offers."""

    def refusal(self, geometry: ConvGeometry, dtype: np.dtype[Any]) -> str | None:
        """Return why this route cannot run the problem, or None."""

    def plan(self, geometry: ConvGeometry, dtype: np.dtype[Any]) -> Plan:
        """Return the plan of a problem that is not refused."""


def load(name: str) -> Algorithm:
    """Return the module of an algorithm."""
    return cast(Algorithm, importlib.import_module(_MODULES[name]))


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
            return {name: None if name == "im2col" else reason for name in NAMES}
    return {name: load(name).refusal(geometry, dtype) for name in NAMES}
