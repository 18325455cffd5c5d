"""Sums over output positions, a block for each, and what folds padding back."""

from typing import Any

from numba import cuda

from numbaconv.cuda import operands
from numbaconv.cuda.launch import factory, unrolled
from numbaconv.cuda.parameters import INDEX
from numbaconv.cuda.tiles import wider
from numbaconv.problem.formulas import CIRCULAR, REFLECT, REPLICATE, SYMMETRIC

M, N, K = INDEX["M"], INDEX["N"], INDEX["K"]
GROUPS, CHANNELS, SPLIT_K = INDEX["GROUPS"], INDEX["CHANNELS"], INDEX["SPLIT_K"]
BLOCKS = INDEX["BLOCKS"]
BASE, S_N, S_C = INDEX["BASE"], INDEX["S_N"], INDEX["S_C"]
O_BASE, O_N, O_C = INDEX["O_BASE"], INDEX["O_N"], INDEX["O_C"]
O_D, O_H, O_W = INDEX["O_D"], INDEX["O_H"], INDEX["O_W"]


@factory
def over_positions(
    threads: int, index: Any, work: Any, mode: int, conjugated: str, with_patches: bool
) -> Any:
    """Return the kernel of sums of gradients, each times an element of its patch, over positions.

    What `numbaconv.cuda.tiles.weight_sums` does, for groups of few channels; without patches it
    sums the gradients alone, as a bias's gradient is. A power of two of threads makes one sum over
    a part of K, in an order that is always the same.
    """
    zero = work(0)
    flip_x, flip_grad = conjugated == "x", conjugated == "grad"
    at = operands.functions(index, mode)
    quotient, position, tap = at.quotient, at.position, at.tap
    origin, spread, source = at.origin, at.spread, at.source

    def sum_positions(a: Any, b: Any, out: Any, p: Any) -> None:
        shared = cuda.shared.array(threads, work)
        t = index(cuda.threadIdx.x)
        block = index(cuda.blockIdx.x)
        if block >= p[BLOCKS]:
            return
        rest = quotient(block, p[N])
        c, kd, kh, kw = tap(p, index(block - rest * p[N]))
        upper = quotient(rest, p[M])
        m = index(rest - upper * p[M])
        split = quotient(upper, p[GROUPS])
        group = index(upper - split * p[GROUPS])
        k1 = index(min((split + 1) * p[SPLIT_K], p[K]))
        dd, dh, dw = spread(p, kd, kh, kw)
        first = index(p[BASE] + (group * p[CHANNELS] + c) * p[S_C])
        line = index(p[O_BASE] + (group * p[M] + m) * p[O_C])
        total = zero
        for k in range(split * p[SPLIT_K] + t, k1, threads):
            image, od, oh, ow = position(p, index(k))
            value = work(a[index(line + image * p[O_N] + od * p[O_D] + oh * p[O_H] + ow * p[O_W])])
            if flip_grad:
                value = value.conjugate()
            if with_patches:
                d0, h0, w0 = origin(p, od, oh, ow)
                inside, offset = source(p, index(d0 + dd), index(h0 + dh), index(w0 + dw))
                element = zero
                if inside:
                    element = work(b[index(first + image * p[S_N] + offset)])
                if flip_x:
                    element = element.conjugate()
                value = work(value * element)
            total = work(total + value)
        shared[t] = total
        cuda.syncthreads()
        half = threads // 2
        while half > 0:
            if t < half:
                shared[t] = work(shared[t] + shared[t + half])
            cuda.syncthreads()
            half //= 2
        if t == 0:
            out[block] = shared[0]

    return sum_positions


#: The ints of `over_taps`.
TAP_NAMES = (
    # Outputs in all and of a group, positions of the batch, of which a block sums a part, taps.
    "outputs", "group_outputs", "summed", "part", "taps",
    # The input: where it begins, strides, sizes.
    "x_base", "x_image", "x_channel", "x_d", "x_h", "x_w", "depth", "height", "width",
    # The window.
    "out_d", "out_h", "out_w", "stride_d", "stride_h", "stride_w",
    "dilation_d", "dilation_h", "dilation_w", "low_d", "low_h", "low_w",
    # The gradients: where they begin, strides.
    "y_base", "y_image", "y_channel", "y_d", "y_h", "y_w",
    # Divisors.
    "by_depth", "by_depth_shift", "by_height", "by_height_shift", "by_width", "by_width_shift",
)  # fmt: skip


