"""Problems that run as others whose arrays are the same memory: of fewer axes, of another layout.

Images of one channel lie alike in both layouts: channels are taken for first.
"""

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
    """A problem that runs as another one.

    Parameters
    ----------
    geometry : ConvGeometry
        The other one, whose weights and images lie as this one's; of how many images may differ.
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
        image, kernel = replace(geometry, batched=False), geometry.window.kernel
        self.input, self.output = image.input_shape, image.output_shape
        channels, outputs = geometry.in_channels // geometry.groups, geometry.out_channels
        self.weight = (outputs, channels, *kernel)
        if geometry.channels_last:
            self.weight = (*kernel, channels, outputs)
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
        target = out.reshape(-1, *self.output)
        source = np.ascontiguousarray(x).reshape(len(target), *self.input)  # which may be empty
        self.inner.run(source, packed, target, parallel)

    def workspace_nbytes(self, images: int, workers: int) -> int:
        """Return the memory that `run` borrows, for as many images of the other problem."""
        return self.inner.workspace_nbytes(images, workers)
