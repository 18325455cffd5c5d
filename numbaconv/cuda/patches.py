"""The kernels of im2col and col2im: a thread for each output position, and no atomics.

Neighbouring threads write neighbouring elements. A thread of im2col works out where it reads once
and then writes the elements of one channel (columns), or some positions of one element (rows).
"""

from typing import Any

from numba import cuda

from numbaconv.cuda import operands
from numbaconv.cuda.launch import factory
from numbaconv.cuda.parameters import INDEX
from numbaconv.cuda.wide import wider

M, N, K = INDEX["M"], INDEX["N"], INDEX["K"]
CHANNELS, BASE, S_N, S_C = INDEX["CHANNELS"], INDEX["BASE"], INDEX["S_N"], INDEX["S_C"]
S_D, S_H, S_W = INDEX["S_D"], INDEX["S_H"], INDEX["S_W"]
D, H, W = INDEX["D"], INDEX["H"], INDEX["W"]
O_BASE, O_N, O_C, O_W = INDEX["O_BASE"], INDEX["O_N"], INDEX["O_C"], INDEX["O_W"]
OUT_D, OUT_H, OUT_W = INDEX["OUT_D"], INDEX["OUT_H"], INDEX["OUT_W"]
K_D, K_H, K_W = INDEX["K_D"], INDEX["K_H"], INDEX["K_W"]
STRIDE_D, STRIDE_H, STRIDE_W = INDEX["STRIDE_D"], INDEX["STRIDE_H"], INDEX["STRIDE_W"]
DIL_D, DIL_H, DIL_W = INDEX["DIL_D"], INDEX["DIL_H"], INDEX["DIL_W"]
LOW_D, LOW_H, LOW_W = INDEX["LOW_D"], INDEX["LOW_H"], INDEX["LOW_W"]
BIASED = INDEX["BIASED"]

#: Positions that a thread of `im2col_rows` writes.
RUN = 16


@factory
def im2col_columns(index: Any, work: Any, mode: int, channel_major: bool) -> Any:
    """Return the kernel of a matrix with a patch in each column.

    N is the number of threads, one for each image, channel and position; CHANNELS are all channels.
    """
    at = operands.functions(index, mode)
    quotient, position, origin = at.quotient, at.position, at.origin
    spread, source = at.spread, at.source

    def gather_columns(x: Any, cols: Any, p: Any) -> None:
        i = index(cuda.grid(1))
        if i < p[N]:
            # Positions of one channel are neighbours; (channel of an image, position).
            line, od, oh, ow = position(p, i)
            n = quotient(line, p[CHANNELS])
            c = index(line - n * p[CHANNELS])
            d0, h0, w0 = origin(p, od, oh, ow)
            first = index(p[BASE] + n * p[S_N] + c * p[S_C])
            taps = index(p[K_D] * p[K_H] * p[K_W])
            place = index(p[O_BASE] + n * p[O_N] + ((od * p[OUT_H] + oh) * p[OUT_W] + ow) * p[O_W])
            element, step = c, p[CHANNELS]
            if channel_major:
                element, step = index(c * taps), index(1)
            place = index(place + element * p[O_C])
            step = index(step * p[O_C])
            for kd in range(p[K_D]):
                for kh in range(p[K_H]):
                    for kw in range(p[K_W]):
                        dd, dh, dw = spread(p, kd, kh, kw)
                        inside, offset = source(p, index(d0 + dd), index(h0 + dh), index(w0 + dw))
                        value = work(0)
                        if inside:
                            value = work(x[index(first + offset)])
                        cols[place] = value
                        place = index(place + step)

    return gather_columns


