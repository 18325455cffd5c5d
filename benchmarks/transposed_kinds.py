"""Transposed layers drawn at random, by kind: decoders, generators, vocoders, inverse transforms.

Sizes are those of published networks (U-Net, DCGAN, FSRCNN, HiFi-GAN, MelGAN, V-Net, StyleGAN's
upsampling) and of filter banks, combined at random, so that no list can be tuned to.
"""

import numpy as np

from numbaconv.bench.kinds import Sample, named

# Multiplications of one image at most.
_MOST = 2.5e9
_CHANNELS = (16, 24, 32, 48, 64, 96, 128, 160, 192, 256, 320, 384, 512)
_SIZES = (4, 7, 8, 13, 14, 16, 20, 28, 32, 40, 56, 64, 80)


class _Draw:
    def __init__(self, rng):
        self.rng = rng
        self.channels, self.outputs = self.pick(_CHANNELS), self.pick(_CHANNELS)
        height = self.pick(_SIZES)
        self.size = (height, height if rng.random() < 0.7 else self.pick(_SIZES))
        self.kernel, self.stride, self.padding = (2, 2), (2, 2), (0, 0)
        self.dilation, self.groups = (1, 1), 1

    def pick(self, values):
        return values[int(self.rng.integers(len(values)))]

    def window(self, ndim, *choices):
        """Take one of some (kernel, stride, padding), the same along all axes."""
        kernel, stride, padding = self.pick(choices)
        self.kernel, self.stride, self.padding = (
            (value,) * ndim for value in (kernel, stride, padding)
        )
        self.dilation = (1,) * ndim


def _upsample(d):
    d.window(2, (2, 2, 0), (2, 2, 0), (4, 2, 1), (3, 2, 1), (4, 4, 0), (8, 4, 2))


def _same(d):
    d.window(2, (3, 1, 1), (5, 1, 2), (4, 1, 0))


def _last(d):
    d.outputs = d.pick((1, 3, 3, 4))
    d.window(2, (4, 2, 1), (9, 3, 4), (9, 2, 4), (7, 1, 3), (8, 8, 0))
    d.size = (d.pick((28, 32, 64, 100, 128)),) * 2


def _vocoder(d):
    d.channels = d.pick((512, 256, 128, 64, 32))
    d.outputs = d.channels // 2
    d.size = (d.pick((32, 200, 860, 4000)),)
    stride = d.pick((2, 4, 8, 10))
    d.window(1, (2 * stride, stride, stride // 2))


def _inverse(d):
    taps = d.pick((256, 512, 1024))
    d.channels, d.outputs, d.size = taps + 2, 1, (d.pick((50, 100, 400)),)
    d.window(1, (taps, taps // 4, 0), (taps, taps // 2, 0))


def _depthwise(d):
    d.channels = d.outputs = d.groups = d.pick((24, 32, 64, 96, 144, 240, 480))
    d.window(2, (2, 2, 0), (4, 2, 1), (3, 2, 1), (3, 1, 1), (5, 2, 2))


def _grouped(d):
    d.groups = d.pick((2, 4, 8, 16))
    d.channels = d.outputs = d.groups * d.pick((4, 8, 16, 24))
    d.window(2, (2, 2, 0), (4, 2, 1), (3, 2, 1), (3, 1, 1))


def _dilated(d):
    d.window(2, (3, 1, 2), (3, 2, 2), (5, 1, 4))
    d.dilation = (2, 2)


def _volume(d):
    d.channels, d.outputs = d.pick((16, 32, 64, 128)), d.pick((8, 16, 32, 64))
    d.size = (d.pick((4, 8, 16)), *(d.pick((7, 14, 28)),) * 2)
    d.window(3, (2, 2, 0), (3, 2, 1), (4, 2, 1), (3, 1, 1))


_KINDS = {
    "upsample": _upsample, "same": _same, "last": _last, "vocoder": _vocoder,
    "inverse": _inverse, "depthwise": _depthwise, "grouped": _grouped, "dilated": _dilated,
    "volume": _volume,
}  # fmt: skip


def draw(sample=Sample()):  # noqa: B008
    """Return random layers of each kind; `size` is the input's of the transposed convolution."""
    found = []
    for number, (kind, change) in enumerate(_KINDS.items()):
        rng, layers = np.random.default_rng([sample.seed, 100 + number]), set()
        while len(layers) < sample.per_kind:
            d = _Draw(rng)
            change(d)
            layer = named(
                kind, d.channels, d.size, d.outputs, d.kernel, d.stride, d.padding, d.groups,
                d.dilation,
            )  # fmt: skip
            work = np.prod(d.size) * d.channels // d.groups * d.outputs * np.prod(d.kernel)
            if work <= _MOST and layer not in layers:
                layers.add(layer)
                found.append(layer)
    return found
