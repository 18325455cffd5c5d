"""The reference route: a column matrix in memory, then one product.

cuBLAS multiplies where CuPy is installed (it ships or finds cuBLAS, and calls it); else our tiles.
"""

import math
from dataclasses import replace
from importlib.util import find_spec
from typing import Any

import numpy as np

from numbaconv.cuda import copying, launch, matrices, product, recording
from numbaconv.cuda.matrices import Matrix
from numbaconv.cuda.places import Images, Weights
from numbaconv.cuda.tiles import MOST
from numbaconv.problem.geometry import ConvGeometry, Window

# Bytes of the column matrices that are made at a time.
_MOST_BYTES = 1 << 28


def forward(
    geometry: ConvGeometry,
    x: Images,
    kernels: Weights,
    bias: Any,
    out: Images,
    work: Any,
    conjugated: bool,
) -> None:
    """Enqueue the convolution, some images at a time."""
    parts = chunks(geometry, work)
    planned = parts[0][1]
    by_cublas = has_cublas(work, geometry.patch_size)
    packed = None
    for first, images in parts:
        cols = gather(geometry, x.part(first), images, work)
        target = out.part(first)
        matrix = pointwise(geometry, images)
        source = flat(cols, matrix.in_channels, geometry.window.output, work, out.stream)
        if packed is None:
            cut = product.cut(matrix, source, kernels, out, work, planned)
            packed = product.pack(cut, matrix, source, kernels, work, conjugated, tight=by_cublas)
        if by_cublas:
            _with_cublas(geometry, images, packed.data, cols, bias, target, work)
        else:
            product.multiply_packed(cut, matrix, source, packed, bias, target, work)


def chunks(geometry: ConvGeometry, work: Any) -> list[tuple[int, int]]:
    """Return the first image and the number of images of each column matrix."""
    length = geometry.in_channels * geometry.window.taps
    image_bytes = length * geometry.window.positions * np.dtype(work).itemsize
    step = max(1, _MOST_BYTES // max(image_bytes, 1))
    return [(n, min(step, geometry.batch - n)) for n in range(0, geometry.batch, step)]


def pointwise(geometry: ConvGeometry, images: int) -> ConvGeometry:
    """Return the product by a column matrix as the convolution that it is, of a kernel of 1."""
    size = geometry.window.output
    ones = (1,) * len(size)
    window = Window(size, ones, ones, ones, ((0, 0),) * len(size))
    length = geometry.in_channels * geometry.window.taps
    return ConvGeometry(images, length, geometry.out_channels, geometry.groups, window)


def flat(data: Any, channels: int, size: tuple[int, ...], work: Any, stream: Any) -> Images:
    """Return contiguous memory as images ``(image, channel, *size)``."""
    depth, height, width = (1,) * (3 - len(size)) + size
    positions = depth * height * width
    return Images(
        data, np.dtype(work), 0, channels * positions, positions, (height * width, width, 1),
        (depth, height, width), stream,
    )  # fmt: skip


def gather(geometry: ConvGeometry, x: Images, images: int, work: Any) -> Any:
    """Return the column matrices of some images, ``(image, patch, position)``, borrowed."""
    length, positions = geometry.in_channels * geometry.window.taps, geometry.window.positions
    cols = launch.borrow("columns", images * length * positions, np.dtype(work), x.stream)
    matrix = Matrix.of_columns(cols, length, positions)
    matrices.gather(replace(geometry, batch=images), x, matrix, work, True)
    return cols


def has_cublas(work: Any, summed: int) -> bool:
    """Return whether cuBLAS multiplies matrices of this type here, in sums of so many terms.

    The order in which it adds is its own, so long sums are left to our tiles.
    """
    return summed <= MOST and np.dtype(work).kind in "fc" and find_spec("cupy") is not None


def _with_cublas(
    geometry: ConvGeometry, images: int, packed: Any, cols: Any, bias: Any, out: Images, work: Any
) -> None:
    import cupy

    if recording.active is not None:
        recording.active.refuse()  # what CuPy enqueues is its own affair
    groups, summed, outputs = geometry.groups, geometry.patch_size, geometry.out_channels
    rows, positions = outputs // groups, geometry.window.positions
    stream, kind = out.stream, np.dtype(work)
    # Straight into the result, where its memory is in the product's order.
    source = flat(out.data, outputs, geometry.window.output, work, stream)
    direct = (out.dtype, out.channel, out.steps) == (kind, source.channel, source.steps) and (
        out.image == source.image or images == 1
    )
    if direct:
        made = out.data[out.base :]
    else:
        made = launch.borrow("products", images * outputs * positions, kind, stream)

    def shaped(memory: Any, *shape: int) -> Any:
        # Its interface names no stream, of which CuPy would wait for the end.
        return cupy.asarray(memory)[: math.prod(shape)].reshape(shape)

    with _cupy_stream(cupy, int(stream)):
        kernels = shaped(packed, groups, summed, rows).transpose(0, 2, 1)
        products = shaped(made, images, groups, rows, positions)
        cupy.matmul(kernels, shaped(cols, images, groups, summed, positions), out=products)
        if bias is not None:
            offsets = shaped(bias, outputs).astype(out.dtype).astype(kind)
            products += offsets.reshape(groups, rows, 1)
    if not direct:
        source = flat(made, outputs, geometry.window.output, work, stream)
        copying.copy(source, out, images, outputs)


def _cupy_stream(cupy: Any, pointer: int) -> Any:
    """Return a stream as CuPy knows it; CuPy 14 has another door for other libraries' streams."""
    if not pointer:
        return cupy.cuda.Stream.null
    if hasattr(cupy.cuda.Stream, "from_external"):
        return cupy.cuda.Stream.from_external(_Stream(pointer))
    return cupy.cuda.ExternalStream(pointer)


class _Stream:
    """A stream by the protocol of NVIDIA's libraries."""

    def __init__(self, pointer: int) -> None:
        self._pointer = pointer

    def __cuda_stream__(self) -> tuple[int, int]:
        return 0, self._pointer
