"""What benchmarks.training times: gradients and transposed layers of lists and kinds, pools."""

import math
from dataclasses import dataclass

from benchmarks import transposed_kinds
from benchmarks.layers import FAMILIES
from numbaconv.bench import kinds
from numbaconv.bench.layers import Layer
from numbaconv.problem.formulas import transposed_size

BATCH = 8
GRADIENTS = ("input_grad", "weight_grad")


@dataclass(frozen=True)
class Case:
    """One call: a gradient of a layer, the layer transposed, or a pool with the layer's window."""

    kind: str
    layer: Layer
    batch: int = BATCH

    @classmethod
    def found(cls, text):
        """Return the case of a name: a kind, what a layer's name says, and the batch."""
        kind, name, batch = text.split("|")
        return cls(kind, kinds.find(name), int(batch))

    @property
    def name(self):
        """A name that says all of it."""
        return f"{self.kind}|{self.layer.name}|{self.batch}"

    @property
    def result(self):
        """The spatial size of the result."""
        layer = self.layer
        if self.kind != "transposed":
            return layer.output
        axes = zip(
            layer.size, layer.padding, layer.kernel, layer.stride, layer.dilation, strict=True
        )
        return tuple(transposed_size(n, p, p, k, s, d, 0) for n, p, k, s, d in axes)

    @property
    def flops(self):
        """Multiplications and additions, or for pools the bytes read and written."""
        layer, positions = self.layer, math.prod(self.layer.output)
        if self.kind in (*GRADIENTS, "transposed"):
            if self.kind == "transposed":
                positions = math.prod(layer.size)
            taps = layer.channels // layer.groups * layer.taps
            return 2 * self.batch * positions * taps * layer.outputs
        return 4 * self.batch * layer.channels * (math.prod(layer.size) + positions)

    def arrays(self, rng):
        """Return the arrays that some kind of case needs, by name."""
        layer = self.layer
        x = rng.standard_normal((self.batch, layer.channels, *layer.size), "float32")
        g = rng.standard_normal((self.batch, layer.outputs, *self.result), "float32")
        shape = layer.weight_shape
        if self.kind == "transposed":
            shape = (layer.channels, layer.outputs // layer.groups, *layer.kernel)
        return {"x": x, "g": g, "w": rng.standard_normal(shape, "float32")}


def _gradients(layers, batch):
    return [Case(kind, layer, batch) for layer in layers for kind in GRADIENTS]


_TRANSPOSED = [
    "unet_up1.1024@28x28-512.2x2s2x2p0x0",
    "unet_up2.512@56x56-256.2x2s2x2p0x0",
    "unet_up4.128@112x112-64.2x2s2x2p0x0",
    "dcgan.1024@4x4-512.4x4s2x2p1x1",
    "dcgan.512@8x8-256.4x4s2x2p1x1",
    "dcgan.256@16x16-128.4x4s2x2p1x1",
    "dcgan.128@32x32-3.4x4s2x2p1x1",
    "dcgan.64@56x56-64.4x4s2x2p1x1",
]
_POOLS = [
    "pool.64@112x112-64.3x3s2x2p1x1",
    "pool.64@56x56-64.3x3s2x2p1x1",
    "pool.128@56x56-128.2x2s2x2p0x0",
    "pool.512@14x14-512.2x2s2x2p0x0",
    "pool.512@14x14-512.3x3s1x1p1x1",
    "pool.2048@7x7-2048.7x7s7x7p0x0",
]


def lists():
    """Return gradients of networks' layers, layers of decoders, and pools."""
    found = []
    for family in ("resnet50", "vgg19", "googlenet", "mobilenet"):
        found += _gradients(FAMILIES[family], BATCH)
    found += [Case("transposed", kinds.find(name)) for name in _TRANSPOSED]
    for kind in ("max", "max, indices", "max, backward", "average", "average, backward"):
        found += [Case(kind, kinds.find(name)) for name in _POOLS]
    return found


def by_kind(sample, batch):
    """Return gradients and transposed layers drawn at random."""
    found = _gradients(kinds.draw(sample), batch)
    found += [Case("transposed", layer, batch) for layer in transposed_kinds.draw(sample)]
    return found
