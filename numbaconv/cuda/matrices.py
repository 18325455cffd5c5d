"""Column matrices in device memory: which kernel writes one, and which folds it."""

import math
from dataclasses import dataclass
from typing import Any

from numbaconv.cuda import copying, launch, parameters, patches
from numbaconv.cuda.places import Images
from numbaconv.problem.formulas import PADDING_MODES
from numbaconv.problem.geometry import ConvGeometry, three_axes

# Loops over more taps than this are not unrolled.
_UNROLLED = 49


@dataclass(frozen=True)
class Matrix:
    """A batch of matrices of patches.

    Parameters
    ----------
    data : device array
        Flat memory.
    base, image, element, position : int
        The first element, and the strides of images, elements of a patch and positions.
    """

    data: Any
    base: int
    image: int
    element: int
    position: int

    @classmethod
    def of_columns(cls, data: Any, length: int, positions: int) -> "Matrix":
        """Return the matrices ``(image, element, position)`` at the beginning of flat memory."""
        return cls(data, 0, length * positions, positions, 1)


def gather(geometry: ConvGeometry, x: Images, matrix: Matrix, kind: Any, major: bool) -> None:
    """Enqueue im2col of all channels; with `major`, the taps of a channel stand together."""
    window = geometry.window
    masked = any(map(any, window.padding))
    mode = PADDING_MODES[window.padding_mode] if masked else 0
    if mode and copying.can_pad(geometry):
        geometry, x = copying.pad(geometry, x)
        window, masked, mode = geometry.window, False, 0
    taps, output = three_axes(window.kernel, 1), three_axes(window.output, 1)
    channels, positions = geometry.in_channels, window.positions
    elements = channels * window.taps
    by_positions = matrix.position == 1 or positions == 1 or matrix.element != 1
    along_positions = x.channel != 1 or channels == 1
    turned = by_positions != along_positions and positions > 1 and elements > 1 and not mode
    unrolled = by_positions and window.taps <= _UNROLLED and not mode
    runs = -(-positions // patches.RUN)
    if turned:
        side = patches.SIDE
        blocks = geometry.batch * -(-positions // side) * -(-elements // side)
        count, threads = blocks * patches.THREADS, patches.THREADS
    elif unrolled:
        count = geometry.batch * channels * positions
        blocks, threads = launch.grid(-(-count // patches.RUN))
    else:
        count = geometry.batch * runs * elements
        blocks, threads = launch.grid(count)
    strides, dilations = three_axes(window.stride, 1), three_axes(window.dilation, 1)
    low = three_axes(tuple(p for p, _ in window.padding), 0)
    corner = x.base - sum(n * s for n, s in zip(low, x.steps, strict=True))
    ints = (
        geometry.batch, channels, positions, elements, count,
        corner, x.image, x.channel, *x.steps, *x.size, *output, *taps, *strides, *dilations, *low,
        matrix.base, matrix.image, matrix.element, matrix.position,
    )  # fmt: skip
    index = _index_of(geometry, x, matrix, ints)
    divided = (channels, *output, *taps, elements, runs)
    arguments = (x.data, matrix.data, _with_divisors(ints, divided, index))
    if turned:
        kernel = patches.turned(index, kind, major, along_positions)
    elif unrolled:
        kernel = patches.columns(index, kind, taps, masked, major)
    else:
        kernel = patches.rows(index, kind, mode, major)
    kernel[blocks, threads, x.stream](*arguments)


def fold(
    geometry: ConvGeometry, matrix: Matrix, out: Images, bias: Any, work: Any, major: bool
) -> None:
    """Enqueue col2im, the adjoint of `gather` with padding of zeros; and a bias, if there is one."""
    window = geometry.window
    taps, output = three_axes(window.kernel, 1), three_axes(window.output, 1)
    strides, dilations = three_axes(window.stride, 1), three_axes(window.dilation, 1)
    low = three_axes(tuple(p for p, _ in window.padding), 0)
    channels = geometry.in_channels
    count = geometry.batch * channels * math.prod(out.size)
    ints = (
        channels, *out.size, count, out.base, out.image, out.channel, *out.steps,
        *output, *taps, *strides, *dilations, *low,
        matrix.base, matrix.image, matrix.element, matrix.position, int(bias is not None),
    )  # fmt: skip
    index = _index_of(geometry, out, matrix, ints)
    fast, result = out.channel == 1 and channels > 1, out.dtype.type
    if window.taps <= _UNROLLED:
        kernel = patches.fold(index, work, result, taps, strides, dilations, major, fast)
        blocks, threads = launch.grid(-(-count // patches.RUN))
    else:
        kernel = patches.fold_any(index, work, result, major, fast)
        blocks, threads = launch.grid(count)
    kernel[blocks, threads, out.stream](
        matrix.data, matrix.data if bias is None else bias, out.data,
        _with_divisors(ints, (channels, *out.size), index),
    )  # fmt: skip


def _with_divisors(ints: tuple[int, ...], divisors: tuple[int, ...], index: Any) -> Any:
    """Return ints and prepared divisors as a kernel takes them."""
    prepared = (part for n in divisors for part in parameters.divisor(n, index))
    return tuple(map(index, (*ints, *prepared)))


def _index_of(geometry: ConvGeometry, image: Images, matrix: Matrix, ints: Any) -> Any:
    """Return the type that holds every index of an image and its matrix."""
    window = geometry.window
    reach = (
        ((n + k) * s + size + k * d + low) * step
        for n, k, s, size, d, low, step in zip(
            three_axes(window.output, 1), three_axes(window.kernel, 1),
            three_axes(window.stride, 1), image.size, three_axes(window.dilation, 1),
            three_axes(tuple(p for p, _ in window.padding), 0), (*map(_nonzero, image.steps),),
            strict=True,
        )
    )  # fmt: skip
    length, room = geometry.in_channels * window.taps, 1024 * patches.RUN
    return parameters.index_type(
        *ints, *reach, image.data.size, matrix.data.size, geometry.batch * image.image,
        geometry.in_channels * image.channel, geometry.batch * matrix.image,
        length * matrix.element, window.positions * matrix.position, ints[4] + room,
    )  # fmt: skip


def _nonzero(step: int) -> int:
    return step or 1
