"""Depthwise convolution: a group has one input channel, so that there is no matrix to multiply."""

from typing import Any

from numba import cuda

from numbaconv.cuda import operands
from numbaconv.cuda.launch import factory
from numbaconv.cuda.parameters import INDEX
from numbaconv.cuda.wide import MOST, wider

M, N, K, GROUPS = INDEX["M"], INDEX["N"], INDEX["K"], INDEX["GROUPS"]
BASE, S_N, S_C = INDEX["BASE"], INDEX["S_N"], INDEX["S_C"]
O_BASE, O_N, O_C = INDEX["O_BASE"], INDEX["O_N"], INDEX["O_C"]
O_D, O_H, O_W = INDEX["O_D"], INDEX["O_H"], INDEX["O_W"]
OUT_D, OUT_H, OUT_W = INDEX["OUT_D"], INDEX["OUT_H"], INDEX["OUT_W"]
K_D, K_H, K_W = INDEX["K_D"], INDEX["K_H"], INDEX["K_W"]
BIASED = INDEX["BIASED"]

#: Rows of the result that one thread makes where the stride and the dilation of rows are 1.
ROWS = 4


@factory
def forward(
    index: Any, work: Any, result: Any, mode: int, kernel: Any, rows: int, channel_fast: bool
) -> Any:
    """Return the kernel of packed weights ``(group, K, M)`` over one channel a group.

    Parameters
    ----------
    index, work, result : type
        Of indices, of the computation, and of the result.
    mode : int
        The padding mode.
    kernel : tuple of int
        The taps along each axis: loops over them are unrolled.
    rows : int
        How many rows of the result a thread makes, from each row that it reads; more than 1 needs a
        stride and a dilation of 1 along them.
    channel_fast : bool
        Whether neighbouring threads have neighbouring channels, or columns.
    """
    kd_count, kh_count, kw_count = kernel
    reads = rows + kh_count - 1 if rows > 1 else kh_count
    zero = work(0)
    at = operands.functions(index, mode)
    quotient, split, origin = at.quotient, at.split, at.origin
    spread, source = at.spread, at.source

    def depthwise_forward(a: Any, b: Any, bias: Any, out: Any, p: Any) -> None:
        i = index(cuda.grid(1))
        outputs = index(p[GROUPS] * p[M])
        strips = quotient(index(p[OUT_H] + (rows - 1)), index(rows))
        if i < p[N]:
            if channel_fast:
                rest = quotient(i, outputs)
                o = index(i - rest * outputs)
                image, od, strip, ow = split(rest, p[OUT_D], strips, p[OUT_W])
            else:
                line, od, strip, ow = split(i, p[OUT_D], strips, p[OUT_W])
                image = quotient(line, outputs)
                o = index(line - image * outputs)
            group = quotient(o, p[M])
            m = index(o - group * p[M])
            oh = index(strip * rows)
            d0, h0, w0 = origin(p, od, oh, ow)
            first = index(p[BASE] + image * p[S_N] + group * p[S_C])
            weights = index(group * p[K] * p[M] + m)
            total = cuda.local.array(rows, work)
            for r in range(rows):
                total[r] = zero
            for kd in range(kd_count):
                for read in range(reads):
                    for kw in range(kw_count):
                        dd, dh, dw = spread(p, index(kd), index(read), index(kw))
                        inside, offset = source(p, index(d0 + dd), index(h0 + dh), index(w0 + dw))
                        value = zero
                        if inside:
                            value = work(b[index(first + offset)])
                        for r in range(rows):
                            kh = read - r
                            if kh >= 0 and kh < kh_count:
                                k = (kd * kh_count + kh) * kw_count + kw
                                weight = a[index(weights + k * p[M])]
                                total[r] = work(total[r] + weight * value)
            place = index(
                p[O_BASE] + image * p[O_N] + o * p[O_C] + od * p[O_D] + oh * p[O_H] + ow * p[O_W]
            )
            offset = zero
            if p[BIASED] != 0:
                offset = work(result(bias[o]))
            for r in range(rows):
                if index(oh + r) < p[OUT_H]:
                    out[index(place + r * p[O_H])] = result(work(total[r] + offset))

    return depthwise_forward


@factory
def forward_any(index: Any, work: Any, result: Any, mode: int, channel_fast: bool) -> Any:
    """Return the same for kernels of any size, whose loops are not unrolled."""
    zero = work(0)
    wide = wider(work)
    at = operands.functions(index, mode)
    quotient, position, origin = at.quotient, at.position, at.origin
    spread, source = at.spread, at.source

    def depthwise_any(a: Any, b: Any, bias: Any, out: Any, p: Any) -> None:
        i = index(cuda.grid(1))
        outputs = index(p[GROUPS] * p[M])
        if i < p[N]:
            if channel_fast:
                rest = quotient(i, outputs)
                o = index(i - rest * outputs)
                image, od, oh, ow = position(p, rest)
            else:
                line, od, oh, ow = position(p, i)
                image = quotient(line, outputs)
                o = index(line - image * outputs)
            group = quotient(o, p[M])
            d0, h0, w0 = origin(p, od, oh, ow)
            first = index(p[BASE] + image * p[S_N] + group * p[S_C])
            k = index(group * p[K] * p[M] + o - group * p[M])
            total = zero
            whole = wide(0)
            left = index(MOST)
            for kd in range(p[K_D]):
                for kh in range(p[K_H]):
                    for kw in range(p[K_W]):
                        dd, dh, dw = spread(p, index(kd), index(kh), index(kw))
                        inside, offset = source(p, index(d0 + dd), index(h0 + dh), index(w0 + dw))
                        value = zero
                        if inside:
                            value = work(b[index(first + offset)])
                        total = work(total + a[k] * value)
                        k = index(k + p[M])
                        left = index(left - 1)
                        if left == 0:
                            whole = wide(whole + wide(total))
                            total = zero
                            left = index(MOST)
            total = work(wide(whole + wide(total)))
            if p[BIASED] != 0:
                total = work(total + work(result(bias[o])))
            out[
                index(
                    p[O_BASE] + image * p[O_N] + o * p[O_C]
                    + od * p[O_D] + oh * p[O_H] + ow * p[O_W]
                )
            ] = result(total)  # fmt: skip

    return depthwise_any