@factory
def over_taps(threads: int, index: Any, work: Any, kernel: Any, axes: int, conjugated: str) -> Any:
    """Return the kernel of the weight gradients of groups of one input channel.

    As `over_positions`, but a block makes the sums of all taps of an output, whose loops are
    unrolled, so that gradients are read once; padding is of zeros. The parts are
    ``(part, output, tap)``.
    """
    zero = work(0)
    flip_x, flip_grad = conjugated == "x", conjugated == "grad"
    at = operands.functions(index, 0, axes)
    quotient, digits, inside = at.quotient, at.digits, at.inside
    _, kh_count, kw_count = kernel
    lines = kernel[0] * kh_count
    taps = lines * kw_count

    def one_line(number: int) -> Any:
        kd, kh = number // kh_count, number % kh_count

        def add(
            x: Any, first: Any, d0: Any, h0: Any, w0: Any, value: Any, total: Any, p: Any
        ) -> None:
            size_d, size_h, size_w, dilation_d, dilation_h, dilation_w, x_d, x_h, x_w = p
            meets = inside(index(d0 + kd * dilation_d), size_d) and inside(
                index(h0 + kh * dilation_h), size_h
            )
            line = index(first + kd * dilation_d * x_d + kh * dilation_h * x_h)
            for kw in range(kw_count):
                element = zero
                if meets and inside(index(w0 + kw * dilation_w), size_w):
                    element = work(x[index(line + kw * dilation_w * x_w)])
                if flip_x:
                    element = element.conjugate()
                tap = number * kw_count + kw
                total[tap] = work(total[tap] + value * element)

        return add

    every_line = unrolled(lines, one_line)

    def finish(tap: int) -> Any:
        def add_up(shared: Any, t: Any, total: Any, out: Any, place: Any) -> None:
            shared[t] = total[tap]
            cuda.syncthreads()
            half = threads // 2
            while half > 0:
                if t < half:
                    shared[t] = work(shared[t] + shared[t + half])
                cuda.syncthreads()
                half //= 2
            if t == 0:
                out[index(place + tap)] = shared[0]
            cuda.syncthreads()

        return add_up

    finish_all = unrolled(taps, finish)

    def sum_taps(a: Any, b: Any, out: Any, p: Any) -> None:
        (
            outputs, group_outputs, summed, part, _,
            x_base, x_image, x_channel, x_d, x_h, x_w, size_d, size_h, size_w,
            out_d, out_h, out_w, stride_d, stride_h, stride_w,
            dilation_d, dilation_h, dilation_w, low_d, low_h, low_w,
            y_base, y_image, y_channel, y_d, y_h, y_w,
            d_by, d_shift, h_by, h_shift, w_by, w_shift,
        ) = p  # fmt: skip
        shared = cuda.shared.array(threads, work)
        total = cuda.local.array(taps, work)
        t, block = index(cuda.threadIdx.x), index(cuda.blockIdx.x)
        number = quotient(block, outputs)
        o = index(block - number * outputs)
        group = quotient(o, group_outputs)
        for tap in range(taps):
            total[tap] = zero
        for k in range(number * part + t, min((number + 1) * part, summed), threads):
            image, od, oh, ow = digits(
                index(k), out_d, out_h, out_w, (d_by, d_shift), (h_by, h_shift), (w_by, w_shift)
            )
            value = work(
                a[index(y_base + image * y_image + o * y_channel + od * y_d + oh * y_h + ow * y_w)]
            )
            if flip_grad:
                value = value.conjugate()
            first = index(
                x_base + image * x_image + group * x_channel
                + od * stride_d * x_d + oh * stride_h * x_h + ow * stride_w * x_w
            )  # fmt: skip
            every_line(
                b, first, index(od * stride_d - low_d), index(oh * stride_h - low_h),
                index(ow * stride_w - low_w), value, total,
                (size_d, size_h, size_w, dilation_d, dilation_h, dilation_w, x_d, x_h, x_w),
            )  # fmt: skip
        finish_all(shared, t, total, out, index(block * taps))

    return sum_taps


