"""Images of one channel, whose arrays are the same memory in both layouts: channels are first."""

from collections.abc import Callable, Hashable
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from numbaconv.problem.arrays import Array
from numbaconv.problem.geometry import ConvGeometry
from numbaconv.routes import Plan as RoutePlan
from numbaconv.running.packed import Packed

#: What arrays its plans take (see `numbaconv.routes.Algorithm`).
READS: Literal["any", "rows", "contiguous"] = "contiguous"


def with_channels_first(geometry: ConvGeometry) -> ConvGeometry:
    """Return the same problem with channels first, if all its arrays lie alike then."""
    if geometry.channels_last and geometry.in_channels == geometry.out_channels == 1:
        return replace(geometry, channels_last=False)
    return geometry


class Plan:
    """A problem that runs as one of the other layout.

    Parameters
    ----------
    geometry : ConvGeometry
        What `with_channels_first` returned.
    dtype : dtype
        Of all arrays.
    plan : callable
        Returns the plan of a problem.
    """

    def __init__(
        self, geometry: ConvGeometry, dtype: np.dtype[Any],
        plan: Callable[[ConvGeometry, np.dtype[Any]], RoutePlan],
    ) -> None:  # fmt: skip
        self.inner = plan(geometry, dtype)
        image = replace(geometry, batched=False)
        self.input, self.output = image.input_shape, image.output_shape
        self.weight = (1, 1, *geometry.window.kernel)
        self.replayable = self.inner.replayable

    @property
    def pack_key(self) -> Hashable:
        """What the packed form of the weights depends on, beside the weights."""
        return self.inner.pack_key

    def pack(self, weight: Array, bias: Array | None, parallel: bool, *, keep: bool) -> Packed:
        """Return packed weights."""
        return self.inner.pack(weight.reshape(self.weight), bias, parallel, keep=keep)

    def run(self, x: Array, packed: Packed, out: Array, parallel: bool) -> None:
        """Write the convolution to `out`."""
        source = x.reshape(len(x), *self.input)
        self.inner.run(source, packed, out.reshape(len(x), *self.output), parallel)

    def workspace_nbytes(self, images: int, workers: int) -> int:
        """Return the memory that `run` borrows."""
        return self.inner.workspace_nbytes(images, workers)
