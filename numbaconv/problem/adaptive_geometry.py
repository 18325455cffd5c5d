"""The windows of an adaptive pool: as many as are asked for, of one or two sizes along an axis."""

from dataclasses import dataclass

import numpy as np

from numbaconv.problem import arguments
from numbaconv.problem.arrays import Array
from numbaconv.problem.geometry import Ints, join_shape, split_shape, three_axes
from numbaconv.problem.options import AdaptiveOptions, PoolOptions


@dataclass(frozen=True)
class AdaptiveGeometry:
    """An adaptive pooling problem, without its arrays.

    Window i of m over n elements begins at ``i * n // m`` and ends before the next whole element
    behind ``(i + 1) * n / m``, as PyTorch's do. Of these n, each in turn is covered by the windows
    that this says of m over n: a sum over windows and its adjoint are of one form.

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

    @property
    def adjoint(self) -> "AdaptiveGeometry":
        """The problem whose windows are, for each input, the results that it is part of."""
        return AdaptiveGeometry(
            self.batch, self.channels, self.output, self.size, self.channels_last, self.batched
        )

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
