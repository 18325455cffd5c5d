"""The oracle: convolution, im2col and col2im as loops that a student can read.

All arrays are batched and channels first; `window` arguments are one entry per spatial axis, and
padding is (low, high) pairs. `channels_first` and friends bring other layouts into this form.
"""

import itertools
import math

import numpy as np

_PAD_MODES = {
    "zeros": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap",
    "symmetric": "symmetric",
}  # fmt: skip


def pad(x, padding, mode="zeros"):
    return np.pad(x, [(0, 0), (0, 0), *padding], mode=_PAD_MODES[mode])


def patches(padded, kernel, stride, dilation):
    """Yield (output position, the window of the padded input that it reads)."""
    spans = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    sizes = [
        (n - span) // s + 1 for n, span, s in zip(padded.shape[2:], spans, stride, strict=True)
    ]
    for position in itertools.product(*map(range, sizes)):
        window = [
            slice(p * s, p * s + span, d)
            for p, s, span, d in zip(position, stride, spans, dilation, strict=True)
        ]
        yield position, (slice(None), slice(None), *window)


def output_sizes(x, kernel, stride, dilation, padding):
    return tuple(
        (n + low + high - d * (k - 1) - 1) // s + 1
        for n, (low, high), k, s, d in zip(
            x.shape[2:], padding, kernel, stride, dilation, strict=True
        )
    )


def conv(x, weight, bias, stride, padding, dilation, groups, mode="zeros"):
    """Sum products one output at a time, in the dtype of `x`."""
    kernel = weight.shape[2:]
    outputs = weight.shape[0]
    padded = pad(x, padding, mode)
    y = np.zeros((len(x), outputs, *output_sizes(x, kernel, stride, dilation, padding)), x.dtype)
    for position, window in patches(padded, kernel, stride, dilation):
        patch = padded[window]
        for o in range(outputs):
            group = o // (outputs // groups)
            size = weight.shape[1]
            products = patch[:, group * size : (group + 1) * size] * weight[o]
            total = products.reshape(len(x), -1).sum(axis=1, dtype=x.dtype)
            y[(slice(None), o, *position)] = total if bias is None else total + bias[o]
    return y


def im2col(x, kernel, stride, padding, dilation, mode="zeros"):
    """Return (N, C * taps, L): each patch flattened, channel first, into a column."""
    padded = pad(x, padding, mode)
    columns = [
        padded[window].reshape(len(x), -1)
        for _, window in patches(padded, kernel, stride, dilation)
    ]
    return np.stack(columns, axis=-1)


def col2im(cols, size, kernel, stride, padding, dilation):
    """Add each column to the window that it came from, and cut the padding off."""
    channels = cols.shape[1] // int(np.prod(kernel))
    padded_size = [n + low + high for n, (low, high) in zip(size, padding, strict=True)]
    padded = np.zeros((len(cols), channels, *padded_size), cols.dtype)
    for column, (_, window) in enumerate(patches(padded, kernel, stride, dilation)):
        padded[window] += cols[:, :, column].reshape(len(cols), channels, *kernel)
    inside = [slice(low, low + n) for n, (low, _) in zip(size, padding, strict=True)]
    return padded[(slice(None), slice(None), *inside)]


def channels_first(x):
    return np.moveaxis(x, -1, 1)


def channels_last(x):
    return np.moveaxis(x, 1, -1)


def weight_channels_last(weight):
    """(O, C/g, *kernel) to (*kernel, C/g, O)."""
    return np.moveaxis(weight, (0, 1), (-1, -2))