@factory
def im2col_rows(index: Any, work: Any, mode: int, channel_major: bool) -> Any:
    """Return the kernel of a matrix with a patch in each row.

    K is the length of a patch, M the positions of an image, N the threads: one for each image, run
    of positions and element.
    """
    at = operands.functions(index, mode)
    quotient, tap, position = at.quotient, at.tap, at.position
    origin, spread, source = at.origin, at.spread, at.source

    def gather_rows(x: Any, cols: Any, p: Any) -> None:
        i = index(cuda.grid(1))
        if i < p[N]:
            rest = quotient(i, p[K])
            element = index(i - rest * p[K])
            runs = quotient(index(p[M] + (RUN - 1)), index(RUN))
            n = quotient(rest, runs)
            start = index((rest - n * runs) * RUN)
            if channel_major:
                c, kd, kh, kw = tap(p, element)
            else:
                inner = quotient(element, p[CHANNELS])
                c = index(element - inner * p[CHANNELS])
                _, kd, kh, kw = tap(p, inner)
            dd, dh, dw = spread(p, kd, kh, kw)
            first = index(p[BASE] + n * p[S_N] + c * p[S_C])
            place = index(p[O_BASE] + n * p[O_N] + element * p[O_C])
            _, od, oh, ow = position(p, start)
            for number in range(start, min(start + RUN, p[M])):
                d0, h0, w0 = origin(p, od, oh, ow)
                inside, offset = source(p, index(d0 + dd), index(h0 + dh), index(w0 + dw))
                value = work(0)
                if inside:
                    value = work(x[index(first + offset)])
                cols[index(place + number * p[O_W])] = value
                ow = index(ow + 1)
                if ow == p[OUT_W]:
                    ow = index(0)
                    oh = index(oh + 1)
                    if oh == p[OUT_H]:
                        oh = index(0)
                        od = index(od + 1)

    return gather_rows


@factory
def col2im(index: Any, work: Any, result: Any, channel_major: bool, channel_fast: bool) -> Any:
    """Return the kernel that gathers each element of an image from the columns that hold it.

    The image is what BASE and S_* describe, the matrix O_*; N is the number of its elements.
    """
    wide = wider(work)
    at = operands.functions(index, 0)
    quotient, split, reached = at.quotient, at.split, at.reached

    def fold_columns(cols: Any, bias: Any, out: Any, p: Any) -> None:
        i = index(cuda.grid(1))
        if i < p[N]:
            if channel_fast:
                rest = quotient(i, p[CHANNELS])
                c = index(i - rest * p[CHANNELS])
                n, d, h, w = split(rest, p[D], p[H], p[W])
            else:
                line, d, h, w = split(i, p[D], p[H], p[W])
                n = quotient(line, p[CHANNELS])
                c = index(line - n * p[CHANNELS])
            taps = index(p[K_D] * p[K_H] * p[K_W])
            element, step = c, p[CHANNELS]
            if channel_major:
                element, step = index(c * taps), index(1)
            place = index(p[O_BASE] + n * p[O_N] + element * p[O_C])
            step = index(step * p[O_C])
            total = wide(0)
            for kd in range(p[K_D]):
                od = index(
                    reached(index(d + p[LOW_D]), index(kd * p[DIL_D]), p[STRIDE_D], p[OUT_D])
                )
                for kh in range(p[K_H]):
                    oh = index(
                        reached(index(h + p[LOW_H]), index(kh * p[DIL_H]), p[STRIDE_H], p[OUT_H])
                    )
                    for kw in range(p[K_W]):
                        ow = index(
                            reached(
                                index(w + p[LOW_W]), index(kw * p[DIL_W]), p[STRIDE_W], p[OUT_W]
                            )
                        )
                        if od >= 0 and oh >= 0 and ow >= 0:
                            number = index((od * p[OUT_H] + oh) * p[OUT_W] + ow)
                            total = wide(total + wide(work(cols[index(place + number * p[O_W])])))
                        place = index(place + step)
            if p[BIASED] != 0:
                total = wide(work(total) + work(result(bias[c])))
            out[index(p[BASE] + n * p[S_N] + c * p[S_C] + d * p[S_D] + h * p[S_H] + w * p[S_W])] = (
                result(work(total))
            )

    return fold_columns
