"""The windows of a pool, plain or adaptive, and what a mean is divided by."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from numbaconv.problem import arguments
from numbaconv.problem.arrays import Array
from numbaconv.problem.formulas import dilated_size, output_size, transposed_size
from numbaconv.problem.geometry import Ints, Window, join_shape, split_shape, three_axes
from numbaconv.problem.options import AdaptiveOptions, PoolOptions, ScatterOptions, UnpoolOptions


@dataclass(frozen=True)
class PoolGeometry:
    """A pooling problem, without its arrays.

    Parameters
    ----------
    batch, channels : int
        Sizes.
    window : Window
        The spatial axes; its high padding ends with the last window, which `ceil_mode` may put
        beyond the caller's padding.
    high : tuple of int
        The caller's high padding.
    channels_last, batched : bool
        The layout, and whether the caller's arrays have a batch axis.
    """

    batch: int
    channels: int
    window: Window
    high: Ints
    channels_last: bool
    batched: bool

    @classmethod
    def parse(cls, options: PoolOptions, x_shape: Ints, name: str = "x") -> "PoolGeometry":
        """Check a caller's options and return the problem they describe."""
        ndim, padding, layout = options.ndim, options.padding, options.layout
        last = arguments.is_channels_last(layout)
        batched, batch, channels, size = split_shape(x_shape, ndim, last, name)
        kernel, strides = pool_axes(ndim, options.kernel_size, options.stride)
        dilations = arguments.per_axis(options.dilation, "dilation", ndim)
        ceil = arguments.flag(options.ceil_mode, "ceil_mode")
        pairs = arguments.padding_pairs(padding, size, kernel, strides, dilations)
        exact = []
        for axis in range(ndim):
            n, (low, high), k = size[axis], pairs[axis], kernel[axis]
            s, d = strides[axis], dilations[axis]
            if max(low, high) >= dilated_size(k, d):
                raise ValueError(
                    f"padding must be smaller than the dilated kernel: along spatial axis {axis} "
                    f"got ({low}, {high}) for a kernel_size of {k} with dilation {d}"
                )
            # Rounding up is a window more where positions are left.
            count = output_size(n, low, high + (s - 1 if ceil else 0), k, s, d)
            if ceil and (count - 1) * s >= n + low:
                count -= 1
            if count < 1 or n < 1:
                raise ValueError(
                    f"kernel_size does not fit {name}: along spatial axis {axis} a kernel of {k} "
                    f"with dilation {d} spans {dilated_size(k, d)}, but {name} has {n} and padding "
                    f"({low}, {high})"
                )
            exact.append((low, transposed_size(count, low, 0, k, s, d, 0) - n))
        window = Window(size, kernel, strides, dilations, tuple(exact))
        return cls(batch, channels, window, tuple(high for _, high in pairs), last, batched)

    @property
    def input_shape(self) -> Ints:
        """The shape of the caller's input."""
        return join_shape(
            self.batched, self.batch, self.channels, self.window.size, self.channels_last
        )

    @property
    def output_shape(self) -> Ints:
        """The shape of the caller's result."""
        return join_shape(
            self.batched, self.batch, self.channels, self.window.output, self.channels_last
        )

    @property
    def size(self) -> Ints:
        """The spatial axes of the input."""
        return self.window.size

    @property
    def output(self) -> Ints:
        """The spatial axes of the result."""
        return self.window.output

    def bounds(self) -> tuple[Array, Array, Array]:
        """Return for three axes where each window begins and ends in the input, (2, windows).

        As if windows were not dilated.
        """
        window = self.window
        found = [np.array([[0], [1]])] * (3 - window.ndim)
        for axis in range(window.ndim):
            starts = np.arange(window.output[axis]) * window.stride[axis] - window.padding[axis][0]
            ends = starts + window.kernel[axis]
            found.append(np.clip(np.stack([starts, ends]), 0, window.size[axis]))
        depths, rows, columns = found
        return depths, rows, columns

    def counts(
        self, include_pad: bool, divisor: int | None = None
    ) -> tuple[npt.NDArray[np.int64], ...]:
        """Return for three axes how many taps of each window count, at least 1.

        With `include_pad` those of the padded input, else those of the input. Of an axis all of
        whose windows have as many, it is one number. A `divisor` is what counts instead.
        """
        if divisor is not None:
            one = np.ones(1, np.int64)
            return one * divisor, one, one
        window = self.window
        found = [np.ones(1, np.int64)] * (3 - window.ndim)
        for axis in range(window.ndim):
            outputs = np.array([0, window.output[axis] - 1])
            ends = self._counted(axis, outputs, include_pad)
            # Windows at the ends have the least.
            if window.output[axis] > 1 and not np.all(ends == window.kernel[axis]):
                ends = self._counted(axis, np.arange(window.output[axis]), include_pad)
                found.append(ends)
            else:
                found.append(ends[:1])
        return tuple(found)

    def _counted(
        self, axis: int, outputs: npt.NDArray[np.int64], include_pad: bool
    ) -> npt.NDArray[np.int64]:
        """Return how many taps of some outputs' windows count, along one axis."""
        window = self.window
        low, k, d = window.padding[axis][0], window.kernel[axis], window.dilation[axis]
        start = outputs * window.stride[axis] - low
        begin, end = 0, window.size[axis]
        if include_pad:
            begin, end = -low, end + self.high[axis]
        # The taps before `begin`, and those before `end`, rounded up.
        before, until = (np.clip(-((start - edge) // d), 0, k) for edge in (begin, end))
        counts: npt.NDArray[np.int64] = np.maximum(until - before, 1).astype(np.int64)
        return counts


def pool_axes(ndim: int, kernel_size: Any, stride: Any) -> tuple[Ints, Ints]:
    """Return a pool's kernel and stride, which is the kernel where none is given."""
    kernel = arguments.per_axis(kernel_size, "kernel_size", ndim)
    return kernel, kernel if stride is None else arguments.per_axis(stride, "stride", ndim)


def divisor(options: PoolOptions) -> tuple[bool, int | None]:
    """Return whether padding counts, and what a mean is divided by instead, checked."""
    include_pad = arguments.flag(options.count_include_pad, "count_include_pad")
    if options.divisor_override is None:
        return include_pad, None
    found = arguments.integer(
        options.divisor_override, "divisor_override", -arguments.LARGEST, arguments.LARGEST
    )
    if found == 0:
        raise ValueError("divisor_override must be an int other than 0, got 0")
    return include_pad, found


def check_indices(shape: Ints, dtype: np.dtype[Any], expected: Ints, name: str) -> None:
    """Raise unless indices of maxima are ints, of the shape of the argument `name`."""
    if dtype.kind not in "iu" or (dtype.kind == "u" and dtype.itemsize == 8):
        raise TypeError(f"indices must be of an integer dtype that int64 holds, got {dtype}")
    if shape != expected:
        raise ValueError(f"indices must have the shape of {name}, {expected}, got {shape}")


@dataclass(frozen=True)
class ScatterGeometry:
    """A max pool's backward pass, without its arrays.

    Parameters
    ----------
    input_shape : tuple of int
        Of the pool's input, as the caller wrote it.
    size : tuple of int
        Its spatial axes.
    channels_last, batched : bool
        The layout, and whether there is a batch axis.
    """

    input_shape: Ints
    size: Ints
    channels_last: bool
    batched: bool

    @classmethod
    def parse(cls, options: ScatterOptions, grad_shape: Ints) -> "ScatterGeometry":
        """Check a caller's options; the gradient must have the input's batch and channels."""
        ndim, shape = options.ndim, arguments.shape(options.input_shape, "input_shape")
        last = arguments.is_channels_last(options.layout)
        batched, batch, channels, size = split_shape(shape, ndim, last, "input_shape")
        if split_shape(grad_shape, ndim, last, "grad_output")[:3] != (batched, batch, channels):
            raise ValueError(
                f"grad_output must have the batch ({batch}) and channels ({channels}) of "
                f"input_shape {shape}, got shape {grad_shape}"
            )
        if 0 in size and 0 not in grad_shape:
            raise ValueError(f"input_shape must have no empty spatial axis, got {shape}")
        return cls(shape, size, last, batched)


def unpooled_size(options: UnpoolOptions, size: Ints, *, channels_last: bool) -> Ints:
    """Return the spatial size of what was pooled to `size`."""
    padding, ones = options.padding, (1,) * len(size)
    kernel, strides = pool_axes(len(size), options.kernel_size, options.stride)
    pairs, extra = arguments.transposed_padding(padding, kernel, strides, ones)
    default = tuple(
        transposed_size(*axis)
        for axis in zip(
            size, *zip(*pairs, strict=True), kernel, strides, ones, extra, strict=True
        )
    )  # fmt: skip
    wanted = default
    if options.output_size is not None:
        wanted = arguments.output_size(options.output_size, len(size), channels_last)
        if not all(abs(n - m) < s for n, m, s in zip(wanted, default, strides, strict=True)):
            least = tuple(n - s + 1 for n, s in zip(default, strides, strict=True))
            most = tuple(n + s - 1 for n, s in zip(default, strides, strict=True))
            raise ValueError(
                f"output_size must be from {least} to {most} along the spatial axes, "
                f"got {options.output_size!r}"
            )
    for axis, (n, m) in enumerate(zip(size, wanted, strict=True)):
        if m < 1:
            why = f"padding={padding!r} leaves nothing of it" if n else "there is no input"
            raise ValueError(
                f"the result would be empty along spatial axis {axis}, where x has {n}: {why}"
            )
    return wanted


@dataclass(frozen=True)
class AdaptiveGeometry:
    """An adaptive pooling problem, without its arrays.

    Window i of m over n elements begins at ``i * n // m`` and ends before the next whole element
    behind ``(i + 1) * n / m``, as PyTorch's do.

    Parameters
    ----------
    batch, channels : int
        Sizes.
    size, output : tuple of int
        The spatial axes of the input, and of the result.
    channels_last, batched : bool
        The layout, and whether the caller's arrays have a batch axis.
    """

    batch: int
    channels: int
    size: Ints
    output: Ints
    channels_last: bool
    batched: bool

    @classmethod
    def parse(cls, options: AdaptiveOptions, shape: Ints, name: str = "x") -> "AdaptiveGeometry":
        """Check a caller's options and return the problem they describe."""
        last = arguments.is_channels_last(options.layout)
        batched, batch, channels, size = split_shape(shape, options.ndim, last, name)
        if 0 in size:
            raise ValueError(f"{name} must have no empty spatial axis, got shape {shape}")
        output = _output(options, size)
        return cls(batch, channels, size, output, last, batched)

    @classmethod
    def of_gradient(
        cls, options: AdaptiveOptions, input_shape: Ints, grad_shape: Ints
    ) -> "AdaptiveGeometry":
        """Return the problem whose results have a gradient of this shape."""
        last, ndim = arguments.is_channels_last(options.layout), options.ndim
        found = split_shape(grad_shape, ndim, last, "grad_output")
        if 0 in found[3]:
            raise ValueError(f"grad_output must have no empty spatial axis, got shape {grad_shape}")
        geometry = cls.parse(options._replace(output_size=found[3]), input_shape, "input_shape")
        arguments.check_grad(grad_shape, geometry.output_shape)
        return geometry

    @property
    def input_shape(self) -> Ints:
        """The shape of the caller's input."""
        return join_shape(self.batched, self.batch, self.channels, self.size, self.channels_last)

    @property
    def output_shape(self) -> Ints:
        """The shape of the caller's result."""
        return join_shape(self.batched, self.batch, self.channels, self.output, self.channels_last)

    def bounds(self) -> tuple[Array, Array, Array]:
        """Return for three axes where each window begins, and ends, (2, windows)."""
        depths, rows, columns = (
            _bounds(n, m)
            for n, m in zip(three_axes(self.size, 1), three_axes(self.output, 1), strict=True)
        )
        return depths, rows, columns

    def as_pool(self) -> PoolOptions | None:
        """Return the plain pool that has the same windows, if there is one."""
        if any(n % m for n, m in zip(self.size, self.output, strict=True)):
            return None
        kernel = tuple(n // m for n, m in zip(self.size, self.output, strict=True))
        layout = "channels_last" if self.channels_last else "channels_first"
        return PoolOptions(len(self.size), kernel, layout=layout)


def _bounds(size: int, output: int) -> Array:
    windows = np.arange(output, dtype=np.int64)
    return np.stack([windows * size // output, -(-(windows + 1) * size // output)])


def _output(options: AdaptiveOptions, size: Ints) -> Ints:
    """Return the windows along each axis; None stands for as many as there are elements."""
    given, ndim = options.output_size, options.ndim
    if given is None or not isinstance(given, tuple | list):
        given = (given,) * ndim
    if len(given) != ndim:
        raise ValueError(
            f"output_size must be an int or one int (or None) for each of {ndim} spatial axes, "
            f"got {options.output_size!r}"
        )
    return tuple(
        n if value is None else arguments.integer(value, "output_size", 1, arguments.LARGEST)
        for n, value in zip(size, given, strict=True)
    )
