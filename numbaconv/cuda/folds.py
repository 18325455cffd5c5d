"""The kernels of col2im: each element of an image gathers what belongs to it, without atomics.

As in `numbaconv.cuda.patches`, neighbouring threads read and write neighbouring elements, and there
is no division within the loops.
"""

from typing import Any

from numba import cuda

from numbaconv.cuda import operands
from numbaconv.cuda.launch import factory, unrolled
from numbaconv.cuda.patches import RUN
from numbaconv.cuda.tiles import wider

#: The ints of `fold` and `fold_any`: the image, then the matrix, as above.
NAMES = (
    "channels", "depth", "height", "width", "count", "y_base", "y_image", "y_channel", "y_d", "y_h",
    "y_w", "out_d", "out_h", "out_w", "taps_d", "taps_h", "taps_w", "stride_d", "stride_h",
    "stride_w", "dilation_d", "dilation_h", "dilation_w", "low_d", "low_h", "low_w",
    "m_base", "m_image", "m_element", "m_position", "biased",
    # The cells of `fold` along each axis, and the first of them.
    "cells_d", "cells_h", "cells_w", "first_d", "first_h", "first_w",
    "by_channels", "by_channels_shift", "by_depth", "by_depth_shift", "by_height",
    "by_height_shift", "by_width", "by_width_shift",
)  # fmt: skip


