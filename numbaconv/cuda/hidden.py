"""What padding that nobody asked for must not do: meet weights that are not finite.

The small convolutions of a transposed one read zeros beyond the input where no window reaches a
result, and zero times infinity is NaN. Whether weights are finite is not known without waiting for
the device, so each NaN near the borders is formed again from the windows that exist.
"""

import math
from typing import Any

import numpy as np
from numba import cuda

from numbaconv.cuda import operands
from numbaconv.cuda.launch import factory
from numbaconv.cuda.parameters import INDEX
from numbaconv.cuda.tiles import wider

M, N, CHANNELS = INDEX["M"], INDEX["N"], INDEX["CHANNELS"]
BASE, S_N, S_C = INDEX["BASE"], INDEX["S_N"], INDEX["S_C"]
S_D, S_H, S_W = INDEX["S_D"], INDEX["S_H"], INDEX["S_W"]
D, H, W = INDEX["D"], INDEX["H"], INDEX["W"]
O_BASE, O_N, O_C = INDEX["O_BASE"], INDEX["O_N"], INDEX["O_C"]
O_D, O_H, O_W = INDEX["O_D"], INDEX["O_H"], INDEX["O_W"]
OUT_D, OUT_H, OUT_W = INDEX["OUT_D"], INDEX["OUT_H"], INDEX["OUT_W"]
K_D, K_H, K_W = INDEX["K_D"], INDEX["K_H"], INDEX["K_W"]
STRIDE_D, STRIDE_H, STRIDE_W = INDEX["STRIDE_D"], INDEX["STRIDE_H"], INDEX["STRIDE_W"]
DIL_D, DIL_H, DIL_W = INDEX["DIL_D"], INDEX["DIL_H"], INDEX["DIL_W"]
LOW_D, LOW_H, LOW_W = INDEX["LOW_D"], INDEX["LOW_H"], INDEX["LOW_W"]
GROUPS, BIASED = INDEX["GROUPS"], INDEX["BIASED"]


@factory
def watch(index: Any, work: Any) -> Any:
    """Return the kernel that writes a stamp where a weight is not finite.

    Its ints: the weights' number, outputs and channels of a group, taps along each axis, base and
    the strides of groups, outputs, channels and taps; the stamp.
    """
    at = operands.functions(index, 0)
    quotient, split = at.quotient, at.split
    complex_too = np.dtype(work).kind == "c"

    def watch_weights(weight: Any, seen: Any, p: Any) -> None:
        i = index(cuda.grid(1))
        (
            count, outputs, channels, kd, kh, kw, base, s_group, s_out, s_channel, s_d, s_h, s_w,
            stamp,
        ) = p  # fmt: skip
        if i < count:
            rest, d, h, w = split(i, kd, kh, kw)
            upper = quotient(rest, channels)
            c = index(rest - upper * channels)
            group = quotient(upper, outputs)
            o = index(upper - group * outputs)
            value = work(
                weight[
                    index(
                        base + group * s_group + o * s_out + c * s_channel
                        + d * s_d + h * s_h + w * s_w
                    )
                ]
            )  # fmt: skip
            if complex_too:
                finite = math.isfinite(value.real) and math.isfinite(value.imag)
            else:
                finite = math.isfinite(value)
            if not finite:
                seen[0] = stamp

    return watch_weights


@factory
def repair(index: Any, work: Any, result: Any, conjugated: bool) -> Any:
    """Return the kernel that forms each NaN near the borders of a transposed convolution again.

    The result is what BASE and S_* describe, the input O_*; N is the number of the result's
    elements, CHANNELS those of a group, M the input's. The ints `q` say where the weights are: base
    and the strides of groups, outputs, channels and taps; and what `watch` has written to `seen` if
    there is anything to repair.
    """
    wide = wider(work)
    at = operands.functions(index, 0)
    quotient, split, reached = at.quotient, at.split, at.reached

    def repair_borders(x: Any, weight: Any, bias: Any, out: Any, seen: Any, p: Any, q: Any) -> None:
        count = p[N]
        if seen[0] != q[7]:
            count = index(0)
        for number in range(cuda.grid(1), count, cuda.gridsize(1)):
            i = index(number)
            line, d, h, w = split(i, p[D], p[H], p[W])
            channels = index(p[CHANNELS] * p[GROUPS])
            n = quotient(line, channels)
            channel = index(line - n * channels)
            near_d, near_h = (
                index(p[K_D] * p[DIL_D] + p[STRIDE_D]),
                index(p[K_H] * p[DIL_H] + p[STRIDE_H]),
            )
            near_w = index(p[K_W] * p[DIL_W] + p[STRIDE_W])
            inner = (
                near_d <= d < p[D] - near_d
                and near_h <= h < p[H] - near_h
                and near_w <= w < p[W] - near_w
            )
            place = index(
                p[BASE] + n * p[S_N] + channel * p[S_C] + d * p[S_D] + h * p[S_H] + w * p[S_W]
            )
            value = work(out[place])
            if not inner and value != value:
                group = quotient(channel, p[CHANNELS])
                c = index(channel - group * p[CHANNELS])
                total = wide(0)
                for kd in range(p[K_D]):
                    od = index(
                        reached(index(d + p[LOW_D]), index(kd * p[DIL_D]), p[STRIDE_D], p[OUT_D])
                    )
                    for kh in range(p[K_H]):
                        oh = index(
                            reached(
                                index(h + p[LOW_H]), index(kh * p[DIL_H]), p[STRIDE_H], p[OUT_H]
                            )
                        )
                        for kw in range(p[K_W]):
                            ow = index(
                                reached(
                                    index(w + p[LOW_W]), index(kw * p[DIL_W]), p[STRIDE_W], p[OUT_W]
                                )
                            )
                            if od >= 0 and oh >= 0 and ow >= 0:
                                first = index(
                                    p[O_BASE] + n * p[O_N] + group * p[M] * p[O_C]
                                    + od * p[O_D] + oh * p[O_H] + ow * p[O_W]
                                )  # fmt: skip
                                tap = index(
                                    q[0] + group * q[1] + c * q[3]
                                    + kd * q[4] + kh * q[5] + kw * q[6]
                                )  # fmt: skip
                                for o in range(p[M]):
                                    factor = work(weight[index(tap + o * q[2])])
                                    if conjugated:
                                        factor = factor.conjugate()
                                    total = wide(
                                        total + wide(factor * work(x[index(first + o * p[O_C])]))
                                    )
                if p[BIASED] != 0:
                    total = wide(work(total) + work(result(bias[channel])))
                out[place] = result(work(total))

    return repair_borders