def patch_order_last(cols, taps):
    """Reorder patches (N, C * taps, L) from channel, tap to tap, channel."""
    n, length, positions = cols.shape
    return cols.reshape(n, length // taps, taps, positions).swapaxes(1, 2).reshape(cols.shape)


def conv_transpose(x, weight, bias, stride, padding, output_padding, dilation, groups):
    """Add each input position's multiple of the kernels to the window that it spreads over."""
    batch, channels = x.shape[:2]
    in_group, out_group = channels // groups, weight.shape[1]
    kernel = weight.shape[2:]
    spans = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    full = [
        (n - 1) * s + span + p
        for n, s, span, p in zip(x.shape[2:], stride, spans, output_padding, strict=True)
    ]
    y = np.zeros((batch, groups * out_group, *full), x.dtype)
    for position in itertools.product(*map(range, x.shape[2:])):
        window = tuple(
            slice(p * s, p * s + span, d)
            for p, s, span, d in zip(position, stride, spans, dilation, strict=True)
        )
        for c in range(channels):
            first = c // in_group * out_group
            factor = x[(slice(None), c, *position)].reshape(batch, 1, *(1,) * len(kernel))
            y[(slice(None), slice(first, first + out_group), *window)] += factor * weight[c]
    inside = tuple(slice(low, n - high) for n, (low, high) in zip(full, padding, strict=True))
    y = y[(slice(None), slice(None), *inside)]
    return y if bias is None else y + bias.reshape(-1, *(1,) * len(kernel))


def input_grad(shape, weight, grad, stride, padding, dilation, groups, mode="zeros"):
    """Add each output's multiple of the kernels to its window, then fold the padding back."""
    channels = weight.shape[1]
    outputs = len(weight) // groups
    padded = pad(np.zeros(shape, grad.dtype), padding)
    for position, window in patches(padded, weight.shape[2:], stride, dilation):
        for o in range(len(weight)):
            first = o // outputs * channels
            factor = grad[(slice(None), o, *position)].reshape(-1, 1, *(1,) * len(padding))
            padded[window][:, first : first + channels] += factor * weight[o]
    for axis, (n, pair) in enumerate(zip(shape[2:], padding, strict=True), 2):
        # Where each padded position was read from; zeros come from nowhere, a place that is cut.
        constant = {"constant_values": n} if mode == "zeros" else {}
        origin = np.pad(np.arange(n), [pair], mode=_PAD_MODES[mode], **constant)
        folded = np.zeros((n + 1, *np.moveaxis(padded, axis, 0).shape[1:]), padded.dtype)
        np.add.at(folded, origin, np.moveaxis(padded, axis, 0))
        padded = np.moveaxis(folded[:n], 0, axis)
    return padded


def weight_grad(x, weight_shape, grad, stride, padding, dilation, groups, mode="zeros"):
    """Sum, output by output, the patch that it has read times its gradient."""
    outputs, channels = weight_shape[0] // groups, weight_shape[1]
    padded = pad(x, padding, mode)
    total = np.zeros(weight_shape, grad.dtype)
    for position, window in patches(padded, weight_shape[2:], stride, dilation):
        patch = padded[window]
        for o in range(weight_shape[0]):
            first = o // outputs * channels
            factor = grad[(slice(None), o, *position)].reshape(-1, 1, *(1,) * len(padding))
            total[o] += (patch[:, first : first + channels] * factor).sum(axis=0, dtype=grad.dtype)
    return total


def pool_outputs(n, k, s, d, low, high, ceil):
    """Count windows: rounding up, but none that would start at or beyond the end of the input."""
    left = n + low + high - d * (k - 1) - 1
    count = (-(-left // s) if ceil else left // s) + 1
    return count - 1 if ceil and (count - 1) * s >= n + low else count


def pool_taps(size, kernel, stride, padding, dilation, ceil):
    """Yield (output position, the coordinates of its window's taps, padded ones included)."""
    axes = zip(size, kernel, stride, dilation, padding, strict=True)
    sizes = [pool_outputs(n, k, s, d, *pair, ceil) for n, k, s, d, pair in axes]
    for position in itertools.product(*map(range, sizes)):
        taps = [
            [p * s - low + d * i for i in range(k)]
            for p, s, (low, _), d, k in zip(
                position, stride, padding, dilation, kernel, strict=True
            )
        ]
        yield position, list(itertools.product(*taps))


def inside(tap, size):
    return all(0 <= i < n for i, n in zip(tap, size, strict=True))


def padded_inside(tap, size, padding):
    axes = zip(tap, size, padding, strict=True)
    return all(-low <= i < n + high for i, n, (low, high) in axes)


def max_pool(x, kernel, stride, padding, dilation, ceil):
    """Return maxima and flat indices: the first of equal ones, or the first NaN; -1 for none."""
    size = x.shape[2:]
    windows = list(pool_taps(size, kernel, stride, padding, dilation, ceil))
    shape = (*x.shape[:2], *(max(p[axis] for p, _ in windows) + 1 for axis in range(len(size))))
    lowest = -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min
    values, indices = np.full(shape, lowest, x.dtype), np.full(shape, -1)
    for n, c in np.ndindex(x.shape[:2]):
        for position, taps in windows:
            found = [tap for tap in taps if inside(tap, size)]
            if found:
                seen = [x[(n, c, *tap)] for tap in found]
                nans = [i for i, v in enumerate(seen) if v != v]
                best = nans[0] if nans else seen.index(max(seen))
                values[(n, c, *position)] = seen[best]
                indices[(n, c, *position)] = np.ravel_multi_index(found[best], size)
    return values, indices


def avg_shares(size, kernel, stride, padding, dilation, ceil, include_pad, divisor):
    """Yield (output position, the taps inside the input, what their sum is divided by)."""
    for position, taps in pool_taps(size, kernel, stride, padding, dilation, ceil):
        found = [tap for tap in taps if inside(tap, size)]
        counted = [tap for tap in taps if padded_inside(tap, size, padding)]
        yield position, found, divisor or max(len(counted if include_pad else found), 1)


def avg_backward(grad, shape, shares):
    """Return what each input gets: from every window that `avg_shares` yields, a share a tap."""
    wide = np.result_type(grad.dtype, "f8")
    found = np.zeros(shape, wide)
    for position, taps, count in shares:
        for tap in taps:
            found[(..., *tap)] += grad[(..., *position)].astype(wide) / count
    return found


def adaptive_windows(size, output):
    """Yield (output position, the coordinates of its window's taps) as PyTorch defines them."""
    for position in itertools.product(*map(range, output)):
        taps = [
            range(math.floor(i * n / m), math.ceil((i + 1) * n / m))
            for i, n, m in zip(position, size, output, strict=True)
        ]
        yield position, list(itertools.product(*taps))
