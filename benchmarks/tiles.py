"""How large a tile of the im2col route should be: times its block sizes against each other.

Run as ``python -m benchmarks.tiles [LAYER ...]``. Prints GFLOP/s (least time of several rounds,
taking turns) per layer and cut: positions a tile x bytes of a block of columns.
"""

import sys
import time

import numbaconv as nbc
from benchmarks.layers import BY_NAME
from numbaconv.algorithms import im2col as route

LAYERS = ("resnet50.conv1", "resnet50.2b", "resnet50.3b", "resnet50.4b", "vgg19.3_2", "vgg19.5_1")
CUTS = [
    (positions, megabytes, elements)
    for positions in (256, 512, 1024)
    for megabytes in (0.5, 1, 2, 4)
    for elements in (1152, 2304, 4608)
]
ROUNDS = 7


def main(names):
    for name in names:
        layer = BY_NAME[name]
        x, weight = layer.arrays(2)
        best = dict.fromkeys(CUTS, float("inf"))
        for _ in range(ROUNDS):
            for cut in CUTS:
                route._MOST_POSITIONS, route._COLUMN_BYTES = cut[0], int(cut[1] * 2**20)
                route._LONGEST_BLOCK = cut[2]
                start = time.perf_counter()
                nbc.conv2d(x, weight, **layer.keywords)
                best[cut] = min(best[cut], time.perf_counter() - start)
        ranked = sorted(best, key=best.get)
        rates = [f"{c}: {layer.flops(2) / best[c] / 1e9:.0f}" for c in ranked]
        print(name, *rates[:6], "...", *rates[-2:], sep="  ")


if __name__ == "__main__":
    main(sys.argv[1:] or LAYERS)
