"""The reference route: a column matrix in memory, then one product.

cuBLAS multiplies where CuPy is installed (it ships or finds cuBLAS, and calls it); else our tiles.
"""

import math
from importlib.util import find_spec
from typing import Any

import numpy as np

from numbaconv.cuda import arrays, copying, launch, parameters, patches, product
from numbaconv.cuda.places import Images
from numbaconv.cuda.wide import MOST
from numbaconv.problem.geometry import ConvGeometry, Window

# Bytes of the column matrices that are made at a time.
_MOST_BYTES = 1 << 28


def forward(
    geometry: ConvGeometry, x: Images, packed: Any, bias: Any, out: Images, work: Any
) -> None:
    """Enqueue the convolution by packed weights, some images at a time."""
    parts = chunks(geometry, work)
    planned = parts[0][1]
    for first, images in parts:
        cols = gather(geometry, x.part(first), images, work)
        target = out.part(first)
        if has_cublas(work, geometry.patch_size):
            _with_cublas(geometry, images, packed, cols, bias, target, work)
        else:
            matrix = pointwise(geometry, images)
            source = flat(cols, matrix.in_channels, geometry.window.output, work, out.stream)
            product.multiply(matrix, source, packed, bias, target, work, planned)


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
    values = {
        **product.window_values(geometry), **x.as_input, **product.digits(0, (1, 1, 1)),
        "O_BASE": 0, "O_N": length * positions, "O_C": positions, "O_D": 0, "O_H": 0, "O_W": 1,
    }  # fmt: skip
    values["CHANNELS"] = geometry.in_channels
    launch_gather(values, product.mode_of(geometry), images, positions, x, cols, work, True, False)
    return cols


def launch_gather(
    values: dict[str, int],
    mode: int,
    images: int,
    positions: int,
    x: Images,
    cols: Any,
    work: Any,
    channel_major: bool,
    as_rows: bool,
) -> None:
    """Enqueue im2col; `values` has all but the sizes of the matrix."""
    taps = math.prod(values[f"K_{axis}"] for axis in "DHW")
    length = values["CHANNELS"] * taps
    if as_rows:
        count = images * -(-positions // patches.RUN) * length
    else:
        count = images * values["CHANNELS"] * positions
    index, p = parameters.pack(
        {**values, "M": positions, "N": count, "K": length, "SPLIT_K": 0, "BLOCKS": 0, "BIASED": 0},
        x.data.size, cols.size,
    )  # fmt: skip
    build = patches.im2col_rows if as_rows else patches.im2col_columns
    kernel = build(index, work, mode, channel_major)
    kernel[(*launch.grid(count), x.stream)](x.data, cols, p)


def has_cublas(work: Any, summed: int) -> bool:
    """Return whether cuBLAS multiplies matrices of this type here, in sums of so many terms.

    The order in which it adds is its own, so long sums are left to our tiles.
    """
    return summed <= MOST and np.dtype(work).kind in "fc" and find_spec("cupy") is not None


def _with_cublas(
    geometry: ConvGeometry, images: int, packed: Any, cols: Any, bias: Any, out: Images, work: Any
) -> None:
    import cupy

    groups, summed, outputs = geometry.groups, geometry.patch_size, geometry.out_channels
    rows, positions = outputs // groups, geometry.window.positions
    stream, kind = out.stream, np.dtype(work)
    made = launch.borrow("products", images * outputs * positions, kind, stream)

    def shaped(memory: Any, *shape: int) -> Any:
        # By an interface that names no stream, of which CuPy would wait for the end.
        return cupy.asarray(arrays.plain(memory))[: math.prod(shape)].reshape(shape)

    with _cupy_stream(cupy, int(stream)):
        kernels = shaped(packed, groups, summed, rows).transpose(0, 2, 1)
        products = shaped(made, images, groups, rows, positions)
        cupy.matmul(kernels, shaped(cols, images, groups, summed, positions), out=products)
        if bias is not None:
            offsets = shaped(bias, outputs).astype(out.dtype).astype(kind)
            products += offsets.reshape(groups, rows, 1)
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
