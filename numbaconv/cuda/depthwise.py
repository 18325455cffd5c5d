"""Depthwise convolution: a group has one input channel, so that there is no matrix to multiply."""

from typing import Any

from numba import cuda

from numbaconv.cuda import copying, launch, operands, parameters
from numbaconv.cuda.launch import factory, unrolled
from numbaconv.cuda.places import Images, Weights
from numbaconv.cuda.tiles import MOST, wider
from numbaconv.problem.geometry import ConvGeometry, three_axes


def run(
    geometry: ConvGeometry,
    x: Images,
    kernels: Weights,
    bias: Any,
    out: Images,
    work: Any,
    conjugated: bool,
) -> None:
    """Enqueue a convolution of groups of one input channel."""
    if geometry.window.mirrors:
        geometry, x = copying.pad(geometry, x)
    window = geometry.window
    kernel, output = three_axes(window.kernel, 1), three_axes(window.output, 1)
    strides, dilations = three_axes(window.stride, 1), three_axes(window.dilation, 1)
    low = three_axes(tuple(p for p, _ in window.padding), 0)
    is_unrolled = window.taps <= launch.MOST_UNROLLED
    rows = _rows(kernel[1], output[1], strides[1], dilations[1]) if is_unrolled else 1
    strips = -(-output[1] // rows)
    outputs = geometry.out_channels // geometry.groups
    count = geometry.batch * geometry.out_channels * output[0] * strips * output[2]
    corner = x.base - sum(n * s for n, s in zip(low, x.steps, strict=True))
    sizes = (geometry.out_channels, outputs, *output, strips, count, *kernel)
    places = (
        corner, x.image, x.channel, *x.steps, *x.size, *strides, *dilations, *low,
        kernels.base, kernels.group, kernels.output, *kernels.steps,
        out.base, out.image, out.channel, *out.steps, int(bias is not None),
    )  # fmt: skip
    reach = [
        s * ((n + rows) * stride + k * dilation)
        for s, n, k, stride, dilation in zip(
            x.steps, output, kernel, strides, dilations, strict=True
        )
    ]
    index = parameters.index_type(
        *sizes, *places, *reach, x.data.size, out.data.size, kernels.data.size
    )
    divisors = parameters.divisors(
        (geometry.out_channels, outputs, output[0], strips, output[2]), index
    )
    fast = out.channel == 1 and geometry.out_channels > 1
    result = out.dtype.type
    compiled = (
        forward(
            index,
            work,
            result,
            kernel,
            rows,
            (strides[1], dilations[1]),
            operands.axes_of((output[0], strips, output[2])),
            conjugated,
            fast,
        )
        if is_unrolled
        else forward_any(index, work, result, conjugated, fast)
    )
    compiled[(*launch.grid(count), out.stream)](
        kernels.data, x.data, kernels.data if bias is None else bias, out.data,
        tuple(map(index, (*sizes, *places, *divisors))),
    )  # fmt: skip


def _rows(kernel: int, output: int, stride: int, dilation: int) -> int:
    """Return how many neighbouring rows of the result a thread makes from the rows it reads."""
    if kernel == 1 or output == 1 or dilation > stride * 2:
        return 1
    return 8 if stride == 1 and -(-output // 8) * 8 <= 1.15 * output else min(4, output)


@factory
def forward(
    index: Any,
    work: Any,
    result: Any,
    kernel: Any,
    rows: int,
    step: Any,
    axes: int,
    conjugated: bool,
    channel_fast: bool,
) -> Any:
    """Return the kernel over one channel a group, unrolled.

    Parameters
    ----------
    index, work, result : type
        Of indices, of the computation, and of the result.
    kernel : tuple of int
        The taps along each axis.
    rows : int
        How many rows of the result a thread makes, from each row that it reads.
    step : tuple of int
        The stride and the dilation of rows.
    axes : int
        How many of the last axes of strips have several.
    conjugated : bool
        Whether the weights are taken conjugated.
    channel_fast : bool
        Whether neighbouring threads have neighbouring channels, or columns.
    """
    kd_count, kh_count, kw_count = kernel
    taps = kd_count * kh_count * kw_count
    stride, dilation = step
    reads = (rows - 1) * stride + (kh_count - 1) * dilation + 1
    zero = work(0)
    at = operands.functions(index, 0)
    inside, divide, decode = at.inside, at.divide, operands.place_of(index, channel_fast, axes)

    def one_row(number: int) -> Any:
        kd, read = number // reads, number % reads

        def add(
            x: Any, place: Any, corner: Any, p: Any, near: Any, far: Any, own: Any, total: Any
        ) -> None:
            size_d, size_h, dilation_d, step_d, step_h = p
            d, h = index(corner[0] + kd * dilation_d), index(corner[1] + read)
            meets = inside(d, size_d) and inside(h, size_h)
            line = index(place + kd * dilation_d * step_d + read * step_h)
            for kw in range(kw_count):
                value = zero
                if meets and near[kw]:
                    value = work(x[index(line + far[kw])])
                for r in range(rows):
                    reached = read - r * stride
                    if reached >= 0 and reached % dilation == 0 and reached < kh_count * dilation:
                        tap = (kd * kh_count + reached // dilation) * kw_count + kw
                        total[r] = work(total[r] + own[tap] * value)

        return add

    all_rows = unrolled(kd_count * reads, one_row)

    def depthwise_forward(weight: Any, x: Any, bias: Any, out: Any, p: Any) -> None:
        (
            channels, outputs, out_d, out_h, out_w, strips, count, _, _, _,
            x_base, x_image, x_channel, step_d, step_h, step_w, size_d, size_h, size_w,
            stride_d, stride_h, stride_w, dilation_d, _, dilation_w, low_d, low_h, low_w,
            w_base, w_group, w_output, w_d, w_h, w_w,
            y_base, y_image, y_channel, y_d, y_h, y_w, biased,
            by_channels, by_channels_shift, by_outputs, by_outputs_shift, by_depth, by_depth_shift,
            by_strips, by_strips_shift, by_width, by_width_shift,
        ) = p  # fmt: skip
        i = index(cuda.grid(1))
        if i < count:
            image, o, od, strip, ow = decode(
                i, channels, out_d, strips, out_w,
                (by_channels, by_channels_shift), (by_depth, by_depth_shift),
                (by_strips, by_strips_shift), (by_width, by_width_shift),
            )  # fmt: skip
            group = divide(o, (by_outputs, by_outputs_shift))
            m = index(o - group * outputs)
            oh = index(strip * rows)
            own = cuda.local.array(taps, work)
            near = cuda.local.array(kw_count, index)
            far = cuda.local.array(kw_count, index)
            total = cuda.local.array(rows, work)
            first = index(w_base + group * w_group + m * w_output)
            for kd in range(kd_count):
                for kh in range(kh_count):
                    for kw in range(kw_count):
                        tap = work(weight[index(first + kd * w_d + kh * w_h + kw * w_w)])
                        if conjugated:
                            tap = tap.conjugate()
                        own[(kd * kh_count + kh) * kw_count + kw] = tap
            for kw in range(kw_count):
                w = index(ow * stride_w - low_w + kw * dilation_w)
                near[kw] = index(1) if inside(w, size_w) else index(0)
                far[kw] = index(kw * dilation_w * step_w)
            for r in range(rows):
                total[r] = zero
            place = index(
                x_base + image * x_image + group * x_channel
                + od * stride_d * step_d + oh * stride_h * step_h + ow * stride_w * step_w
            )  # fmt: skip
            corner = (index(od * stride_d - low_d), index(oh * stride_h - low_h))
            all_rows(
                x, place, corner, (size_d, size_h, dilation_d, step_d, step_h), near, far, own,
                total,
            )  # fmt: skip
            to = index(y_base + image * y_image + o * y_channel + od * y_d + oh * y_h + ow * y_w)
            offset = zero
            if biased != 0:
                offset = work(result(bias[o]))
            for r in range(rows):
                if index(oh + r) < out_h:
                    out[index(to + r * y_h)] = result(work(total[r] + offset))

    return depthwise_forward


@factory
def forward_any(index: Any, work: Any, result: Any, conjugated: bool, channel_fast: bool) -> Any:
    """Return the same for kernels of any size, whose loops are not unrolled."""
    zero = work(0)
    wide = wider(work)
    at = operands.functions(index, 0)
    inside, divide, decode = at.inside, at.divide, operands.place_of(index, channel_fast)

    def depthwise_any(weight: Any, x: Any, bias: Any, out: Any, p: Any) -> None:
        (
            channels, outputs, out_d, _, out_w, strips, count, taps_d, taps_h, taps_w,
            x_base, x_image, x_channel, step_d, step_h, step_w, size_d, size_h, size_w,
            stride_d, stride_h, stride_w, dilation_d, dilation_h, dilation_w, low_d, low_h, low_w,
            w_base, w_group, w_output, w_d, w_h, w_w,
            y_base, y_image, y_channel, y_d, y_h, y_w, biased,
            by_channels, by_channels_shift, by_outputs, by_outputs_shift, by_depth, by_depth_shift,
            by_strips, by_strips_shift, by_width, by_width_shift,
        ) = p  # fmt: skip
        i = index(cuda.grid(1))
        if i < count:
            image, o, od, oh, ow = decode(
                i, channels, out_d, strips, out_w,
                (by_channels, by_channels_shift), (by_depth, by_depth_shift),
                (by_strips, by_strips_shift), (by_width, by_width_shift),
            )  # fmt: skip
            group = divide(o, (by_outputs, by_outputs_shift))
            m = index(o - group * outputs)
            place = index(
                x_base + image * x_image + group * x_channel
                + od * stride_d * step_d + oh * stride_h * step_h + ow * stride_w * step_w
            )  # fmt: skip
            first = index(w_base + group * w_group + m * w_output)
            total = zero
            whole = wide(0)
            left = index(MOST)
            for kd in range(taps_d):
                d = index(od * stride_d - low_d + kd * dilation_d)
                for kh in range(taps_h):
                    h = index(oh * stride_h - low_h + kh * dilation_h)
                    meets = inside(d, size_d) and inside(h, size_h)
                    for kw in range(taps_w):
                        w = index(ow * stride_w - low_w + kw * dilation_w)
                        value = zero
                        if meets and inside(w, size_w):
                            value = work(
                                x[
                                    index(
                                        place + kd * dilation_d * step_d
                                        + kh * dilation_h * step_h + kw * dilation_w * step_w
                                    )
                                ]
                            )  # fmt: skip
                        tap = work(weight[index(first + kd * w_d + kh * w_h + kw * w_w)])
                        if conjugated:
                            tap = tap.conjugate()
                        total = work(total + tap * value)
                        left = index(left - 1)
                        if left == 0:
                            whole = wide(whole + wide(total))
                            total = zero
                            left = index(MOST)
            total = work(wide(whole + wide(total)))
            if biased != 0:
                total = work(total + work(result(bias[o])))
            out[
                index(y_base + image * y_image + o * y_channel + od * y_d + oh * y_h + ow * y_w)
            ] = result(total)

    return depthwise_any
