"""Copies between images of any strides and dtypes, on the device."""

import math
from dataclasses import replace

import numpy as np

from numbaconv.cuda import launch, parameters, sums
from numbaconv.cuda.places import Images
from numbaconv.problem.formulas import PADDING_MODES
from numbaconv.problem.geometry import ConvGeometry, three_axes

# Elements of a padded input that are always few enough.
_SMALL = 1 << 20


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


def can_pad(geometry: ConvGeometry) -> bool:
    """Return whether an input with its padding about it takes little more memory than without."""
    window = geometry.window
    size = math.prod(n + sum(p) for n, p in zip(window.size, window.padding, strict=True))
    images = geometry.batch * geometry.in_channels
    return images * size <= max(4 * images * math.prod(window.size), _SMALL)


def pad(geometry: ConvGeometry, x: Images) -> tuple[ConvGeometry, Images]:
    """Return the same problem over an input that holds its padding, which is enqueued."""
    window = geometry.window
    size = tuple(n + sum(p) for n, p in zip(window.size, window.padding, strict=True))
    inner = replace(
        geometry,
        window=replace(window, size=size, padding=((0, 0),) * window.ndim, padding_mode="zeros"),
    )
    depth, height, width = three_axes(size, 1)
    positions = depth * height * width
    count = geometry.batch * geometry.in_channels * positions
    memory = launch.borrow("padded input", count, x.dtype, x.stream)
    padded = Images(
        memory, x.dtype, 0, geometry.in_channels * positions, positions,
        (height * width, width, 1), (depth, height, width), x.stream,
    )  # fmt: skip
    ints = (
        geometry.in_channels, *padded.size, count, *x.size,
        *three_axes(tuple(low for low, _ in window.padding), 0),
        x.base, x.image, x.channel, *x.steps,
    )  # fmt: skip
    index = parameters.index_type(*ints, x.data.size)
    kernel = sums.pad(index, x.dtype.type, PADDING_MODES[window.padding_mode])
    kernel[(*launch.grid(count), x.stream)](x.data, memory, tuple(map(index, ints)))
    return inner, padded
