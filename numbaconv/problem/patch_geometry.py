"""Matrices of patches: what im2col makes of an input, and what col2im takes."""

from dataclasses import dataclass
from typing import Any

from numbaconv.problem import arguments
from numbaconv.problem.geometry import Ints, Window, join_shape, split_shape
from numbaconv.problem.options import PatchOptions

# Beyond this no size of an axis is addressed.
_LARGEST_SIZE = 2**62


@dataclass(frozen=True)
class PatchGeometry:
    """An image and the matrix of its patches, without their arrays.

    Parameters
    ----------
    batch, channels : int
        Sizes.
    window : Window
        How the patches lie in the image.
    channels_last : bool
        The layout of the image, and the order in a patch.
    as_rows : bool
        Whether patches are rows.
    batched : bool
        Whether the caller's arrays have a batch axis.
    """

    batch: int
    channels: int
    window: Window
    channels_last: bool
    as_rows: bool
    batched: bool

    @classmethod
    def parse(cls, options: PatchOptions, x_shape: Ints) -> "PatchGeometry":
        """Check what a caller asks im2col for."""
        channels_last, as_rows = _forms(options)
        ndim = _kernel_ndim(options.kernel_size, len(x_shape))
        batched, batch, channels, size = split_shape(x_shape, ndim, channels_last)
        kernel = arguments.per_axis(options.kernel_size, "kernel_size", ndim)
        window = Window.parse(options, size, kernel)
        return cls(batch, channels, window, channels_last, as_rows, batched)

    @classmethod
    def parse_folded(cls, options: PatchOptions, cols_shape: Ints) -> "PatchGeometry":
        """Check what a caller asks col2im for."""
        channels_last, as_rows = _forms(options)
        ndim = _output_ndim(options.output_size, options.kernel_size)
        size = arguments.per_axis(options.output_size, "output_size", ndim, 0, _LARGEST_SIZE)
        kernel = arguments.per_axis(options.kernel_size, "kernel_size", ndim)
        window = Window.parse(options, size, kernel, name="output_size")
        batched, batch, channels = _split_patches(cols_shape, window, as_rows)
        return cls(batch, channels, window, channels_last, as_rows, batched)

    @property
    def image_shape(self) -> Ints:
        """The shape of the caller's image."""
        return join_shape(
            self.batched, self.batch, self.channels, self.window.size, self.channels_last
        )

    @property
    def matrix_shape(self) -> Ints:
        """The shape of the caller's matrix."""
        matrix = (self.channels * self.window.taps, self.window.positions)
        shape = (self.batch, *(matrix[::-1] if self.as_rows else matrix))
        return shape if self.batched else shape[1:]


def _forms(options: PatchOptions) -> tuple[bool, bool]:
    """Return whether channels are last, and whether patches are rows."""
    last = arguments.is_channels_last(options.layout)
    patches = arguments.choice(options.patches, "patches", arguments.PATCHES)
    return last, patches == "rows"


def _kernel_ndim(kernel_size: Any, axes: int) -> int:
    """Return the number of spatial axes from `kernel_size`, or else from a batched `x`."""
    if arguments.is_sequence(kernel_size):
        ndim = len(kernel_size)
        if not 1 <= ndim <= 3:
            raise ValueError(f"kernel_size must have 1 to 3 entries, got {kernel_size!r}")
        return ndim
    if axes not in (4, 5):
        raise ValueError(
            f"kernel_size as an int needs a batched x of 4 or 5 axes, got {axes}; "
            "pass a tuple with one entry per spatial axis"
        )
    return axes - 2


def _output_ndim(output_size: Any, kernel_size: Any) -> int:
    """Return the number of spatial axes of a result of `col2im`."""
    for value, name in ((output_size, "output_size"), (kernel_size, "kernel_size")):
        if arguments.is_sequence(value):
            if not 1 <= len(value) <= 3:
                raise ValueError(f"{name} must have 1 to 3 entries, got {value!r}")
            return len(value)
    return 2


def _split_patches(shape: tuple[int, ...], window: Window, as_rows: bool) -> tuple[bool, int, int]:
    """Return (batched, batch, channels) of a matrix of patches of this shape."""
    form = "(N, L, C * prod(kernel_size))" if as_rows else "(N, C * prod(kernel_size), L)"
    if len(shape) not in (2, 3):
        raise ValueError(f"cols must have 3 axes, {form}, or 2 without N, got shape {shape}")
    length, positions = shape[-2:][::-1] if as_rows else shape[-2:]
    if positions != window.positions:
        raise ValueError(
            f"cols must be {form} with L = {window.positions} = prod{window.output} patches, "
            f"got {positions} (shape {shape})"
        )
    if length % window.taps:
        raise ValueError(
            f"cols must be {form} with a multiple of prod(kernel_size) = {window.taps} elements "
            f"in a patch, got {length} (shape {shape})"
        )
    batched = len(shape) == 3
    return batched, shape[0] if batched else 1, length // window.taps
