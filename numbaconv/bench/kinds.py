"""Layers drawn at random, by kind: what networks and filters ask for, and no list can be tuned to.

Channels, sizes and kernels are those of published networks (ResNet, DenseNet, EfficientNet,
MobileNet, ConvNeXt, RepLKNet, Inception, YOLO, U-Net, DeepLab, SRCNN, ViT, WaveNet, C3D, R(2+1)D),
combined at random.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from numbaconv.bench.layers import BY_NAME, FAMILIES, Ints, Layer

# Multiplications of one image at most.
_MOST = 2.5e9
_CHANNELS = (
    16, 24, 32, 40, 48, 64, 72, 80, 96, 112, 120, 128, 144, 160, 192, 224, 240, 256, 320, 384, 512,
)  # fmt: skip
_DEPTHWISE_CHANNELS = (24, 32, 64, 72, 96, 120, 144, 192, 240, 384, 480, 576, 672, 960)
_SIZES = (7, 10, 13, 14, 17, 19, 20, 26, 28, 35, 38, 40, 52, 56, 64, 76, 80, 104, 112)
_IMAGES = ((480, 640), (512, 512), (1080, 1920), (1024, 1024))
_NAME = re.compile(
    r"(?P<kind>\w+)\.(?P<channels>\d+)@(?P<size>[\dx]+)-(?P<outputs>\d+)\.(?P<kernel>[\dx]+)"
    r"s(?P<stride>[\dx]+)p(?P<padding>[\dx-]+)(d(?P<dilation>[\dx]+))?(g(?P<groups>\d+))?"
)


class _Draw:
    """A random layer before it has a name: a dense 3x3 until a kind says otherwise.

    Parameters
    ----------
    rng : Generator
        Where the numbers come from.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.channels, self.outputs = self.pick(_CHANNELS), self.pick(_CHANNELS)
        height = self.pick(_SIZES)
        width = height if rng.random() < 0.7 else self.pick(_SIZES)
        self.size: Ints = (height, width)
        self.kernel: Ints = (3, 3)
        self.stride: Ints = (1, 1)
        self.dilation: Ints = (1, 1)
        self.groups = 1
        self.padded = True

    def pick(self, values: Sequence[Any]) -> Any:
        """Return one of some values."""
        return values[int(self.rng.integers(len(values)))]

    def pair(self, values: Sequence[int]) -> Ints:
        """Return one of some values, for both axes."""
        return (self.pick(values),) * 2

    def layer(self, kind: str) -> Layer:
        """Return what has been drawn; with padding its result is as large as its input."""
        padding = tuple(
            d * (k - 1) // 2 if self.padded else 0
            for k, d in zip(self.kernel, self.dilation, strict=True)
        )
        return named(
            kind, self.channels, self.size, self.outputs, self.kernel, self.stride, padding,
            self.groups, self.dilation,
        )  # fmt: skip


def _pointwise(d: _Draw) -> None:
    d.kernel = (1, 1)


def _strided(d: _Draw) -> None:
    d.kernel, d.stride = d.pair((1, 3, 3, 5)), (2, 2)


def _stem(d: _Draw) -> None:
    d.channels, d.outputs = d.pick((1, 3, 3, 4)), d.pick((16, 24, 32, 48, 64, 96))
    d.kernel, d.stride = d.pair((3, 3, 5, 7, 9, 11)), d.pair((1, 2, 2, 4))
    d.size = d.pair((160, 192, 224, 227, 256, 320))


def _patch(d: _Draw) -> None:
    d.channels, d.outputs = d.pick((1, 3, 3, 96, 192)), d.pick((64, 96, 192, 384))
    d.kernel = d.stride = d.pair((2, 4, 7, 8, 14, 16))
    d.size, d.padded = d.pair((56, 112, 224)), False


def _depthwise(d: _Draw) -> None:
    d.channels = d.outputs = d.groups = d.pick(_DEPTHWISE_CHANNELS)
    d.kernel, d.stride = d.pair((3, 3, 5, 5, 7, 9, 13, 31)), d.pair((1, 1, 2))


def _grouped(d: _Draw) -> None:
    d.groups = d.pick((2, 4, 8, 16, 32))
    d.channels = d.outputs = d.groups * d.pick((4, 8, 12, 16, 24))


def _dilated(d: _Draw) -> None:
    d.dilation = d.pair((2, 3, 4, 6, 12))


def _strip(d: _Draw) -> None:
    length = d.pick((3, 5, 7, 9, 11, 21))
    d.kernel = d.pick(((1, length), (length, 1)))


def _wide(d: _Draw) -> None:
    d.kernel = d.pair((5, 7))


def _head(d: _Draw) -> None:
    d.outputs, d.kernel = d.pick((1, 2, 3, 4, 9, 21, 85)), d.pair((1, 3))


def _image(d: _Draw) -> None:
    d.channels = d.outputs = 1
    d.kernel, d.size = d.pair((3, 5, 7, 9, 15)), d.pick(_IMAGES)


def _tiny(d: _Draw) -> None:
    d.channels, d.outputs = d.pick((1, 3, 6, 8, 16)), d.pick((1, 4, 8, 16))
    d.size, d.kernel = d.pair((5, 8, 12, 14, 16)), d.pair((1, 3, 3, 5))


