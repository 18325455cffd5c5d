"""Convolution layers: of well-known networks, where every suite and script takes them from."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from numbaconv.problem.arrays import Array
from numbaconv.problem.formulas import output_size

Ints = tuple[int, ...]


@dataclass(frozen=True)
class Layer:
    """One convolution, channels first.

    Parameters
    ----------
    name : str
        Its family, a point, and its name in the network's paper.
    channels, outputs, groups : int
        Channels in and out.
    size, kernel, stride, padding, dilation : int or tuple of int
        One number for all of `ndim` axes, or one for each; of padding also (low, high) for each.
    ndim : int
        Spatial axes, where `size` is one number.
    dtype : str
        Of input and weights.

    Examples
    --------
    >>> layer = Layer("strip", 16, (28, 40), 32, (1, 7), padding=(0, 3))
    >>> layer.stride, layer.output, layer.weight_shape
    ((1, 1), (28, 40), (32, 16, 1, 7))
    """

    name: str
    channels: int
    size: Any
    outputs: int
    kernel: Any
    stride: Any = 1
    padding: Any = 0
    groups: int = 1
    dilation: Any = 1
    ndim: int = 2
    dtype: str = "float32"

    def __post_init__(self) -> None:
        """Make tuples of ints."""
        ndim = self.ndim if isinstance(self.size, int) else len(self.size)
        object.__setattr__(self, "ndim", ndim)
        for name in ("size", "kernel", "stride", "padding", "dilation"):
            value = getattr(self, name)
            axes = (value,) * ndim if isinstance(value, int) else tuple(value)
            object.__setattr__(self, name, axes)
        low = tuple(low for low, _ in self.pads)
        object.__setattr__(self, "padding", low if self.is_symmetric else self.pads)

    @property
    def pads(self) -> tuple[tuple[int, int], ...]:
        """How many zeros are added before and after each axis."""
        return tuple((p, p) if isinstance(p, int) else tuple(p) for p in self.padding)

    @property
    def is_symmetric(self) -> bool:
        """Whether as many zeros are added before each axis as after it."""
        return all(low == high for low, high in self.pads)

    @property
    def output(self) -> Ints:
        """Output positions along each axis."""
        return tuple(
            output_size(n, low, high, k, s, d)
            for n, (low, high), k, s, d in zip(
                self.size, self.pads, self.kernel, self.stride, self.dilation, strict=True
            )
        )

    @property
    def taps(self) -> int:
        """Positions of a kernel."""
        return math.prod(self.kernel)

    def flops(self, batch: int) -> int:
        """Return the multiplications and additions of the direct convolution."""
        products = self.channels // self.groups * self.taps
        return 2 * batch * self.outputs * math.prod(self.output) * products

    def x_shape(self, batch: int) -> Ints:
        """Return the shape of the input."""
        return (batch, self.channels, *self.size)

    def y_shape(self, batch: int) -> Ints:
        """Return the shape of the result."""
        return (batch, self.outputs, *self.output)

    @property
    def weight_shape(self) -> Ints:
        """The shape of the weights."""
        return (self.outputs, self.channels // self.groups, *self.kernel)

    def arrays(self, batch: int, dtype: str | None = None) -> tuple[Array, Array]:
        """Return (x, weight) of the same random numbers every time."""
        rng = np.random.default_rng(0)
        kind = np.dtype(dtype or self.dtype)

        def draw(shape: Ints) -> Array:
            if kind.kind == "i":
                return rng.integers(-9, 10, shape).astype(kind)
            return rng.standard_normal(shape, "float32").astype(kind)

        return draw(self.x_shape(batch)), draw(self.weight_shape)

    @property
    def keywords(self) -> dict[str, Any]:
        """Arguments of the convolution."""
        return {
            "stride": self.stride, "padding": self.padding, "groups": self.groups,
            "dilation": self.dilation,
        }  # fmt: skip


RESNET50 = [
    Layer("resnet50.conv1", 3, 224, 64, 7, 2, 3),
    Layer("resnet50.2a", 64, 56, 64, 1),
    Layer("resnet50.2b", 64, 56, 64, 3, 1, 1),
    Layer("resnet50.2c", 64, 56, 256, 1),
    Layer("resnet50.3a", 256, 56, 128, 1),
    Layer("resnet50.3b.s2", 128, 56, 128, 3, 2, 1),
    Layer("resnet50.3b", 128, 28, 128, 3, 1, 1),
    Layer("resnet50.3c", 128, 28, 512, 1),
    Layer("resnet50.3d.s2", 256, 56, 512, 1, 2),
    Layer("resnet50.4a", 1024, 14, 256, 1),
    Layer("resnet50.4b.s2", 256, 28, 256, 3, 2, 1),
    Layer("resnet50.4b", 256, 14, 256, 3, 1, 1),
    Layer("resnet50.4c", 256, 14, 1024, 1),
    Layer("resnet50.5a", 2048, 7, 512, 1),
    Layer("resnet50.5b", 512, 7, 512, 3, 1, 1),
    Layer("resnet50.5c", 512, 7, 2048, 1),
]
VGG19 = [
    Layer("vgg19.1_1", 3, 224, 64, 3, 1, 1),
    Layer("vgg19.1_2", 64, 224, 64, 3, 1, 1),
    Layer("vgg19.2_2", 128, 112, 128, 3, 1, 1),
    Layer("vgg19.3_2", 256, 56, 256, 3, 1, 1),
    Layer("vgg19.4_2", 512, 28, 512, 3, 1, 1),
    Layer("vgg19.5_1", 512, 14, 512, 3, 1, 1),
]
MOBILENET = [
    Layer("mobilenet.conv1", 3, 224, 32, 3, 2, 1),
    Layer("mobilenet.dw1", 32, 112, 32, 3, 1, 1, 32),
    Layer("mobilenet.pw1", 32, 112, 64, 1),
    Layer("mobilenet.dw2.s2", 64, 112, 64, 3, 2, 1, 64),
    Layer("mobilenet.dw3", 128, 56, 128, 3, 1, 1, 128),
    Layer("mobilenet.pw3", 128, 56, 128, 1),
    Layer("mobilenet.dw6", 512, 14, 512, 3, 1, 1, 512),
    Layer("mobilenet.pw6", 512, 14, 512, 1),
    Layer("mobilenet.dw7", 1024, 7, 1024, 3, 1, 1, 1024),
    Layer("mobilenet.pw7", 1024, 7, 1024, 1),
]
GOOGLENET = [
    Layer("googlenet.conv2", 64, 56, 192, 3, 1, 1),
    Layer("googlenet.3a.1x1", 192, 28, 64, 1),
    Layer("googlenet.3a.3x3", 96, 28, 128, 3, 1, 1),
    Layer("googlenet.3a.5x5", 16, 28, 32, 5, 1, 2),
    Layer("googlenet.5x5", 48, 28, 64, 5, 1, 2),
    Layer("googlenet.4a.1x1", 480, 14, 192, 1),
    Layer("googlenet.4a.3x3", 96, 14, 208, 3, 1, 1),
    Layer("googlenet.4a.5x5", 16, 14, 48, 5, 1, 2),
    Layer("googlenet.5b.5x5", 48, 7, 128, 5, 1, 2),
]
#: What frameworks treat as an afterthought.
OTHERS = [
    Layer("others.float64", 64, 56, 64, 3, 1, 1, dtype="float64"),
    Layer("others.int32", 64, 56, 64, 3, 1, 1, dtype="int32"),
    Layer("others.int8", 64, 56, 64, 3, 1, 1, dtype="int8"),
    Layer("others.int64", 64, 56, 64, 3, 1, 1, dtype="int64"),
    Layer("others.groups of 8", 64, 56, 64, 3, 1, 1, 8),
    Layer("others.dilation 2", 64, 56, 64, 3, 1, 2, dilation=2),
    Layer("others.1-D, kernel 9", 64, 4096, 64, 9, 1, 4, ndim=1),
    Layer("others.3-D", 64, 16, 64, 3, 1, 1, ndim=3),
    Layer("others.15x15", 3, 224, 16, 15, 1, 7),
    Layer("others.image 5x5", 1, 2048, 1, 5, 1, 2),
    Layer("others.tiny", 1, 32, 1, 3, 1, 1),
]

FAMILIES = {
    "resnet50": RESNET50,
    "vgg19": VGG19,
    "mobilenet": MOBILENET,
    "googlenet": GOOGLENET,
    "others": OTHERS,
}
NETWORKS = [layer for name in FAMILIES if name != "others" for layer in FAMILIES[name]]
#: A few of each kind, for suites that run at every commit.
TRACKED = [
    "resnet50.conv1", "resnet50.2b", "resnet50.2c", "resnet50.3b.s2", "resnet50.5b", "resnet50.5c",
    "vgg19.3_2", "mobilenet.dw1", "mobilenet.dw6", "googlenet.5x5", "others.float64",
    "others.int32", "others.dilation 2",
]  # fmt: skip
BY_NAME = {layer.name: layer for family in FAMILIES.values() for layer in family}
