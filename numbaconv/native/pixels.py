"""A register tile of pixels by output channels, whose pixels lie anywhere at equal distances.

Vectors lie along the output channels, and every element of a patch is broadcast from where it
lies: so strides of the convolution cost nothing, and neighbouring pixels may be of a row or of a
column. Patches are read in *runs*, elements at equal distances in the input and in the weights; a
list says where runs begin, and what a tile does not need is not in its list.
"""

from typing import Any

import numpy as np

from numbaconv.kernels.long_sums import LONGEST, PART
from numbaconv.native import isa, link
from numbaconv.native.emit import Emitter, dtype_code
from numbaconv.native.tile import in_parts

# Elements of a run ahead of which weights are fetched.
_AHEAD = 12
# Pixels that share a base address: x86 adds an index once or twice for nothing.
_OF_BASE = 3


def tile(pixels: int, vectors: int, dtype: np.dtype[Any], *, terms: int, run: int) -> int:
    """Return the address of the tile of so many pixels and vectors of output channels.

    It is called with (runs, length, x, x_step, pixel_step, weight, weight_step, list, out,
    out_step, bias, channels, ahead). Run i reads ``x + list[2 * i]`` and ``weight + list[2 * i +
    1]``, `length` elements from there on at the steps, for each pixel `pixel_step` further; weights
    and biases are whole vectors for each. Only `channels` of a pixel are written, and pixels of the
    result are `out_step` apart. Distances are in bytes. `ahead` is how many tiles ahead pixels are
    fetched, 1 or 0: the next tile's lie behind this one's where the input itself is read.

    `terms` is the most that are summed, in runs of at most `run`.
    """
    lanes, code = isa.host().lanes(dtype), dtype_code(dtype)
    long = terms > LONGEST and dtype.kind == "f"
    return link.address(_emit, pixels, vectors, lanes, code, max(1, PART // run) if long else 0)


def compile_tiles(dtype: np.dtype[Any]) -> None:
    """Compile the tiles of all sizes: which ones a problem takes depends on the width it gives."""
    host = isa.host()
    for most, vectors in (host.tile, (host.tile[0], 1), host.narrow):
        for pixels in range(1, most + 1):
            tile(pixels, vectors, dtype, terms=1, run=1)


@link.native(13)
def _emit(
    b: Any, values: list[Any], pixels: int, vectors: int, lanes: int, code: int, part: int
) -> None:
    (runs, length, x, x_step, pixel_step, weight, weight_step, places, out, out_step, bias,
     channels, ahead) = values  # fmt: skip
    e = Emitter(b, code, lanes)
    step = lanes * e.size
    twice = b.mul(pixel_step, e.i64(2))
    within = (e.i64(0), pixel_step, twice)
    apart = b.mul(pixel_step, e.i64(_OF_BASE))
    for m in range(pixels):
        for v in range(vectors):
            e.prefetch(e.at(e.at(out, b.mul(out_step, e.i64(m))), v * step), write=True)
    biases = [e.load(e.at(bias, v * step)) for v in range(vectors)] * pixels

    # With each element of a run a line of the next tile's.
    following_tile = b.mul(ahead, b.mul(pixel_step, e.i64(pixels)))
    following_step = b.mul(ahead, b.mul(x_step, e.i64(pixels)))

    def advance(bases: list[Any], following: Any, weights: Any, sums: list[Any]) -> list[Any]:
        """Return the sums after one element of a run."""
        e.prefetch(following)
        row = [e.load(e.at(weights, v * step)) for v in range(vectors)]
        ahead = b.add(weights, b.mul(weight_step, e.i64(_AHEAD)))
        for v in range(vectors):
            e.prefetch(e.at(ahead, v * step))
        new = []
        for m in range(pixels):
            factor = e.splat(b.add(bases[m // _OF_BASE], within[m % _OF_BASE]))
            new += [e.multiply_add(factor, row[v], sums[m * vectors + v]) for v in range(vectors)]
        return new

    def whole_run(bases: list[Any], weights: Any, sums: list[Any]) -> list[Any]:
        """Return the sums after a run."""
        following = b.add(bases[0], following_tile)
        with e.loop(length, [weights, following, *bases, *sums], "elements") as loop:
            weights, following, *rest = loop.values
            bases, sums = rest[: len(bases)], rest[len(bases) :]
            sums = advance(bases, following, weights, sums)
            bases = [b.add(base, x_step) for base in bases]
            following = b.add(following, following_step)
            loop.next([b.add(weights, weight_step), following, *bases, *sums])
        return list(loop.values[2 + len(bases) :])

    def rounds(count: Any, places: Any, sums: list[Any]) -> list[Any]:
        """Return (places, *sums) after so many runs."""
        with e.loop(count, [places, *sums], "runs") as loop:
            places, *sums = loop.values
            bases = [e.at(x, e.load_int(places))]
            while len(bases) * _OF_BASE < pixels:
                bases.append(b.add(bases[-1], apart))
            weights = e.at(weight, e.load_int(e.at(places, 8)))
            loop.next([e.at(places, 16), *whole_run(bases, weights, sums)])
        return list(loop.values)

    if part:
        sums = in_parts(e, runs, part, rounds, [places], biases)
    else:
        sums = rounds(runs, places, biases)[1:]

    masks = [e.mask(0, b.sub(channels, e.i64(v * lanes))) for v in range(vectors)]
    whole, edge, done = (b.append_basic_block(name) for name in ("whole", "edge", "done"))
    b.cbranch(b.icmp_signed(">=", channels, e.i64(vectors * lanes)), whole, edge)
    for block in (whole, edge):
        b.position_at_end(block)
        at = out
        for m in range(pixels):
            for v in range(vectors):
                value = sums[m * vectors + v]
                if block is whole:
                    e.store(value, e.at(at, v * step))
                else:
                    e.store_masked(value, e.at(at, v * step), masks[v])
            at = b.add(at, out_step)
        b.branch(done)
    b.position_at_end(done)
