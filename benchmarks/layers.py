"""The convolution layers of well-known networks: every suite and script takes its shapes here."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Layer:
    """A layer of square images and kernels."""

    name: str
    channels: int
    size: int
    outputs: int
    kernel: int
    stride: int = 1
    padding: int = 0
    groups: int = 1

    @property
    def output_size(self) -> int:
        return (self.size + 2 * self.padding - self.kernel) // self.stride + 1

    def flops(self, batch: int) -> int:
        taps = self.channels // self.groups * self.kernel**2
        return 2 * batch * self.outputs * self.output_size**2 * taps

    def arrays(self, batch: int, dtype: str = "float32"):
        """Return (x, weight) of the same random numbers every time."""
        rng = np.random.default_rng(0)
        x = rng.standard_normal((batch, self.channels, self.size, self.size))
        shape = (self.outputs, self.channels // self.groups, self.kernel, self.kernel)
        return x.astype(dtype), rng.standard_normal(shape).astype(dtype)

    @property
    def keywords(self) -> dict[str, int]:
        return {"stride": self.stride, "padding": self.padding, "groups": self.groups}


RESNET50 = [
    Layer("resnet50.conv1", 3, 224, 64, 7, 2, 3),
    Layer("resnet50.2a", 64, 56, 64, 1),
    Layer("resnet50.2b", 64, 56, 64, 3, 1, 1),
    Layer("resnet50.2c", 64, 56, 256, 1),
    Layer("resnet50.3a", 256, 56, 128, 1),
    Layer("resnet50.3b.s2", 128, 56, 128, 3, 2, 1),
    Layer("resnet50.3b", 128, 28, 128, 3, 1, 1),
    Layer("resnet50.3c", 128, 28, 512, 1),
    Layer("resnet50.4b", 256, 14, 256, 3, 1, 1),
    Layer("resnet50.4c", 256, 14, 1024, 1),
    Layer("resnet50.5b", 512, 7, 512, 3, 1, 1),
    Layer("resnet50.5c", 512, 7, 2048, 1),
]
VGG19 = [
    Layer("vgg19.1_2", 64, 224, 64, 3, 1, 1),
    Layer("vgg19.3_2", 256, 56, 256, 3, 1, 1),
    Layer("vgg19.5_1", 512, 14, 512, 3, 1, 1),
]
MOBILENET = [
    Layer("mobilenet.dw1", 32, 112, 32, 3, 1, 1, 32),
    Layer("mobilenet.dw2.s2", 64, 112, 64, 3, 2, 1, 64),
    Layer("mobilenet.dw6", 512, 14, 512, 3, 1, 1, 512),
    Layer("mobilenet.pw7", 1024, 7, 1024, 1),
]
GOOGLENET = [Layer("googlenet.5x5", 48, 28, 64, 5, 1, 2)]

FAMILIES = {
    "resnet50": RESNET50,
    "vgg19": VGG19,
    "mobilenet": MOBILENET,
    "googlenet": GOOGLENET,
}
BY_NAME = {layer.name: layer for family in FAMILIES.values() for layer in family}
