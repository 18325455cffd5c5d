"""Weights in and out of the form that tiles multiply: (group, element of a patch, output)."""

from typing import Any

from numba import cuda

from numbaconv.cuda import operands
from numbaconv.cuda.launch import factory
from numbaconv.cuda.wide import wider


@factory
def pack(index: Any, work: Any, conjugated: bool) -> Any:
    """Return the kernel that writes weights as ``(group, K, M)``.

    Its ints: M, K, taps along each axis, their number in all, and where the weights are: base, the
    strides of groups, outputs, channels and taps.
    """
    at = operands.functions(index, 0)
    quotient, split = at.quotient, at.split

    def pack_weights(weight: Any, packed: Any, p: Any) -> None:
        i = index(cuda.grid(1))
        outputs, patch, kd, kh, kw, count, base, s_group, s_out, s_channel, s_d, s_h, s_w = p
        if i < count:
            rest = quotient(i, outputs)
            m = index(i - rest * outputs)
            group = quotient(rest, patch)
            c, d, h, w = split(index(rest - group * patch), kd, kh, kw)
            value = work(
                weight[
                    index(
                        base + group * s_group + m * s_out + c * s_channel
                        + d * s_d + h * s_h + w * s_w
                    )
                ]
            )  # fmt: skip
            if conjugated:
                value = value.conjugate()
            packed[i] = value

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
