"""Pools of other kinds than images with channels first: signals, volumes, channels last.

Run as ``python -m benchmarks.pool_kinds [--python PYTHON]``, PYTHON being an interpreter that has
PyTorch. float32, 2 threads, the least time of a call of maxima, means and gradients of means; each
engine in a process of its own, one after the other, three rounds, whose least counts. Prints
PyTorch's time over ours, and both in milliseconds. To compare with an older tree, run it there.
"""

import argparse
import json
import math
import sys

from benchmarks import engines

#: (shape, kernel, stride, low and high padding, whether channels are last)
PROBLEMS = [
    ((1, 1, 1000000), 3, 1, 1, False),
    ((1, 1, 1000000), 16, 1, 8, False),
    ((1, 1, 1000000), 100, 1, 50, False),
    ((1, 1, 1000000), 16, 16, 0, False),
    ((1, 1, 1000000), 50, 20, 0, False),
    ((1, 1, 16000000), 3, 3, 0, False),
    ((1, 16, 1000, 1000), 100, 100, 0, False),
    ((1, 4, 1000, 1000), 12, 12, 0, False),
    ((1, 16, 64, 64, 64), 4, 4, 0, False),
    ((1, 32, 32, 32, 32), 3, 2, 0, False),
    ((2, 64, 16, 16, 16), 16, 16, 0, False),
    ((1, 4, 48, 64, 80), (3, 7, 9), (3, 7, 9), 0, False),
    ((8, 56, 56, 64), 8, 8, 0, True),
    ((8, 56, 56, 64), 3, 2, 0, True),
    ((8, 112, 112, 32), 2, 2, 0, True),
    ((8, 56, 56, 64), 5, 1, 0, True),
    ((8, 7, 7, 512), 7, 7, 0, True),
]
_OURS = """
import numpy as np, numbaconv as nbc
shape, k, s, pad, last = json.loads(sys.argv[1])
k, s = (tuple(v) if isinstance(v, list) else v for v in (k, s))
x, n = np.random.default_rng(0).random(shape, dtype="f4"), len(shape) - 2
layout = "channels_last" if last else "channels_first"
largest, mean, backward = (
    getattr(nbc, name % n) for name in ("max_pool%dd", "avg_pool%dd", "avg_pool%dd_backward")
)
y = mean(x, k, s, pad, layout=layout)
calls = (
    lambda: largest(x, k, s, pad, layout=layout), lambda: mean(x, k, s, pad, layout=layout),
    lambda: backward(y, x.shape, k, s, pad, layout=layout),
)
print(json.dumps([least(call) for call in calls]))
"""
_TORCH = """
import torch
torch.set_num_threads(2)
shape, k, s, pad, last = json.loads(sys.argv[1])
x = torch.rand(shape)
n = max(len(shape) - 2, 2)
if len(shape) == 3:  # a signal is an image of one row: PyTorch's pools of signals are that, too
    x, k, s, pad = x[:, :, None], [1, k], [1, s], [0, pad]
if last:
    x = x.permute(0, 3, 1, 2)
k, s, pad = ([v] * n if isinstance(v, int) else v for v in (k, s, pad))
F, aten = torch.nn.functional, torch.ops.aten
largest, mean = (F.max_pool3d, F.avg_pool3d) if n == 3 else (F.max_pool2d, F.avg_pool2d)
backward = aten.avg_pool3d_backward if n == 3 else aten.avg_pool2d_backward
with torch.no_grad():
    y = mean(x, k, s, pad)
    calls = (
        lambda: largest(x, k, s, pad), lambda: mean(x, k, s, pad),
        lambda: backward(y, x, k, s, pad, False, True, None),
    )
    print(json.dumps([least(call) for call in calls]))
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--python", help="an interpreter that has PyTorch")
    options = parser.parse_args()
    sources = {"numbaconv": (sys.executable, _OURS)}
    if options.python:
        sources["torch"] = options.python, _TORCH
    for problem in PROBLEMS:
        found = {name: [math.inf] * 3 for name in sources}
        for _ in range(3):
            for name, (python, source) in sources.items():
                times = engines.run(python, source, json.dumps(problem))
                found[name] = list(map(min, found[name], times))
        ours = found["numbaconv"]
        for i, what in enumerate(("max", "mean", "mean, backward")):
            ratio = found["torch"][i] / ours[i] if options.python else math.nan
            table = {name: round(1e3 * times[i], 4) for name, times in found.items()}
            print(f"{what:15} {problem!s:62} {ratio:6.2f}  {table}", flush=True)


if __name__ == "__main__":
    main()
