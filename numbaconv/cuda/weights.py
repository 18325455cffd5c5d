"""Weights in and out of the form that tiles multiply: (group, element of a patch, output)."""

from typing import Any

from numba import cuda

from numbaconv.cuda import operands
from numbaconv.cuda.launch import SIMULATED, factory
from numbaconv.cuda.tiles import wider

#: The side of the squares that `pack` turns, and the threads that turn one.
SIDE, THREADS = (8, 16) if SIMULATED else (32, 256)


@factory
def pack(index: Any, work: Any, conjugated: bool) -> Any:
    """Return the kernel that writes weights as ``(group, K, M)``, and the table of the patches.

    M and K are filled up with zeros to the pitch and to the length that are asked for. An entry of
    the table is how far an element of a patch lies from the patch's first, and the bits of its
    places along the kernel's axes (see `numbaconv.cuda.multiply`), the highest bit for none.

    Its ints: M, the pitch, K, its length; the weights' taps, base and the strides of groups,
    outputs, channels and taps; the taps that the table has (0 for an axis without bits) and the
    strides of channels and taps in the input.
    """
    at = operands.functions(index, 0)
    quotient, split = at.quotient, at.split
    one = index(1)
    none = index(one << index(8 * index(0).itemsize - 1))
    lines = THREADS // SIDE
    pitch_shared = SIDE + 1
    area = SIDE * pitch_shared

    def pack_weights(weight: Any, packed: Any, table: Any, p: Any) -> None:
        (
            outputs, pitch, patch, length, kd, kh, kw, base, s_group, s_out, s_channel, s_d, s_h,
            s_w, td, th, tw, bits_d, bits_h, bits_w, x_channel, x_d, x_h, x_w,
        ) = p  # fmt: skip
        square = cuda.shared.array(area, work)
        block, t = index(cuda.blockIdx.x), index(cuda.threadIdx.x)
        lane, line = index(t % index(SIDE)), index(t // index(SIDE))
        across = quotient(index(pitch + (SIDE - 1)), index(SIDE))
        down = quotient(index(length + (SIDE - 1)), index(SIDE))
        rest = quotient(block, across)
        m0 = index((block - rest * across) * SIDE)
        group = quotient(rest, down)
        k0 = index((rest - group * down) * SIDE)
        k = index(k0 + lane)
        inside = k < patch
        c, d, h, w = split(k, kd, kh, kw)
        first = index(base + group * s_group + c * s_channel + d * s_d + h * s_h + w * s_w)
        for i in range(line, SIDE, lines):
            value = work(0)
            if inside and m0 + i < outputs:
                value = work(weight[index(first + (m0 + i) * s_out)])
                if conjugated:
                    value = value.conjugate()
            square[lane * pitch_shared + i] = value
        if m0 == 0 and group == 0 and line == 0 and k < length:
            c, d, h, w = split(k, td, th, tw)
            bits = none
            if inside:
                bits = index(0)
                if bits_d > 0:
                    bits = index(bits | one << d)
                if bits_h > 0:
                    bits = index(bits | one << (bits_d + h))
                if bits_w > 0:
                    bits = index(bits | one << (bits_d + bits_h + w))
            offset = index(0)
            if inside:
                offset = index(c * x_channel + d * x_d + h * x_h + w * x_w)
            table[index(2 * k)] = offset
            table[index(2 * k + 1)] = bits
        cuda.syncthreads()
        for i in range(line, SIDE, lines):
            m = index(m0 + lane)
            if k0 + i < length and m < pitch:
                packed[index((group * length + k0 + i) * pitch + m)] = square[
                    i * pitch_shared + lane
                ]

    return pack_weights


@factory
def finish(index: Any, work: Any, result: Any) -> Any:
    """Return the kernel that adds the parts of weight gradients, and writes them to their place.

    The parts are ``(split, group, M, K)``. Its ints: the number of parts, then as `pack`'s.
    """
    at = operands.functions(index, 0)
    quotient, split = at.quotient, at.split
    wide = wider(work)

    def finish_weights(parts: Any, weight: Any, p: Any) -> None:
        i = index(cuda.grid(1))
        (
            splits,
            outputs,
            patch,
            kd,
            kh,
            kw,
            count,
            base,
            s_group,
            s_out,
            s_channel,
            s_d,
            s_h,
            s_w,
        ) = p
        if i < count:
            total = wide(parts[i])
            for part in range(1, splits):
                total = wide(total + wide(parts[index(part * count + i)]))
            rest = quotient(i, patch)
            group = quotient(rest, outputs)
            m = index(rest - group * outputs)
            c, d, h, w = split(index(i - rest * patch), kd, kh, kw)
            weight[
                index(
                    base + group * s_group + m * s_out + c * s_channel
                    + d * s_d + h * s_h + w * s_w
                )
            ] = result(work(total))  # fmt: skip

    return finish_weights


@factory
def finish_forward(index: Any, work: Any, result: Any) -> Any:
    """Return the kernel that adds the parts of a convolution, and its bias.

    The parts are ``(split, channel, position of the batch)``; the ints: their number, channels,
    positions, OD, OH, OW, the elements of a part, whether there is a bias, and the result's base
    and five strides.
    """
    at = operands.functions(index, 0)
    quotient, split = at.quotient, at.split
    wide = wider(work)

    def finish_outputs(parts: Any, bias: Any, out: Any, p: Any) -> None:
        i = index(cuda.grid(1))
        splits, positions, od, oh, ow, count, biased, base, s_n, s_c, s_d, s_h, s_w = p
        if i < count:
            total = wide(parts[i])
            for part in range(1, splits):
                total = wide(total + wide(parts[index(part * count + i)]))
            o = quotient(i, positions)
            n, d, h, w = split(index(i - o * positions), od, oh, ow)
            if biased != 0:
                total = wide(work(total) + work(result(bias[o])))
            out[index(base + n * s_n + o * s_c + d * s_d + h * s_h + w * s_w)] = result(work(total))

    return finish_outputs
