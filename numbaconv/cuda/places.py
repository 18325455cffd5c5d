"""Where images and weights lie: batched arrays as a base and strides of named axes."""

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from numbaconv.cuda.arrays import DeviceArray
from numbaconv.problem.geometry import Axes, three_axes


class ImagePlace(NamedTuple):
    """Where images lie in memory of some elements; the rest as in `Images`."""

    base: int
    image: int
    channel: int
    steps: Axes
    size: Axes
    elements: int

    @property
    def as_input(self) -> dict[str, int]:
        """The parameters of an array that patches are gathered from."""
        d, h, w = self.steps
        depth, height, width = self.size
        return {
            "BASE": self.base, "S_N": self.image, "S_C": self.channel, "S_D": d, "S_H": h, "S_W": w,
            "D": depth, "H": height, "W": width,
        }  # fmt: skip

    @property
    def as_output(self) -> dict[str, int]:
        """The parameters of an array of output positions."""
        d, h, w = self.steps
        return {
            "O_BASE": self.base, "O_N": self.image, "O_C": self.channel, "O_D": d, "O_H": h,
            "O_W": w,
        }  # fmt: skip


class WeightPlace(NamedTuple):
    """Where weights lie in memory of some elements; the rest as in `Weights`."""

    base: int
    group: int
    output: int
    channel: int
    steps: Axes
    taps: Axes
    elements: int


@dataclass(frozen=True)
class Images:
    """A batch of images, always of three spatial axes.

    Parameters
    ----------
    data : device array
        Flat memory.
    dtype : dtype
        Of the elements.
    base, image, channel : int
        The first element, and the strides of images and channels, in elements.
    steps, size : tuple of int
        The strides and sizes of the spatial axes, the missing ones in front.
    stream : stream
        On which the memory is used.
    """

    data: Any
    dtype: np.dtype[Any]
    base: int
    image: int
    channel: int
    steps: Axes
    size: Axes
    stream: Any

    @classmethod
    def of(cls, array: DeviceArray, channels_last: bool, stream: Any) -> "Images":
        """Return the place of a batched array, to be used on a stream."""
        image, *rest = array.strides
        _, *sizes = array.shape
        if channels_last:
            *steps, channel = rest
            size = sizes[:-1]
        else:
            channel, *steps = rest
            size = sizes[1:]
        return cls(
            array.data, array.dtype, array.base, image, channel, three_axes(tuple(steps), 0),
            three_axes(tuple(size), 1), stream,
        )  # fmt: skip

    @property
    def place(self) -> "ImagePlace":
        """All but the memory itself: what plans depend on."""
        return ImagePlace(
            self.base, self.image, self.channel, self.steps, self.size, int(self.data.size)
        )

    def cut(self, slices: tuple[slice, ...]) -> "Images":
        """Return the images with their last spatial axes cut by slices of known ends."""
        base, steps, size = self.base, list(self.steps), list(self.size)
        for axis, s in enumerate(slices, 3 - len(slices)):
            start, stop, step = s.indices(size[axis])
            base += start * steps[axis]
            steps[axis] *= step
            size[axis] = len(range(start, stop, step))
        return replace(
            self, base=base, steps=(steps[0], steps[1], steps[2]), size=(size[0], size[1], size[2])
        )

    def part(self, first: int) -> "Images":
        """Return the images from number `first` on."""
        return replace(self, base=self.base + first * self.image)


@dataclass(frozen=True)
class Weights:
    """Weights as matrices: an output's row has an element for each channel and tap.

    Parameters
    ----------
    data : device array
        Flat memory.
    dtype : dtype
        Of the elements.
    base, group, output, channel : int
        The first element, and the strides of groups, of outputs and of channels in a group.
    steps, taps : tuple of int
        The strides and the number of the taps along three axes.
    """

    data: Any
    dtype: np.dtype[Any]
    base: int
    group: int
    output: int
    channel: int
    steps: Axes
    taps: Axes

    @classmethod
    def of(cls, array: DeviceArray, groups: int, channels_last: bool) -> "Weights":
        """Return the place of a convolution's weights."""
        if channels_last:
            *steps, channel, output = array.strides
            *taps, _, outputs = array.shape
        else:
            output, channel, *steps = array.strides
            outputs, _, *taps = array.shape
        return cls(
            array.data, array.dtype, array.base, outputs // groups * output, output, channel,
            three_axes(tuple(steps), 0), three_axes(tuple(taps), 1),
        )  # fmt: skip

    @property
    def place(self) -> WeightPlace:
        """All but the memory itself: what plans depend on."""
        return WeightPlace(
            self.base, self.group, self.output, self.channel, self.steps, self.taps,
            int(self.data.size),
        )  # fmt: skip

    @property
    def adjoint(self) -> "Weights":
        """The weights with outputs and channels of a group swapped."""
        return replace(self, output=self.channel, channel=self.output)

    def chosen(self, slices: tuple[slice, ...]) -> "Weights":
        """Return the weights with some of their last axes' taps, in the order of the slices."""
        base, steps, taps = self.base, list(self.steps), list(self.taps)
        for axis, s in enumerate(slices, 3 - len(slices)):
            chosen = range(*s.indices(taps[axis]))
            base += (chosen[0] if chosen else 0) * steps[axis]
            steps[axis] *= chosen.step
            taps[axis] = len(chosen)
        return replace(
            self, base=base, steps=(steps[0], steps[1], steps[2]), taps=(taps[0], taps[1], taps[2])
        )
