"""Very large images, a strip of the result at a time, so that no single launch takes long.

Python sees Ctrl-C between launches. The cut depends on the geometry and the dtype alone.
"""

from dataclasses import replace
from typing import Any

from numbaconv import call, cuts
from numbaconv.arrays import Array, as_batch
from numbaconv.call import Call
from numbaconv.cuts import Cut, Sliding
from numbaconv.geometry import ConvGeometry

# Rows of results that every size of winograd's tiles divides.
_ALIGNED = 8


def run(
    found: Call,
    x: Array,
    weight: Array,
    bias: Array | None,
    out: Any,
    parallel: bool,
    inputs: tuple[Any, ...],
) -> Array:
    """Return the convolution of `x`; the arguments are those of `numbaconv.call.run`."""
    result, target = call.targets(out, found.shape, found.dtype, inputs)
    geometry = found.geometry
    source, images = as_batch(x, geometry.batched), as_batch(target, geometry.batched)
    last = geometry.channels_last
    axis = 1 if last else 2
    pieces: dict[ConvGeometry, tuple[Call, Any]] = {}
    for n in range(len(source)):
        image = source[n : n + 1]
        if geometry.window.padding_mode != "zeros":
            image = call.pad(geometry, image, found.work)
        for cut in _strips(found):
            small = _geometry(geometry, cut)
            if small not in pieces:
                piece = _chosen(small, found)
                pieces[small] = piece, call.pack(piece, weight, bias, parallel, keep=False)
            piece, packed = pieces[small]
            rows: list[Any] = [slice(None)] * image.ndim
            rows[axis] = slice(cut.first, cut.last)
            written = [slice(n, n + 1), *rows[1:]]
            written[axis] = slice(cut.start, cut.stop)
            part = images[tuple(written)]
            call.run_parts(piece, image[tuple(rows)], packed, part, parallel)
    for _, packed in pieces.values():
        packed.release()
    if target is not result:
        result[...] = target
    return result if out is None else out


def _strips(found: Call) -> list[Cut]:
    """Return the strips along the first spatial axis."""
    geometry = call.without_mode(found.geometry)
    window = geometry.window
    rows = window.output[0]
    image = geometry.flops // max(geometry.batch, 1)
    each = max(1, rows * call.strip_flops(found.work) // image)
    if each > _ALIGNED:  # winograd's tiles begin where they would in the whole: the same bits
        each -= each % _ALIGNED
    low, high = window.padding[0]
    sliding = Sliding(
        window.size[0], window.kernel[0], window.stride[0], window.dilation[0], low, high, rows
    )
    return [cuts.reading(sliding, a, min(a + each, rows)) for a in range(0, rows, each)]


def _geometry(whole: ConvGeometry, cut: Cut) -> ConvGeometry:
    """Return the problem of one image's strip, over an input that holds its padding."""
    geometry = call.without_mode(whole)
    window = geometry.window
    return replace(
        geometry, batch=1, batched=True,
        window=replace(
            window, size=(cut.last - cut.first, *window.size[1:]),
            padding=((cut.low, cut.high), *window.padding[1:]),
        ),
    )  # fmt: skip


def _chosen(geometry: ConvGeometry, found: Call) -> Call:
    """Return how a strip is computed: as the whole, unless it is too small for that."""
    try:
        return call.choose(geometry, found.dtype, found.algorithm)
    except ValueError:
        return call.choose(geometry, found.dtype, "exact")
