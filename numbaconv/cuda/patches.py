"""The kernels of im2col and col2im: no division within their loops, and no atomics.

Neighbouring threads read and write neighbouring elements: along positions where rows of an image
and columns of patches lie side by side, along channels where channels and elements of patches do,
and through squares in shared memory where one is along the other. A thread makes several elements,
so that their loads are on their way together.
"""

from typing import Any

from numba import cuda

from numbaconv.cuda import operands
from numbaconv.cuda.launch import SIMULATED, factory, unrolled
from numbaconv.cuda.wide import wider

#: The elements of one thread, and the side of the squares that are turned, by so many threads.
RUN = 4
SIDE, THREADS = (8, 16) if SIMULATED else (32, 256)

#: The ints of `columns`, `rows` and `turned`: sizes, then divisors.
NAMES = (
    # Images, channels, positions of an image, elements of a patch, threads.
    "images", "channels", "positions", "elements", "count",
    # The input: where a patch begins at the first position, strides, sizes.
    "x_base", "x_image", "x_channel", "x_d", "x_h", "x_w", "depth", "height", "width",
    # The window: positions, taps, strides, dilation and low padding along each axis.
    "out_d", "out_h", "out_w", "taps_d", "taps_h", "taps_w", "stride_d", "stride_h", "stride_w",
    "dilation_d", "dilation_h", "dilation_w", "low_d", "low_h", "low_w",
    # The matrix: where it begins, strides of images, elements and positions.
    "m_base", "m_image", "m_element", "m_position",
    # Divisors: a multiplier and a shift each.
    "by_channels", "by_channels_shift", "by_depth", "by_depth_shift", "by_height",
    "by_height_shift", "by_width", "by_width_shift", "by_taps_d", "by_taps_d_shift", "by_taps_h",
    "by_taps_h_shift", "by_taps_w", "by_taps_w_shift", "by_elements", "by_elements_shift",
    "by_runs", "by_runs_shift",
)  # fmt: skip


@factory
def columns(
    index: Any, work: Any, kernel: Any, axes: int, masked: bool, channel_major: bool
) -> Any:
    """Return the kernel of a matrix whose positions lie side by side, as rows of the image do.

    `kernel` has the taps along each axis, which are unrolled; of the axes of positions the last
    `axes` have several; `masked` says whether a patch may reach into the padding, of zeros.
    """
    at = operands.functions(index, 0, axes)
    divide, digits, inside = at.divide, at.digits, at.inside
    _, kh_count, kw_count = kernel
    lines = kernel[0] * kh_count
    taps = lines * kw_count
    values = RUN * kw_count

    def one_line(number: int) -> Any:
        kd, kh = number // kh_count, number % kh_count

        def move(
            x: Any, cols: Any, first: Any, place: Any, d0: Any, h0: Any, w0: Any, exists: Any,
            held: Any, p: Any,
        ) -> None:  # fmt: skip
            x_d, x_h, x_w, size_d, size_h, size_w, dil_d, dil_h, dil_w, step = p
            line = index(kd * dil_d * x_d + kh * dil_h * x_h)
            for r in range(RUN):
                meets = exists[r] != 0
                if masked:
                    meets = (
                        meets
                        and inside(index(d0[r] + kd * dil_d), size_d)
                        and inside(index(h0[r] + kh * dil_h), size_h)
                    )
                for kw in range(kw_count):
                    held[r * kw_count + kw] = work(0)
                    if meets and (not masked or inside(index(w0[r] + kw * dil_w), size_w)):
                        held[r * kw_count + kw] = work(x[index(first[r] + line + kw * dil_w * x_w)])
            for r in range(RUN):
                if exists[r] != 0:
                    for kw in range(kw_count):
                        tap = number * kw_count + kw
                        cols[index(place[r] + tap * step)] = held[r * kw_count + kw]

        return move

    every_line = unrolled(lines, one_line)

    def gather_columns(x: Any, cols: Any, p: Any) -> None:
        (
            _, channels, _, _, count,
            x_base, x_image, x_channel, x_d, x_h, x_w, size_d, size_h, size_w,
            out_d, out_h, out_w, _, _, _, stride_d, stride_h, stride_w,
            dilation_d, dilation_h, dilation_w, low_d, low_h, low_w,
            m_base, m_image, m_element, m_position,
            c_by, c_shift, d_by, d_shift, h_by, h_shift, w_by, w_shift,
            _, _, _, _, _, _, _, _, _, _,
        ) = p  # fmt: skip
        first = cuda.local.array(RUN, index)
        place = cuda.local.array(RUN, index)
        d0 = cuda.local.array(RUN, index)
        h0 = cuda.local.array(RUN, index)
        w0 = cuda.local.array(RUN, index)
        exists = cuda.local.array(RUN, index)
        held = cuda.local.array(values, work)
        threads = index(cuda.blockDim.x)
        start = index(index(cuda.blockIdx.x) * threads * RUN + index(cuda.threadIdx.x))
        step = index(m_element if channel_major else channels * m_element)
        for r in range(RUN):
            i = index(start + r * threads)
            exists[r] = index(1) if i < count else index(0)
            line, od, oh, ow = digits(
                i, out_d, out_h, out_w, (d_by, d_shift), (h_by, h_shift), (w_by, w_shift)
            )
            n = divide(line, (c_by, c_shift))
            c = index(line - n * channels)
            first[r] = index(
                x_base + n * x_image + c * x_channel
                + od * stride_d * x_d + oh * stride_h * x_h + ow * stride_w * x_w
            )  # fmt: skip
            d0[r] = index(od * stride_d - low_d)
            h0[r] = index(oh * stride_h - low_h)
            w0[r] = index(ow * stride_w - low_w)
            element = index(c * taps if channel_major else c)
            position = index((od * out_h + oh) * out_w + ow)
            place[r] = index(m_base + n * m_image + element * m_element + position * m_position)
        every_line(
            x, cols, first, place, d0, h0, w0, exists, held,
            (
                x_d, x_h, x_w, size_d, size_h, size_w, dilation_d, dilation_h, dilation_w, step,
            ),
        )  # fmt: skip

    return gather_columns


