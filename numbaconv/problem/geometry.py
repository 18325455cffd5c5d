"""The canonical problem: everything behind the door takes one of these frozen dataclasses.

A `Window` is how a kernel slides over the spatial axes; `ConvGeometry` adds batch, channels, groups
and layout. Both are made once, with every check, from what the caller passed. Kernels get a window
as one int64 array (`Window.packed`), always of three spatial axes, the missing ones in front and of
size 1, so that 1-D, 2-D and 3-D share their machine code.
"""

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from numbaconv.problem import arguments
from numbaconv.problem.arguments import Pairs
from numbaconv.problem.formulas import PADDING_MODES, dilated_size, output_size, transposed_size
from numbaconv.problem.options import ConvOptions, PatchOptions

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
        A key of `numbaconv.problem.formulas.PADDING_MODES`.
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
        options: ConvOptions | PatchOptions,
        size: Ints,
        kernel: Ints,
        name: str = "x",
        kernel_name: str = "kernel_size",
    ) -> "Window":
        """Check what a caller asks for; return its window over the argument `name`."""
        ndim = len(size)
        _check_kernel(kernel, kernel_name)
        strides = arguments.per_axis(options.stride, "stride", ndim)
        dilations = arguments.per_axis(options.dilation, "dilation", ndim)
        pairs = arguments.padding_pairs(options.padding, size, kernel, strides, dilations)
        window = cls(size, kernel, strides, dilations, pairs, options.padding_mode)
        _check_fit(window, name, kernel_name)
        return window

    @classmethod
    def parse_transposed(
        cls,
        options: ConvOptions,
        size: Ints,
        kernel: Ints,
        name: str = "x",
        kernel_name: str = "weight",
    ) -> "Window":
        """Check a transposed convolution's options over an input of `size`.

        Returns the window that slides over its result, with an output for each input position.
        """
        padding, output_size = options.padding, options.output_size
        output_padding, channels_last = options.output_padding, options.layout == "channels_last"
        ndim = len(size)
        _check_kernel(kernel, kernel_name)
        strides = arguments.per_axis(options.stride, "stride", ndim)
        dilations = arguments.per_axis(options.dilation, "dilation", ndim)
        extra = arguments.per_axis(output_padding, "output_padding", ndim, low=0)
        pairs, own = arguments.transposed_padding(padding, kernel, strides, dilations)
        axes = list(zip(size, pairs, kernel, strides, dilations, strict=True))
        if isinstance(padding, str) and padding != "valid":
            if any(extra) or output_size is not None:
                raise ValueError(
                    f"padding={padding!r} sets the size of the result: it takes no output_padding "
                    f"and no output_size, got output_padding={output_padding!r} and "
                    f"output_size={output_size!r}"
                )
            extra = own
        elif output_size is not None:
            if any(extra):
                raise ValueError(
                    f"output_size picks the output padding: pass it or output_padding, got "
                    f"output_size={output_size!r} and output_padding={output_padding!r}"
                )
            least = tuple(
                transposed_size(n, low, high, k, s, d, 0) for n, (low, high), k, s, d in axes
            )
            extra = _picked_padding(output_size, least, strides, channels_last)
        for axis, (p, s, d) in enumerate(zip(extra, strides, dilations, strict=True)):
            if p >= max(s, d):
                raise ValueError(
                    f"output_padding must be smaller than the larger of stride and dilation: along "
                    f"spatial axis {axis} got {p} with stride {s} and dilation {d}"
                )
        result = tuple(
            transposed_size(n, low, high, k, s, d, p)
            for (n, (low, high), k, s, d), p in zip(axes, extra, strict=True)
        )
        for axis, (n, m) in enumerate(zip(size, result, strict=True)):
            if m < 1:
                why = f"padding={padding!r} leaves nothing of it" if n else "there is no input"
                raise ValueError(
                    f"the result would be empty along spatial axis {axis}, where {name} has {n}: "
                    f"{why}"
                )
        exact = tuple(
            (low, transposed_size(n, low, 0, k, s, d, 0) - m)
            for (n, (low, _), k, s, d), m in zip(axes, result, strict=True)
        )
        return cls(result, kernel, strides, dilations, exact)

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
    def overlap(self) -> int:
        """The number of windows, at most, that cover one position of the input."""
        return math.prod(
            min(-(-k // (s // math.gcd(s, d))), n)
            for k, s, d, n in zip(
                self.kernel, self.stride, self.dilation, self.output, strict=True
            )
        )  # fmt: skip

    @property
    def is_padded(self) -> bool:
        """Whether there is any padding."""
        return any(map(any, self.padding))

    @property
    def mirrors(self) -> bool:
        """Whether there is padding that holds values of the input, by whichever mode."""
        return self.padding_mode != "zeros" and self.is_padded

    @property
    def is_pointwise(self) -> bool:
        """Whether each output position reads exactly the input position of its own index."""
        return self.taps == 1 and self.output == self.size and not self.is_padded

    @property
    def packed(self) -> npt.NDArray[np.int64]:
        """The window as kernels take it; `numbaconv.kernels.indexing.unpack_window` reads it."""
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


def _check_kernel(kernel: Ints, name: str) -> None:
    if min(kernel) < 1:
        raise ValueError(
            f"{name} must have at least 1 along every kernel axis, got a kernel of {kernel}"
        )


def _check_fit(window: Window, name: str, kernel_name: str) -> None:
    """Raise ValueError unless the dilated kernel fits the padded input, the argument `name`."""
    mode = window.padding_mode
    arguments.choice(mode, "padding_mode", tuple(PADDING_MODES))
    for axis, (n, k, d, (low, high)) in enumerate(
        zip(window.size, window.kernel, window.dilation, window.padding, strict=True)
    ):
        if n == 0 and mode != "zeros":
            raise ValueError(
                f"padding_mode={mode!r} needs input values, "
                f"but spatial axis {axis} of {name} is empty"
            )
        if dilated_size(k, d) > n + low + high:
            raise ValueError(
                f"{kernel_name} does not fit {name}: along spatial axis {axis} a kernel of {k} "
                f"with dilation {d} spans {dilated_size(k, d)}, but {name} has {n} and padding "
                f"({low}, {high})"
            )


def _picked_padding(value: Any, least: Ints, strides: Ints, channels_last: bool) -> Ints:
    """Return the output padding with which a transposed result gets a caller's `output_size`."""
    given = arguments.output_size(value, len(least), channels_last)
    for n, low, s in zip(given, least, strides, strict=True):
        if not low <= n < low + s:
            most = tuple(low + s - 1 for low, s in zip(least, strides, strict=True))
            between = f"{least}" if least == most else f"from {least} to {most}"
            raise ValueError(f"output_size must be {between} along the spatial axes, got {value!r}")
    return tuple(n - low for n, low in zip(given, least, strict=True))


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
        options: ConvOptions,
        x_shape: Ints,
        weight_shape: Ints,
        name: str = "x",
        weight_name: str = "weight",
    ) -> "ConvGeometry":
        """Check a caller's shapes and options and return the problem that they describe.

        The arguments that say the shapes of input and weights are called `name` and `weight_name`.
        Of a transposed convolution it is the convolution that it is the adjoint of: its
        `out_channels` are the channels of `x`, and its window slides over the result. A high
        padding may be negative there: so many last positions of the result no window reads.
        """
        if options.transposed:
            return cls._parse_transposed(options, x_shape, weight_shape, name, weight_name)
        ndim, layout = options.ndim, options.layout
        channels_last = arguments.is_channels_last(layout)
        groups = arguments.integer(options.groups, "groups", 1)
        batched, batch, channels, size = split_shape(x_shape, ndim, channels_last, name)
        out_channels, group_channels, kernel = split_weight_shape(
            weight_shape, ndim, channels_last, weight_name
        )
        if channels % groups or out_channels % groups:
            raise ValueError(
                f"groups must divide the channels of {name} ({channels}) and the output channels "
                f"of {weight_name} ({out_channels}), got {groups}"
            )
        if group_channels * groups != channels:
            axis = ndim if channels_last else 1
            raise ValueError(
                f"{weight_name} of shape {weight_shape} does not fit {name} of shape {x_shape}: "
                f"with layout={layout!r} and groups={groups} its axis {axis} must be "
                f"C/groups = {channels // groups}, got {group_channels}"
            )
        window = Window.parse(options, size, kernel, name, weight_name)
        return cls(batch, channels, out_channels, groups, window, channels_last, batched)

    @classmethod
    def _parse_transposed(
        cls, options: ConvOptions, x_shape: Ints, weight_shape: Ints, name: str, weight_name: str
    ) -> "ConvGeometry":
        ndim, layout = options.ndim, options.layout
        channels_last = arguments.is_channels_last(layout)
        groups = arguments.integer(options.groups, "groups", 1)
        batched, batch, channels, size = split_shape(x_shape, ndim, channels_last, name)
        weight_channels, group_outputs, kernel = split_weight_shape(
            weight_shape, ndim, channels_last, weight_name, axes=("C", "O/groups")
        )
        if channels % groups:
            raise ValueError(
                f"groups must divide the channels of {name} ({channels}), got {groups}"
            )  # fmt: skip
        if weight_channels != channels:
            raise ValueError(
                f"{weight_name} of shape {weight_shape} does not fit {name} of shape {x_shape}: "
                f"with layout={layout!r} its axis {ndim + 1 if channels_last else 0} must be the "
                f"input channels, C = {channels}, got {weight_channels}"
            )
        window = Window.parse_transposed(options, size, kernel, name, weight_name)
        return cls(
            batch, group_outputs * groups, channels, groups, window, channels_last, batched
        )  # fmt: skip

    @property
    def cropped(self) -> "ConvGeometry":
        """The same over an input without the positions that a negative high padding leaves out."""
        window = self.window
        if all(high >= 0 for _, high in window.padding):
            return self
        size = tuple(n + min(high, 0) for n, (_, high) in zip(window.size, window.padding,
                                                              strict=True))  # fmt: skip
        padding = tuple((low, max(high, 0)) for low, high in window.padding)
        return replace(self, window=replace(window, size=size, padding=padding))

    def result_shape(self, *, transposed: bool) -> Ints:
        """Return the shape of what the caller asked for: of the convolution, or of its adjoint."""
        return self.input_shape if transposed else self.output_shape

    @property
    def patch_size(self) -> int:
        """The length K of a patch of one group: C/groups times the kernel's positions."""
        return self.in_channels // self.groups * self.window.taps

    @property
    def input_shape(self) -> Ints:
        """The shape of the caller's input."""
        return join_shape(
            self.batched, self.batch, self.in_channels, self.window.size, self.channels_last
        )

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


def split_shape(
    shape: Ints, ndim: int, channels_last: bool, name: str = "x"
) -> tuple[bool, int, int, Ints]:
    """Return (batched, batch, channels, spatial sizes) of the argument `name` of this shape."""
    if len(shape) not in (ndim + 1, ndim + 2):
        axes = "(N, *spatial, C)" if channels_last else "(N, C, *spatial)"
        raise ValueError(
            f"{name} must have {ndim + 2} axes, {axes} with {ndim} spatial, or {ndim + 1} without "
            f"the batch, got shape {shape}"
        )
    batched = len(shape) == ndim + 2
    batch, *rest = shape if batched else (1, *shape)
    if channels_last:
        *size, channels = rest
    else:
        channels, *size = rest
    return batched, batch, channels, tuple(size)


def split_weight_shape(
    shape: Ints,
    ndim: int,
    channels_last: bool,
    name: str = "weight",
    axes: tuple[str, str] = ("O", "C/groups"),
) -> tuple[int, int, Ints]:
    """Return (outer channels, channels of a group, kernel) of the argument `name` of this shape."""
    if len(shape) != ndim + 2:
        outer, inner = axes
        expected = (
            f"(*kernel, {inner}, {outer})" if channels_last else f"({outer}, {inner}, *kernel)"
        )
        raise ValueError(f"{name} must have {ndim + 2} axes, {expected}, got shape {shape}")
    if channels_last:
        *kernel, inside, outside = shape
    else:
        outside, inside, *kernel = shape
    return outside, inside, tuple(kernel)


def join_shape(batched: bool, batch: int, channels: int, size: Ints, channels_last: bool) -> Ints:
    """Return the shape of an array with these sizes: the inverse of `split_shape`."""
    image = (*size, channels) if channels_last else (channels, *size)
    return (batch, *image) if batched else image
