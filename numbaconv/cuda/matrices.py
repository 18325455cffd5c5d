"""Column matrices in device memory: which kernel writes one, and which folds it."""

import math
from dataclasses import dataclass
from typing import Any

from numbaconv.cuda import copying, folds, launch, operands, parameters, patches
from numbaconv.cuda.places import Images
from numbaconv.problem.formulas import PADDING_MODES
from numbaconv.problem.geometry import ConvGeometry, three_axes

# Cells of more elements than this are not unrolled.
_MOST_CELL = 16


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
    masked = window.is_padded
    mode = PADDING_MODES[window.padding_mode] if masked else 0
    if mode and copying.can_pad(geometry):
        geometry, x = copying.pad(geometry, x)
        window, masked, mode = geometry.window, False, 0
    if x.dtype == kind and _is_the_image(geometry, x, matrix):
        launch.copy(x.data, x.base, matrix.data, matrix.base, _count(geometry, x), x.stream)
        return
    taps, output = three_axes(window.kernel, 1), three_axes(window.output, 1)
    channels, positions = geometry.in_channels, window.positions
    elements = channels * window.taps
    by_positions = matrix.position == 1 or positions == 1 or matrix.element != 1
    along_positions = x.channel != 1 or channels == 1
    turned = by_positions != along_positions and positions > 1 and elements > 1 and not mode
    unrolled = by_positions and window.taps <= launch.MOST_UNROLLED and not mode
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
        kernel = patches.columns(index, kind, taps, operands.axes_of(output), masked, major)
    else:
        kernel = patches.rows(index, kind, mode, major)
    kernel[blocks, threads, x.stream](*arguments)


def fold(
    geometry: ConvGeometry, matrix: Matrix, out: Images, bias: Any, work: Any, major: bool
) -> None:
    """Enqueue col2im, the adjoint of `gather` with padding of zeros, and the bias, if any."""
    window = geometry.window
    if bias is None and matrix.data.dtype == out.dtype and _is_the_image(geometry, out, matrix):
        count = _count(geometry, out)
        launch.copy(matrix.data, matrix.base, out.data, out.base, count, out.stream)
        return
    taps, output = three_axes(window.kernel, 1), three_axes(window.output, 1)
    strides, dilations = three_axes(window.stride, 1), three_axes(window.dilation, 1)
    low = three_axes(tuple(p for p, _ in window.padding), 0)
    channels = geometry.in_channels
    in_cells = window.taps <= launch.MOST_UNROLLED and math.prod(strides) <= _MOST_CELL
    steps = strides if in_cells else (1, 1, 1)
    firsts = tuple(n // s for n, s in zip(low, steps, strict=True)) if in_cells else (0, 0, 0)
    cells = tuple(
        (n - 1 + p * in_cells) // s - first + 1
        for n, p, s, first in zip(out.size, low, steps, firsts, strict=True)
    )
    count = geometry.batch * channels * math.prod(cells)
    ints = (
        channels, *out.size, count, out.base, out.image, out.channel, *out.steps,
        *output, *taps, *strides, *dilations, *low,
        matrix.base, matrix.image, matrix.element, matrix.position, int(bias is not None),
        *cells, *firsts,
    )  # fmt: skip
    index = _index_of(geometry, out, matrix, ints)
    fast, result = out.channel == 1 and channels > 1, out.dtype.type
    if in_cells:
        kernel = folds.fold(
            index, work, result, taps, strides, dilations, operands.axes_of(cells), major, fast
        )
        blocks, threads = launch.grid(-(-count // folds.cells_of(strides)))
    else:
        kernel = folds.fold_any(index, work, result, major, fast)
        blocks, threads = launch.grid(count)
    kernel[blocks, threads, out.stream](
        matrix.data, matrix.data if bias is None else bias, out.data,
        _with_divisors(ints, (channels, *cells), index),
    )  # fmt: skip


def _is_the_image(geometry: ConvGeometry, image: Images, matrix: Matrix) -> bool:
    """Return whether a matrix has the elements of its images, in the order of their memory."""
    window = geometry.window
    if window.taps > 1 or max(window.stride) > 1 or window.is_padded:
        return False
    channels, positions = geometry.in_channels, window.positions
    axes = [
        (geometry.batch, image.image, matrix.image), (channels, image.channel, matrix.element),
    ]  # fmt: skip
    inner = positions
    for n, step in zip(image.size, image.steps, strict=True):
        inner //= max(n, 1)
        axes.append((n, step, inner * matrix.position))
    expected = 1
    for n, here, there in sorted((a for a in axes if a[0] > 1), key=lambda a: a[1]):
        if not here == there == expected:
            return False
        expected *= n
    return True


def _count(geometry: ConvGeometry, image: Images) -> int:
    """Return the elements of all images."""
    return geometry.batch * geometry.in_channels * math.prod(image.size)


def _with_divisors(ints: tuple[int, ...], divisors: tuple[int, ...], index: Any) -> Any:
    """Return ints and prepared divisors as a kernel takes them."""
    return tuple(map(index, (*ints, *parameters.divisors(divisors, index))))


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
