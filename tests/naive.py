"""The oracle: convolution, im2col and col2im as loops that a student can read.

All arrays are batched and channels first; `window` arguments are one entry per spatial axis, and
padding is (low, high) pairs. `channels_first` and friends bring other layouts into this form.
"""

import itertools

import numpy as np

_PAD_MODES = {"zeros": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}


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
