"""An algorithm of a few lines: tap by tap, in NumPy, for signals of one group."""

import numpy as np

from numbaconv.running.packed import Packed

EXACT, READS, WRITES_ANY, OWN_PADDING = True, "any", True, False


def refusal(geometry, dtype):
    if geometry.window.ndim != 1 or geometry.groups != 1 or geometry.channels_last:
        return "the toy takes signals of one group, channels first"
    return None


def cost(geometry, dtype, *, prepared):
    return 1.0


def plan(geometry, dtype):
    return Plan(geometry)


class Plan:
    replayable, pack_key = False, ()

    def __init__(self, geometry):
        self.geometry = geometry

    def pack(self, weight, bias, parallel, *, keep):
        return Packed(weight, bias, alive=())

    def run(self, x, packed, out, parallel):
        window = self.geometry.window
        x = np.pad(x, ((0, 0), (0, 0), *window.padding))
        out[...] = 0 if packed.bias is None else packed.bias[:, None]
        for k in range(window.kernel[0]):
            first = k * window.dilation[0]
            taps = x[:, :, first :: window.stride[0]][:, :, : out.shape[2]]
            out += packed.weight[:, :, k] @ taps

    def workspace_nbytes(self, images, workers):
        return 0
