"""Copies between images of any strides and dtypes, on the device."""

import numpy as np

from numbaconv.cuda import launch, parameters, sums
from numbaconv.cuda.places import Images


def copy(
    source: Images, target: Images, images: int, channels: int, conjugated: bool = False
) -> None:
    """Enqueue the copy of a batch, converted to the target's dtype."""
    count = images * channels * int(np.prod(target.size, dtype=object))
    if not count:
        return
    ints = (
        channels, *target.size, count,
        source.base, source.image, source.channel, *source.steps,
        target.base, target.image, target.channel, *target.steps,
    )  # fmt: skip
    index = parameters.index_type(*ints, source.data.size, target.data.size)
    kernel = sums.copy(index, target.dtype.type, conjugated)
    kernel[(*launch.grid(count), target.stream)](source.data, target.data, tuple(map(index, ints)))