def _signal(d: _Draw) -> None:
    d.kernel, d.dilation = (d.pick((3, 5, 7, 9, 15, 25)),), (d.pick((1, 1, 1, 2, 8)),)
    d.stride, d.size = (d.pick((1, 1, 2)),), (d.pick((100, 400, 1000, 4096, 16000)),)


def _trace(d: _Draw) -> None:
    d.channels = d.outputs = 1
    d.kernel, d.size = (d.pick((3, 9, 31, 101)),), (d.pick((10_000, 100_000, 1_000_000)),)
    d.stride = d.dilation = (1,)


def _volume(d: _Draw) -> None:
    d.channels, d.outputs = d.pick((1, 3, 16, 32, 64)), d.pick((16, 32, 64))
    d.kernel = d.pick(((1, 3, 3), (3, 1, 1), (3, 3, 3), (3, 3, 3)))
    d.size = (d.pick((8, 16, 24)), *d.pair((14, 28, 56)))
    d.stride = d.dilation = (1, 1, 1)


_KINDS: dict[str, Callable[[_Draw], None]] = {
    "dense": lambda d: None, "pointwise": _pointwise, "strided": _strided, "stem": _stem,
    "patch": _patch, "depthwise": _depthwise, "grouped": _grouped, "dilated": _dilated,
    "strip": _strip, "wide": _wide, "head": _head, "image": _image, "tiny": _tiny,
    "signal": _signal, "trace": _trace, "volume": _volume,
}  # fmt: skip
#: Dense 3x3, 1x1, stride 2, of few channels, kernel equal to stride, and so on.
KINDS = tuple(_KINDS)


class Sample(NamedTuple):
    """Which layers to draw: so many of each kind, the same ones for the same seed."""

    seed: int = 0
    per_kind: int = 3


#: The suites: layers of networks by name, and layers drawn at random.
SUITES = (*FAMILIES, "kinds")


def suite(name: str, sample: Sample) -> list[Layer]:
    """Return the layers of a suite."""
    return draw(sample) if name == "kinds" else FAMILIES[name]


def draw(sample: Sample, kinds: Sequence[str] = KINDS) -> list[Layer]:
    """Return random layers of some kinds, each kind's the same whichever others are asked for.

    Examples
    --------
    >>> [layer.name for layer in draw(Sample(seed=1, per_kind=1), ["depthwise", "strip"])]
    ['depthwise.64@26x104-64.5x5s2x2p2x2g64', 'strip.24@64x64-128.21x1s1x1p10x0']
    """
    found: list[Layer] = []
    for kind in kinds:
        rng, layers = np.random.default_rng([sample.seed, KINDS.index(kind)]), set[Layer]()
        while len(layers) < sample.per_kind:
            drawn = _Draw(rng)
            _KINDS[kind](drawn)
            layer = drawn.layer(kind)
            if min(layer.output) > 0 and layer.flops(1) <= 2 * _MOST and layer not in layers:
                layers.add(layer)
                found.append(layer)
    return found


def named(
    kind: str, channels: int, size: Ints, outputs: int, kernel: Ints, stride: Ints,
    padding: tuple[Any, ...], groups: int, dilation: Ints,
) -> Layer:  # fmt: skip
    """Return a layer whose name says all of it."""
    layer = Layer("", channels, size, outputs, kernel, stride, padding, groups, dilation)

    def spell(axes: tuple[Any, ...]) -> str:
        return "x".join(str(a) if isinstance(a, int) else f"{a[0]}-{a[1]}" for a in axes)

    name = f"{kind}.{channels}@{spell(size)}-{outputs}.{spell(kernel)}"
    name += f"s{spell(stride)}p{spell(layer.padding)}"
    name += f"d{spell(dilation)}" if max(dilation) > 1 else ""
    name += f"g{groups}" if groups > 1 else ""
    return replace(layer, name=name)


def find(name: str) -> Layer:
    """Return the layer of a name: of a list, or what a name of `draw` says.

    Examples
    --------
    >>> find("strip.160@7x9-72.1x9s1x1p0x4").kernel
    (1, 9)
    >>> find("network.3@8x8-4.3x3s2x2p0-1x1").pads
    ((0, 1), (1, 1))
    >>> find("resnet50.conv1").kernel
    (7, 7)
    """
    if name in BY_NAME:
        return BY_NAME[name]
    found = _NAME.fullmatch(name)
    if found is None:
        raise ValueError(f"no layer has the name {name!r}")

    def axes(part: str) -> Ints:
        value = found[part]
        return tuple(map(int, value.split("x"))) if value else (1,) * len(axes("size"))

    pads = [tuple(map(int, part.split("-"))) for part in found["padding"].split("x")]
    padding = tuple(pair[0] if len(pair) == 1 else pair for pair in pads)
    return named(
        found["kind"], int(found["channels"]), axes("size"), int(found["outputs"]), axes("kernel"),
        axes("stride"), padding, int(found["groups"] or 1), axes("dilation"),
    )  # fmt: skip
