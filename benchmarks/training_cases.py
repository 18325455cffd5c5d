"""What benchmarks.training times: gradients of networks' layers, transposed layers, pools."""

from dataclasses import dataclass

from benchmarks.layers import FAMILIES

BATCH = 8


@dataclass(frozen=True)
class Case:
    """One call: `channels` and `size` are the input's, of `outputs` channels the result's."""

    kind: str
    channels: int
    size: int
    outputs: int
    kernel: int
    stride: int
    padding: int
    groups: int = 1
    batch: int = BATCH

    @property
    def result(self):
        """The size of the result."""
        if self.kind == "transposed":
            return (self.size - 1) * self.stride - 2 * self.padding + self.kernel
        return (self.size + 2 * self.padding - self.kernel) // self.stride + 1

    @property
    def flops(self):
        """Multiplications and additions, or for pools the bytes read and written."""
        if self.kind in ("input_grad", "weight_grad", "transposed"):
            positions = self.size if self.kind == "transposed" else self.result
            taps = self.channels // self.groups * self.kernel**2
            return 2 * self.batch * positions**2 * taps * self.outputs
        return 4 * self.batch * self.channels * (self.size**2 + self.result**2)

    def arrays(self, rng):
        """Return the arrays that some kind of case needs, by name."""
        x = rng.standard_normal((self.batch, self.channels, self.size, self.size), "float32")
        g = rng.standard_normal((self.batch, self.outputs, self.result, self.result), "float32")
        shape = (self.outputs, self.channels // self.groups)
        if self.kind == "transposed":
            shape = shape[::-1]
        found = {"x": x, "g": g}
        if self.kind in ("input_grad", "weight_grad", "transposed"):
            found["w"] = rng.standard_normal((*shape, self.kernel, self.kernel), "float32")
        return found


def _gradients():
    for family in ("resnet50", "vgg19", "googlenet", "mobilenet"):
        for layer in FAMILIES[family]:
            for kind in ("input_grad", "weight_grad"):
                yield f"{kind} {layer.name}", Case(
                    kind, layer.channels, layer.size[0], layer.outputs, layer.kernel[0],
                    layer.stride[0], layer.padding[0], layer.groups,
                )  # fmt: skip


_TRANSPOSED = {
    "unet up1 2x2": (1024, 28, 512, 2, 2, 0),
    "unet up2 2x2": (512, 56, 256, 2, 2, 0),
    "unet up4 2x2": (128, 112, 64, 2, 2, 0),
    "dcgan 4x4 @4": (1024, 4, 512, 4, 2, 1),
    "dcgan 4x4 @8": (512, 8, 256, 4, 2, 1),
    "dcgan 4x4 @16": (256, 16, 128, 4, 2, 1),
    "dcgan 4x4 @32": (128, 32, 3, 4, 2, 1),
    "4x4 64 @56": (64, 56, 64, 4, 2, 1),
}
_POOLS = {
    "3x3 s2 @112": (64, 112, 3, 2, 1),
    "3x3 s2 @56": (64, 56, 3, 2, 1),
    "2x2 s2 @56": (128, 56, 2, 2, 0),
    "2x2 s2 @14": (512, 14, 2, 2, 0),
    "3x3 s1 @14": (512, 14, 3, 1, 1),
    "7x7 @7": (2048, 7, 7, 7, 0),
}


def _all():
    yield from _gradients()
    for name, (channels, size, outputs, kernel, stride, padding) in _TRANSPOSED.items():
        yield (
            f"transposed {name}",
            Case("transposed", channels, size, outputs, kernel, stride, padding),
        )
    for kind in ("max", "max, indices", "max, backward", "average", "average, backward"):
        for name, (channels, size, kernel, stride, padding) in _POOLS.items():
            yield f"{kind} {name}", Case(kind, channels, size, channels, kernel, stride, padding)


CASES = dict(_all())
