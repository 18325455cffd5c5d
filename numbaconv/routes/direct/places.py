"""Where direct convolution reads and writes: strides in bytes, and biases with room for blocks."""

from typing import NamedTuple

import numpy as np

from numbaconv.kernels import recording
from numbaconv.problem.arrays import Array, address
from numbaconv.problem.geometry import ConvGeometry, three_axes
from numbaconv.routes.direct import loops
from numbaconv.teams import jobs


class Place(NamedTuple):
    """Where results go: the distances in bytes between neighbours along each axis."""

    image: int
    channel: int
    depth: int
    row: int
    column: int


def of_result(geometry: ConvGeometry, size: int) -> Place:
    """Return where the results of a contiguous array lie."""
    channels = geometry.out_channels
    depth, height, width = three_axes(geometry.window.output, 1)
    positions = depth * height * width
    if geometry.channels_last:
        pixel = channels * size
        return Place(positions * pixel, size, height * width * pixel, width * pixel, pixel)
    plane = positions * size
    return Place(channels * plane, plane, height * width * size, width * size, size)


def byte_strides(x: Array, geometry: ConvGeometry) -> tuple[int, ...]:
    """Return the strides of image, channel, depth, row and column.

    NumPy leaves the stride of an axis of size 1 open; here it is what a contiguous array has.
    """
    plain = contiguous_strides(geometry, x.itemsize)
    if x.flags.c_contiguous:
        return plain
    batch, *rest = x.strides
    if geometry.channels_last:
        *spatial, channel = rest
    else:
        channel, *spatial = rest
    sizes = (len(x), geometry.in_channels, *three_axes(geometry.window.size, 1))
    found = (batch, channel, *three_axes(tuple(spatial), 0))
    return tuple(p if n <= 1 else s for p, n, s in zip(plain, sizes, found, strict=True))


def contiguous_strides(geometry: ConvGeometry, size: int) -> tuple[int, ...]:
    """Return the `byte_strides` of a contiguous input."""
    depth, height, width = three_axes(geometry.window.size, 1)
    channels = geometry.in_channels
    if geometry.channels_last:
        steps = (depth * height * width * channels, 1, height * width * channels,
                 width * channels, channels)  # fmt: skip
    else:
        plane = depth * height * width
        steps = (channels * plane, plane, height * width, width, 1)
    return tuple(step * size for step in steps)


def padded_bias(bias: Array, groups: int, outputs: int, padded: int) -> Array:
    """Return a bias with zeros behind each group's `outputs`, `padded` elements for each."""
    found = np.zeros((groups, padded), bias.dtype)
    if recording.active:
        recording.borrowed_array(found, cleared=True)
    size = bias.itemsize
    jobs.run(
        loops.lay_bias, 1, address(bias), address(found), groups, outputs * size, padded * size
    )  # fmt: skip
    return found
