"""The kernels of im2col, and their shapes: no division within their loops.

Neighbouring threads read and write neighbouring elements: along positions where rows of an image
and columns of patches lie side by side, along channels where channels and elements of patches do,
and through squares in shared memory where one is along the other. A thread makes several elements,
so that their loads are on their way together.
"""

from typing import Any

from numba import cuda

from numbaconv.cuda import operands
from numbaconv.cuda.launch import SIMULATED, factory, unrolled

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
