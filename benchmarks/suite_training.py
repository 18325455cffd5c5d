"""Gradients, transposed convolution and pools: a few of each kind, batch 8."""

import numpy as np

from benchmarks.training_cases import CASES
from benchmarks.training_engine import numbaconv

_TRACKED = [
    "input_grad resnet50.2b", "input_grad resnet50.3b.s2", "weight_grad resnet50.2b",
    "weight_grad resnet50.4c", "transposed unet up4 2x2", "transposed 4x4 64 @56",
    "max 3x3 s2 @56", "max, backward 3x3 s2 @56", "average 2x2 s2 @56",
    "average, backward 2x2 s2 @56",
]  # fmt: skip


class Training:
    """What `python -m benchmarks.training` compares with PyTorch, commit by commit."""

    params = [_TRACKED]
    param_names = ["case"]
    timeout = 300

    def setup(self, name):
        self.call = numbaconv(CASES[name], CASES[name].arrays(np.random.default_rng(0)))
        self.call()

    def time_call(self, name):
        self.call()
