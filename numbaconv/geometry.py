"""The canonical problem: everything behind the door takes one of these frozen dataclasses.

A `Window` is how a kernel slides over the spatial axes; `ConvGeometry` adds batch, channels, groups
and layout. Both are made once, with every check, from what the caller passed. Kernels get a window
as one int64 array (`Window.packed`), always of three spatial axes, the missing ones in front and of
size 1, so that 1-D, 2-D and 3-D share their machine code.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from numbaconv import arguments
from numbaconv.arguments import Pairs
from numbaconv.formulas import PADDING_MODES, output_size

Ints = tuple[int, ...]
Axes = tuple[int, int, int]


@dataclass(frozen=True)
class Window:
    """A kernel sliding over spatial axes: one int (or pair) per axis in each field.

    Parameters
    ----------
    size, kernel, stride, dilation : tuple of int
        Of the input, of the kernel, and how it moves.
    padding : tuple of (int, int)
        How many padded positions stand before and after the input.
    padding_mode : str
        A key of `numbaconv.formulas.PADDING_MODES`.
    """

    size: Ints
    kernel: Ints
    stride: Ints
    dilation: Ints
    padding: Pairs
    padding_mode: str = "zeros"

    @classmethod
    def parse(
        cls,
        size: Ints,
        kernel: Ints,
        stride: Any,
        padding: Any,
        dilation: Any,
        padding_mode: Any = "zeros",
        name: str = "x",
    ) -> "Window":
        """Check a caller's arguments; return the window they describe over the argument `name`."""
        ndim = len(size)
        for k in kernel:
            if k < 1:
                raise ValueError(
                    f"weight must have at least 1 along every kernel axis, got a kernel of {kernel}"
                )
        strides = arguments.per_axis(stride, "stride", ndim)
        dilations = arguments.per_axis(dilation, "dilation", ndim)
        pairs = arguments.padding_pairs(padding, size, kernel, strides, dilations)
        arguments.check_fit(size, kernel, dilations, pairs, padding_mode, name)
        return cls(size, kernel, strides, dilations, pairs, padding_mode)

    @property
    def ndim(self) -> int:
        """The number of spatial axes."""
        return len(self.size)

    # Properties that are not cached: functools.cached_property of Python 3.11 holds a lock, which a
    # child forked meanwhile never gets.
    @property
    def output(self) -> Ints:
        """The number of output positions along each axis."""
        return tuple(
            output_size(n, low, high, k, s, d)
            for n, (low, high), k, s, d in zip(
                self.size, self.padding, self.kernel, self.stride, self.dilation, strict=True
            )
        )

    @property
    def positions(self) -> int:
        """The number of output positions of one image."""
        return math.prod(self.output)

    @property
    def taps(self) -> int:
        """The number of kernel positions."""
        return math.prod(self.kernel)

    @property
    def is_pointwise(self) -> bool:
        """Whether each output position reads exactly the input position of its own index."""
        return self.taps == 1 and self.output == self.size and not any(map(any, self.padding))

    @property
    def packed(self) -> npt.NDArray[np.int64]:
        """The window as kernels take it; `numbaconv.indexing.unpack_window` reads it."""
        low = tuple(p for p, _ in self.padding)
        columns = (
            (self.size, 1),
            (self.kernel, 1),
            (self.output, 1),
            (self.stride, 1),
            (self.dilation, 1),
            (low, 0),
        )
        values = [v for axes, fill in columns for v in three_axes(axes, fill)]
        return np.array([*values, PADDING_MODES[self.padding_mode]], np.int64)


def three_axes(values: Ints, fill: int) -> Axes:
    """Return `values` with missing spatial axes put in front."""
    return (fill,) * (3 - len(values)) + tuple(values)  # type: ignore[return-value]


@dataclass(frozen=True)
class ConvGeometry:
    """A whole convolution problem, without its arrays.

    Parameters
    ----------
    batch, in_channels, out_channels, groups : int
        Sizes.
    window : Window
        The spatial axes.
    channels_last : bool
        The layout of input, weights and output.
    batched : bool
        Whether the caller's arrays have a batch axis.
    """

    batch: int
    in_channels: int
    out_channels: int
    groups: int
    window: Window
    channels_last: bool = False
    batched: bool = True

    @classmethod
    def parse(
        cls,
        ndim: int,
        x_shape: Ints,
        weight_shape: Ints,
        stride: Any,
        padding: Any,
        dilation: Any,
        groups: Any,
        padding_mode: Any,
        layout: Any,
    ) -> "ConvGeometry":
        """Check a caller's shapes and arguments and return the problem they describe."""
        channels_last = arguments.choice(layout, "layout", arguments.LAYOUTS) == "channels_last"
        groups = arguments.integer(groups, "groups", 1)
        batched, batch, channels, size = split_shape(x_shape, ndim, channels_last)
        if len(weight_shape) != ndim + 2:
            expected = "(*kernel, C/groups, O)" if channels_last else "(O, C/groups, *kernel)"
            raise ValueError(
                f"weight must have {ndim + 2} axes, {expected}, got shape {weight_shape}"
            )
        if channels_last:
            *kernel, group_channels, out_channels = weight_shape
        else:
            out_channels, group_channels, *kernel = weight_shape
        if channels % groups or out_channels % groups:
            raise ValueError(
                f"groups must divide the channels of x ({channels}) and the output channels "
                f"of weight ({out_channels}), got {groups}"
            )
        if group_channels * groups != channels:
            raise ValueError(
                f"weight must have C/groups = {channels // groups} input channels for x with "
                f"{channels} channels and groups={groups}, got {group_channels} "
                f"(weight's shape is {weight_shape})"
            )
        window = Window.parse(size, tuple(kernel), stride, padding, dilation, padding_mode)
        return cls(batch, channels, out_channels, groups, window, channels_last, batched)

    @property
    def patch_size(self) -> int:
        """The length K of a patch of one group: C/groups times the kernel's positions."""
        return self.in_channels // self.groups * self.window.taps

    @property
    def output_shape(self) -> Ints:
        """The shape of the caller's result."""
        return join_shape(
            self.batched, self.batch, self.out_channels, self.window.output, self.channels_last
        )

    @property
    def flops(self) -> int:
        """Multiplications and additions of the direct convolution."""
        outputs = self.batch * self.out_channels * self.window.positions
        return 2 * outputs * self.patch_size


def split_shape(shape: Ints, ndim: int, channels_last: bool) -> tuple[bool, int, int, Ints]:
    """Return (batched, batch, channels, spatial sizes) of an array `x` of this shape."""
    if len(shape) not in (ndim + 1, ndim + 2):
        axes = "(N, *spatial, C)" if channels_last else "(N, C, *spatial)"
        raise ValueError(
            f"x must have {ndim + 2} axes, {axes} with {ndim} spatial, or {ndim + 1} without "
            f"the batch, got shape {shape}"
        )
    batched = len(shape) == ndim + 2
    batch, *rest = shape if batched else (1, *shape)
    if channels_last:
        *size, channels = rest
    else:
        channels, *size = rest
    return batched, batch, channels, tuple(size)


def join_shape(batched: bool, batch: int, channels: int, size: Ints, channels_last: bool) -> Ints:
    """Return the shape of an array with these sizes: the inverse of `split_shape`."""
    image = (*size, channels) if channels_last else (channels, *size)
    return (batch, *image) if batched else image
