"""conv2d over the layer families, small and grown problems, dtypes, and peak memory."""

import numpy as np

import numbaconv as nbc
from numbaconv.bench import kinds
from numbaconv.bench.layers import BY_NAME, TRACKED

_FUNCTIONS = {1: nbc.conv1d, 2: nbc.conv2d, 3: nbc.conv3d}
_LAYERS = {1: nbc.Conv1d, 2: nbc.Conv2d, 3: nbc.Conv3d}


class Layers:
    """A few layers of each kind, channels first: prepared, plain, and by the reference."""

    params = [TRACKED, [1, 8]]
    param_names = ["layer", "batch"]
    timeout = 300

    def setup(self, name, batch):
        layer = BY_NAME[name]
        self.x, self.weight = layer.arrays(batch)
        self.function, self.keywords = _FUNCTIONS[layer.ndim], layer.keywords
        self.layer = _LAYERS[layer.ndim](self.weight, **layer.keywords)
        self.out = self.layer(self.x)
        self.time_plain(name, batch)
        self.time_im2col(name, batch)

    def time_prepared(self, name, batch):
        self.layer(self.x, out=self.out)

    time_prepared.pretty_name = "Layers of networks: weights prepared"

    def time_plain(self, name, batch):
        self.function(self.x, self.weight, out=self.out, **self.keywords)

    time_plain.pretty_name = "Layers of networks: conv2d"

    def time_im2col(self, name, batch):
        self.function(self.x, self.weight, out=self.out, algorithm="im2col", **self.keywords)

    time_im2col.pretty_name = "Layers of networks: the reference"


class Kinds:
    """A layer of each kind, drawn at random once: prepared, and prepared by the reference."""

    params = [[layer.name for layer in kinds.draw(kinds.Sample(seed=20, per_kind=1))]]
    param_names = ["layer"]
    timeout = 300

    def setup(self, name):
        layer = kinds.find(name)
        self.x, weight = layer.arrays(1)
        kind = _LAYERS[layer.ndim]
        self.layer = kind(weight, **layer.keywords)
        self.reference = kind(weight, algorithm="im2col", **layer.keywords)
        self.out = self.layer(self.x)
        self.time_im2col(name)

    def time_prepared(self, name):
        self.layer(self.x, out=self.out)

    time_prepared.pretty_name = "Layers by kind: weights prepared"

    def time_im2col(self, name):
        self.reference(self.x, out=self.out)

    time_im2col.pretty_name = "Layers by kind: the reference"


class Dtypes:
    """One 3x3 layer in each kind of dtype and in both layouts."""

    params = [
        ["float32", "float64", "complex64", "float16", "int8", "int32", "int64"],
        ["channels_first", "channels_last"],
    ]
    param_names = ["dtype", "layout"]

    def setup(self, dtype, layout):
        rng = np.random.default_rng(0)
        x, weight = rng.integers(-8, 9, (4, 32, 28, 28)), rng.integers(-8, 9, (32, 32, 3, 3))
        if layout == "channels_last":
            x, weight = x.transpose(0, 2, 3, 1), weight.transpose(2, 3, 1, 0)
        self.x = np.ascontiguousarray(x, dtype)
        self.weight = np.ascontiguousarray(weight, dtype)
        self.keywords = {"padding": 1, "layout": layout, "algorithm": "im2col"}
        nbc.conv2d(self.x, self.weight, **self.keywords)

    def time_im2col(self, dtype, layout):
        nbc.conv2d(self.x, self.weight, **self.keywords)

    time_im2col.pretty_name = "Dtypes and layouts: the reference"


class Small:
    """One 1x32x32 image through a 3x3 kernel: what a call costs."""

    params = [[True, False]]
    param_names = ["parallel"]

    def setup(self, parallel):
        self.x, self.weight = np.ones((1, 1, 32, 32), "f4"), np.ones((1, 1, 3, 3), "f4")
        nbc.conv2d(self.x, self.weight, padding=1, parallel=parallel)
        self.layer = nbc.Conv2d(self.weight, padding=1)
        self.layer(self.x)

    def time_conv2d(self, parallel):
        nbc.conv2d(self.x, self.weight, padding=1, parallel=parallel)

    time_conv2d.pretty_name = "A small call: conv2d"

    def time_layer(self, parallel):
        self.layer(self.x, parallel=parallel)

    time_layer.pretty_name = "A small call: Conv2d"


class Memory:
    """Peak memory of the process: with the arrays alone, and with the convolution."""

    def setup(self):
        self.x, self.weight = np.ones((8, 64, 256, 256), "f4"), np.ones((64, 64, 3, 3), "f4")
        self.out = np.ones((8, 64, 256, 256), "f4")
        nbc.conv2d(self.x[:1], self.weight, padding=1, out=self.out[:1])

    def peakmem_setup(self):
        pass

    peakmem_setup.pretty_name = "Peak memory: the arrays alone"

    def peakmem_im2col(self):
        nbc.conv2d(self.x, self.weight, padding=1, out=self.out, algorithm="im2col")

    peakmem_im2col.pretty_name = "Peak memory: the reference"
