"""Gradients, transposed convolution and pools: a few of each kind, float32, batch 8."""

import numpy as np

import numbaconv as nbc
from numbaconv.bench.layers import BY_NAME

_BATCH = 8
# Of the layers' gradients these; of pools and transposed layers (channels, size, kernel, ...).
_GRADIENTS = {
    "input_grad resnet50.2b": nbc.conv2d_input_grad,
    "input_grad resnet50.3b.s2": nbc.conv2d_input_grad,
    "weight_grad resnet50.2b": nbc.conv2d_weight_grad,
    "weight_grad resnet50.4c": nbc.conv2d_weight_grad,
}
_TRANSPOSED = {
    "transposed unet up4 2x2": (128, 112, 64, {"stride": 2}, 2),
    "transposed 4x4 64 @56": (64, 56, 64, {"stride": 2, "padding": 1}, 4),
}
_POOLS = {
    "3x3 s2 @56": (64, 56, 3, {"stride": 2, "padding": 1}),
    "2x2 s2 @56": (128, 56, 2, {"stride": 2}),
}


def _normal(*shape):
    return np.random.default_rng(0).standard_normal(shape, "float32")


def _gradient(name):
    layer = BY_NAME[name.split(" ", 1)[1]]
    x, weight = layer.arrays(_BATCH)
    result = nbc.conv2d(x, weight, **layer.keywords)
    first, second = (x.shape, weight) if name.startswith("input") else (x, weight.shape)
    return lambda: _GRADIENTS[name](first, second, result, **layer.keywords)


def _transposed(name):
    channels, size, outputs, keywords, kernel = _TRANSPOSED[name]
    x, weight = _normal(_BATCH, channels, size, size), _normal(channels, outputs, kernel, kernel)
    return lambda: nbc.conv_transpose2d(x, weight, **keywords)


def _pool(name):
    kind, window = name.split(": ")
    channels, size, kernel, keywords = _POOLS[window]
    x = _normal(_BATCH, channels, size, size)
    values, indices = nbc.max_pool2d(x, kernel, **keywords, return_indices=True)
    return {
        "max": lambda: nbc.max_pool2d(x, kernel, **keywords),
        "max, backward": lambda: nbc.max_pool2d_backward(values, indices, x.shape),
        "average": lambda: nbc.avg_pool2d(x, kernel, **keywords),
        "average, backward": lambda: nbc.avg_pool2d_backward(values, x.shape, kernel, **keywords),
    }[kind]


_CASES = {
    **dict.fromkeys(_GRADIENTS, _gradient),
    **dict.fromkeys(_TRANSPOSED, _transposed),
    **dict.fromkeys(
        [
            f"{kind}: {window}"
            for kind in ("max", "max, backward", "average", "average, backward")
            for window in _POOLS
        ],
        _pool,
    ),
}


class Training:
    """One call of each, commit by commit."""

    params = [list(_CASES)]
    param_names = ["case"]
    timeout = 300

    def setup(self, name):
        self.call = _CASES[name](name)
        self.call()

    def time_call(self, name):
        self.call()

    time_call.pretty_name = "Gradients, transposed convolution"