@factory
def fold(
    index: Any,
    work: Any,
    result: Any,
    kernel: Any,
    stride: Any,
    dilation: Any,
    axes: int,
    channel_major: bool,
    channel_fast: bool,
) -> Any:
    """Return the kernel that gathers each element of an image from the columns that hold it.

    A thread makes cells of as many elements as a step of the window has: which taps reach which of
    them, and how far their positions are from the cell's, is known when the code is made. Kernel,
    stride and dilation along each axis are those of the code, which has no loop over taps; of the
    axes of cells the last `axes` have several.
    """
    at = operands.functions(index, 0)
    decode, inside = operands.place_of(index, channel_fast, axes), at.inside
    kd_count, kh_count, kw_count = kernel
    taps = kd_count * kh_count * kw_count
    stride_d, stride_h, stride_w = stride
    dilation_d, dilation_h, dilation_w = dilation
    cell = stride_d * stride_h * stride_w
    run = cells_of(stride)

    def one_line(number: int) -> Any:
        part, line = number // (kd_count * kh_count), number % (kd_count * kh_count)
        reach_d, reach_h = line // kh_count * dilation_d, line % kh_count * dilation_h
        # Of the cell's elements, this line of taps reaches those of one row.
        row = (reach_d % stride_d * stride_h + reach_h % stride_h) * stride_w
        back_d, back_h = reach_d // stride_d, reach_h // stride_h

        def add(cols: Any, place: Any, d: Any, h: Any, w: Any, total: Any, p: Any) -> None:
            out_d, out_h, out_w, m_position, step = p
            od, oh = index(d[part] - back_d), index(h[part] - back_h)
            meets = inside(od, out_d) and inside(oh, out_h)
            first = index(place[part] + (od * out_h + oh) * out_w * m_position)
            for kw in range(kw_count):
                reach = kw * dilation_w
                ow = index(w[part] - reach // stride_w)
                value = work(0)
                if meets and inside(ow, out_w):
                    tap = line * kw_count + kw
                    value = work(cols[index(first + tap * step + ow * m_position)])
                to = part * cell + row + reach % stride_w
                total[to] = work(total[to] + value)

        return add

    every_line = unrolled(run * kd_count * kh_count, one_line)

    def write(number: int) -> Any:
        part, element = number // cell, number % cell
        more_d = element // (stride_h * stride_w)
        more_h, more_w = element // stride_w % stride_h, element % stride_w

        def put(out: Any, to: Any, d: Any, h: Any, w: Any, offset: Any, total: Any, p: Any) -> None:
            low_d, low_h, low_w, depth, height, width, y_d, y_h, y_w = p
            i = index(d[part] * stride_d + more_d - low_d)
            j = index(h[part] * stride_h + more_h - low_h)
            k = index(w[part] * stride_w + more_w - low_w)
            if to[part] >= 0 and inside(i, depth) and inside(j, height) and inside(k, width):
                value = work(total[part * cell + element] + offset[part])
                out[index(to[part] - 1 + i * y_d + j * y_h + k * y_w)] = result(value)

        return put

    write_all = unrolled(run * cell, write)
    totals = run * cell

    def fold_columns(cols: Any, bias: Any, out: Any, p: Any) -> None:
        (
            channels, depth, height, width, count, y_base, y_image, y_channel, y_d, y_h, y_w,
            out_d, out_h, out_w, _, _, _, _, _, _, _, _, _, low_d, low_h, low_w,
            m_base, m_image, m_element, m_position, biased,
            cells_d, cells_h, cells_w, first_d, first_h, first_w,
            c_by, c_shift, d_by, d_shift, h_by, h_shift, w_by, w_shift,
        ) = p  # fmt: skip
        place = cuda.local.array(run, index)
        to = cuda.local.array(run, index)
        at_d = cuda.local.array(run, index)
        at_h = cuda.local.array(run, index)
        at_w = cuda.local.array(run, index)
        offset = cuda.local.array(run, work)
        total = cuda.local.array(totals, work)
        threads = index(cuda.blockDim.x)
        start = index(index(cuda.blockIdx.x) * threads * run + index(cuda.threadIdx.x))
        step = index(m_element if channel_major else channels * m_element)
        for r in range(run):
            i = index(start + r * threads)
            n, c, d, h, w = decode(
                i, channels, cells_d, cells_h, cells_w, (c_by, c_shift), (d_by, d_shift),
                (h_by, h_shift), (w_by, w_shift),
            )  # fmt: skip
            at_d[r], at_h[r], at_w[r] = index(d + first_d), index(h + first_h), index(w + first_w)
            element = index(c * taps if channel_major else c)
            place[r] = index(m_base + n * m_image + element * m_element)
            # One more than the place of the channel's first element; less than that for no cell.
            to[r] = index(1 + y_base + n * y_image + c * y_channel)
            offset[r] = work(0)
            if i >= count:
                to[r] = index(-1)
                at_d[r] = index(out_d + kd_count * dilation_d)
            elif biased != 0:
                offset[r] = work(result(bias[c]))
        for i in range(totals):
            total[i] = work(0)
        every_line(cols, place, at_d, at_h, at_w, total, (out_d, out_h, out_w, m_position, step))
        write_all(
            out, to, at_d, at_h, at_w, offset, total,
            (low_d, low_h, low_w, depth, height, width, y_d, y_h, y_w),
        )  # fmt: skip

    return fold_columns


def cells_of(stride: Any) -> int:
    """Return how many cells a thread of `fold` makes: enough for some loads to be on their way."""
    elements: int = stride[0] * stride[1] * stride[2]
    return max(1, RUN // elements)


@factory
def fold_any(index: Any, work: Any, result: Any, channel_major: bool, channel_fast: bool) -> Any:
    """Return the same for kernels of any size, whose loops are not unrolled."""
    wide = wider(work)
    at = operands.functions(index, 0)
    decode, reached = operands.place_of(index, channel_fast), at.reached

    def fold_columns_any(cols: Any, bias: Any, out: Any, p: Any) -> None:
        (
            channels, depth, height, width, count, y_base, y_image, y_channel, y_d, y_h, y_w,
            out_d, out_h, out_w, taps_d, taps_h, taps_w, stride_d, stride_h, stride_w,
            dilation_d, dilation_h, dilation_w, low_d, low_h, low_w,
            m_base, m_image, m_element, m_position, biased, _, _, _, _, _, _,
            c_by, c_shift, d_by, d_shift, h_by, h_shift, w_by, w_shift,
        ) = p  # fmt: skip
        i = index(cuda.grid(1))
        if i < count:
            n, c, d, h, w = decode(
                i, channels, depth, height, width, (c_by, c_shift), (d_by, d_shift),
                (h_by, h_shift), (w_by, w_shift),
            )  # fmt: skip
            element, step = c, channels
            if channel_major:
                element, step = index(c * taps_d * taps_h * taps_w), index(1)
            place = index(m_base + n * m_image + element * m_element)
            step = index(step * m_element)
            total = wide(0)
            for kd in range(taps_d):
                od = index(reached(index(d + low_d), index(kd * dilation_d), stride_d, out_d))
                for kh in range(taps_h):
                    oh = index(reached(index(h + low_h), index(kh * dilation_h), stride_h, out_h))
                    for kw in range(taps_w):
                        ow = index(
                            reached(index(w + low_w), index(kw * dilation_w), stride_w, out_w)
                        )
                        if od >= 0 and oh >= 0 and ow >= 0:
                            number = index((od * out_h + oh) * out_w + ow)
                            total = wide(
                                total + wide(work(cols[index(place + number * m_position)]))
                            )
                        place = index(place + step)
            if biased != 0:
                total = wide(work(total) + work(result(bias[c])))
            out[index(y_base + n * y_image + c * y_channel + d * y_d + h * y_h + w * y_w)] = result(
                work(total)
            )

    return fold_columns_any