@factory
def fold_axis(index: Any, work: Any, mode: int) -> Any:
    """Return the kernel that adds what padding has read along one axis to where it was read.

    `padded` is ``(outer, low + n + high, inner)``, `out` ``(outer, n, inner)``; the ints are
    outer, n, inner, low and high.
    """
    at = operands.functions(index, 0)
    quotient = at.quotient
    wide = wider(work)

    def fold(padded: Any, out: Any, p: Any) -> None:
        e = index(cuda.grid(1))
        outer, n, inner, low, high = p
        if e < index(outer * n * inner):
            rest = quotient(e, inner)
            lane = index(e - rest * inner)
            line = quotient(rest, n)
            i = index(rest - line * n)
            length = index(low + n + high)
            first = index(line * length * inner + lane)
            # The padded places that read input i: runs of one step, which are at most two.
            step, start, stop = length, index(low + i), index(low + i + 1)
            mirrored = length
            if n == 1 or mode == REPLICATE:
                step = index(1)
                if i == 0:
                    start = index(0)
                if i == n - 1:
                    stop = length
            elif mode == CIRCULAR:
                step, start, stop = n, index((low + i) % n), length
            elif mode == REFLECT:
                step = index(2 * n - 2)
                start, stop = index((low + i) % step), length
                if i != 0 and i != n - 1:
                    mirrored = index((low - i) % step)
            elif mode == SYMMETRIC:
                step = index(2 * n)
                start, stop = index((low + i) % step), length
                mirrored = index((low - 1 - i) % step)
            total = wide(0)
            for j in range(start, stop, step):
                total = wide(total + wide(padded[index(first + j * inner)]))
            for j in range(mirrored, length, step):
                total = wide(total + wide(padded[index(first + j * inner)]))
            out[e] = work(total)

    return fold


@factory
def copy(index: Any, result: Any, conjugated: bool) -> Any:
    """Return the kernel that copies between arrays of any strides, of five axes.

    The ints: sizes of all axes, the number of elements, base and strides of source and target.
    """
    at = operands.functions(index, 0)
    quotient, split = at.quotient, at.split

    def copy_array(source: Any, target: Any, p: Any) -> None:
        i = index(cuda.grid(1))
        n1, n2, n3, n4, count, base, s0, s1, s2, s3, s4, to, t0, t1, t2, t3, t4 = p
        if i < count:
            rest = quotient(i, n4)
            e = index(i - rest * n4)
            a, b, c, d = split(rest, n1, n2, n3)
            value = result(source[index(base + a * s0 + b * s1 + c * s2 + d * s3 + e * s4)])
            if conjugated:
                value = value.conjugate()
            target[index(to + a * t0 + b * t1 + c * t2 + d * t3 + e * t4)] = value

    return copy_array


@factory
def pad(index: Any, kind: Any, mode: int) -> Any:
    """Return the kernel that copies images to where they have their padding about them.

    The ints: channels, the padded size, the elements, the size, the low padding, and where the
    images are: base, strides of images, channels and axes.
    """
    at = operands.functions(index, mode)
    quotient, split, inside_of, source = at.quotient, at.split, at.inside, at.along

    def pad_images(x: Any, padded: Any, p: Any) -> None:
        i = index(cuda.grid(1))
        (
            channels, depth, height, width, count, n_d, n_h, n_w, low_d, low_h, low_w,
            base, s_n, s_c, s_d, s_h, s_w,
        ) = p  # fmt: skip
        if i < count:
            line, d, h, w = split(i, depth, height, width)
            n = quotient(line, channels)
            c = index(line - n * channels)
            d, h, w = index(d - low_d), index(h - low_h), index(w - low_w)
            value = kind(0)
            if inside_of(d, n_d) and inside_of(h, n_h) and inside_of(w, n_w):
                d, h, w = source(d, n_d), source(h, n_h), source(w, n_w)
                value = x[index(base + n * s_n + c * s_c + d * s_d + h * s_h + w * s_w)]
            padded[i] = value

    return pad_images