@factory
def turned(index: Any, work: Any, channel_major: bool, along_positions: bool) -> Any:
    """Return the kernel of a matrix of any kernel, through squares in shared memory.

    Neighbouring threads read along positions and write along the elements of a patch, or, if not
    `along_positions`, read along elements and write along positions.
    """
    at = operands.functions(index, 0)
    divide, digits, inside, quotient = at.divide, at.digits, at.inside, at.quotient
    lines = THREADS // SIDE
    pitch = SIDE + 1
    area = SIDE * pitch

    def gather_turned(x: Any, cols: Any, p: Any) -> None:
        (
            _, channels, positions, elements, _,
            x_base, x_image, x_channel, x_d, x_h, x_w, size_d, size_h, size_w,
            out_d, out_h, out_w, taps_d, taps_h, taps_w, stride_d, stride_h, stride_w,
            dilation_d, dilation_h, dilation_w, low_d, low_h, low_w,
            m_base, m_image, m_element, m_position,
            c_by, c_shift, d_by, d_shift, h_by, h_shift, w_by, w_shift,
            kd_by, kd_shift, kh_by, kh_shift, kw_by, kw_shift, _, _, _, _,
        ) = p  # fmt: skip
        square = cuda.shared.array(area, work)
        block, t = index(cuda.blockIdx.x), index(cuda.threadIdx.x)
        lane, line = index(t % index(SIDE)), index(t // index(SIDE))
        across = quotient(index(positions + (SIDE - 1)), index(SIDE))
        down = quotient(index(elements + (SIDE - 1)), index(SIDE))
        rest = quotient(block, across)
        q0 = index((block - rest * across) * SIDE)
        n = quotient(rest, down)
        e0 = index((rest - n * down) * SIDE)
        for i in range(line, SIDE, lines):
            q, e = index(q0 + i), index(e0 + lane)
            if along_positions:
                q, e = index(q0 + lane), index(e0 + i)
            _, od, oh, ow = digits(
                q, out_d, out_h, out_w, (d_by, d_shift), (h_by, h_shift), (w_by, w_shift)
            )
            if channel_major:
                c, kd, kh, kw = digits(
                    e, taps_d, taps_h, taps_w, (kd_by, kd_shift), (kh_by, kh_shift),
                    (kw_by, kw_shift),
                )  # fmt: skip
            else:
                tap = divide(e, (c_by, c_shift))
                c = index(e - tap * channels)
                _, kd, kh, kw = digits(
                    tap, taps_d, taps_h, taps_w, (kd_by, kd_shift), (kh_by, kh_shift),
                    (kw_by, kw_shift),
                )  # fmt: skip
            d = index(od * stride_d + kd * dilation_d)
            h = index(oh * stride_h + kh * dilation_h)
            w = index(ow * stride_w + kw * dilation_w)
            value = work(0)
            if (
                q < positions
                and e < elements
                and inside(index(d - low_d), size_d)
                and inside(index(h - low_h), size_h)
                and inside(index(w - low_w), size_w)
            ):
                value = work(
                    x[index(x_base + n * x_image + c * x_channel + d * x_d + h * x_h + w * x_w)]
                )
            square[lane * pitch + i] = value
        cuda.syncthreads()
        for i in range(line, SIDE, lines):
            q, e = index(q0 + lane), index(e0 + i)
            if along_positions:
                q, e = index(q0 + i), index(e0 + lane)
            if q < positions and e < elements:
                cols[index(m_base + n * m_image + e * m_element + q * m_position)] = square[
                    i * pitch + lane
                ]

    return gather_turned


@factory
def rows(index: Any, work: Any, mode: int, channel_major: bool) -> Any:
    """Return the kernel of a matrix of any kernel and padding mode, element by element of a patch.

    A thread makes `RUN` positions of one element; neighbouring threads have neighbouring elements.
    """
    at = operands.functions(index, mode)
    divide, digits, inside, along = at.divide, at.digits, at.inside, at.along

    def gather_rows(x: Any, cols: Any, p: Any) -> None:
        (
            _, channels, positions, elements, count,
            x_base, x_image, x_channel, x_d, x_h, x_w, size_d, size_h, size_w,
            out_d, out_h, out_w, taps_d, taps_h, taps_w, stride_d, stride_h, stride_w,
            dilation_d, dilation_h, dilation_w, low_d, low_h, low_w,
            m_base, m_image, m_element, m_position,
            c_by, c_shift, d_by, d_shift, h_by, h_shift, w_by, w_shift,
            kd_by, kd_shift, kh_by, kh_shift, kw_by, kw_shift, e_by, e_shift, r_by, r_shift,
        ) = p  # fmt: skip
        i = index(cuda.grid(1))
        if i < count:
            held = cuda.local.array(RUN, work)
            rest = divide(i, (e_by, e_shift))
            e = index(i - rest * elements)
            n = divide(rest, (r_by, r_shift))
            runs = index((positions + (RUN - 1)) // RUN)
            q0 = index((rest - n * runs) * RUN)
            if channel_major:
                c, kd, kh, kw = digits(
                    e, taps_d, taps_h, taps_w, (kd_by, kd_shift), (kh_by, kh_shift),
                    (kw_by, kw_shift),
                )  # fmt: skip
            else:
                tap = divide(e, (c_by, c_shift))
                c = index(e - tap * channels)
                _, kd, kh, kw = digits(
                    tap, taps_d, taps_h, taps_w, (kd_by, kd_shift), (kh_by, kh_shift),
                    (kw_by, kw_shift),
                )  # fmt: skip
            dd, dh, dw = index(kd * dilation_d), index(kh * dilation_h), index(kw * dilation_w)
            # Where the first element of the channel lies.
            first = index(
                x_base + n * x_image + c * x_channel + low_d * x_d + low_h * x_h + low_w * x_w
            )
            place = index(m_base + n * m_image + e * m_element + q0 * m_position)
            _, od, oh, ow = digits(
                q0, out_d, out_h, out_w, (d_by, d_shift), (h_by, h_shift), (w_by, w_shift)
            )
            for r in range(RUN):
                held[r] = work(0)
                d = index(od * stride_d + dd - low_d)
                h = index(oh * stride_h + dh - low_h)
                w = index(ow * stride_w + dw - low_w)
                meets = inside(d, size_d) and inside(h, size_h) and inside(w, size_w)
                if q0 + r < positions and meets:
                    d, h, w = along(d, size_d), along(h, size_h), along(w, size_w)
                    held[r] = work(x[index(first + d * x_d + h * x_h + w * x_w)])
                ow = index(ow + 1)
                if ow == out_w:
                    ow = index(0)
                    oh = index(oh + 1)
                    if oh == out_h:
                        oh = index(0)
                        od = index(od + 1)
            for r in range(RUN):
                if q0 + r < positions:
                    cols[index(place + r * m_position)] = held[r]

    return gather_rows


#: The ints of `fold` and `fold_any`: the image, then the matrix, as above.
FOLD_NAMES = (
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
