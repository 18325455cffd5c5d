"""Pools by windows from 2 to 101 and of whole images: ours, PyTorch, SciPy and NumPy.

Run as ``python -m benchmarks.pools [--python PYTHON] [--save]``, PYTHON being an interpreter that
has PyTorch; SciPy and NumPy are those of this one. float32, channels first, 2 threads, the least
time of a call; each engine in a process of its own, one after the other, three rounds. A global
pool is also compared with a sum over the same bytes in memory that it reads. Writes
``benchmarks/results/pools.json``.
"""

import argparse
import json
import math
import sys

from benchmarks import engines

#: (shape, window, stride)
PROBLEMS = [
    *(((1, 1, 1500, 2100), k, 1) for k in (2, 3, 5, 9, 21, 51, 101)),
    *(((1, 64, 112, 112), k, s) for k, s in ((2, 2), (3, 2), (5, 1), (13, 1))),
    *(((8, 256, n, n), n, n) for n in (7, 14, 56)),
    ((1, 1, 4000, 4000), 4000, 4000),
    ((1, 16, 1000, 1000), 100, 100),
]
# Beyond that PyTorch takes seconds, and hundreds of times SciPy's time.
_MOST_TORCH = 21
_OURS = """
import numpy as np, numbaconv as nbc
shape, k, s, op = json.loads(sys.argv[1])
x = np.random.default_rng(0).random(shape, dtype="f4")
pad = (k - 1) // 2 if s == 1 and k < shape[-1] else 0
pool = nbc.max_pool2d if op == "max" else nbc.avg_pool2d
print(json.dumps(least(lambda: pool(x, k, s, pad))))
"""
_TORCH = """
import torch
torch.set_num_threads(2)
shape, k, s, op = json.loads(sys.argv[1])
x = torch.rand(shape)
pad = (k - 1) // 2 if s == 1 and k < shape[-1] else 0
F = torch.nn.functional
pool = F.max_pool2d if op == "max" else F.avg_pool2d
with torch.no_grad():
    print(json.dumps(least(lambda: pool(x, k, s, pad))))
"""
_SCIPY = """
import numpy as np
from scipy import ndimage
shape, k, s, op = json.loads(sys.argv[1])
x = np.random.default_rng(0).random(shape, dtype="f4")
size = (1, 1, k, k)
filtered = ndimage.maximum_filter if op == "max" else ndimage.uniform_filter
if k == shape[-1]:
    call = (lambda: x.max((2, 3))) if op == "max" else (lambda: x.mean((2, 3)))
elif k == s and shape[-1] % k == 0:
    parts = x.reshape(*shape[:2], shape[2] // k, k, shape[3] // k, k)
    call = (lambda: parts.max((3, 5))) if op == "max" else (lambda: parts.mean((3, 5)))
else:
    call = lambda: filtered(x, size, mode="constant")[..., ::s, ::s]
print(json.dumps(least(call)))
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--python", help="an interpreter that has PyTorch")
    parser.add_argument("--save", action="store_true")
    options = parser.parse_args()
    sources = {"numbaconv": (sys.executable, _OURS), "scipy, numpy": (sys.executable, _SCIPY)}
    if options.python:
        sources["torch"] = options.python, _TORCH
    table, ratios = {}, []
    for shape, k, s in PROBLEMS:
        for op in ("max", "mean"):
            argument = json.dumps([shape, k, s, op])
            row = dict.fromkeys(sources, math.inf)
            for _ in range(3):
                for name, (python, source) in sources.items():
                    if name == "torch" and s == 1 and k > _MOST_TORCH:
                        continue
                    row[name] = min(row[name], engines.run(python, source, argument))
            name = f"{op} {k}x{k} stride {s} of {'x'.join(map(str, shape))}"
            peer = min(v for key, v in row.items() if key != "numbaconv")
            ratios.append(peer / row["numbaconv"])
            table[name] = {key: round(1e3 * v, 4) for key, v in row.items() if v < math.inf}
            nbytes = 4 * math.prod(shape) / row["numbaconv"] / 1e9
            print(f"{name:44} {ratios[-1]:6.2f}  {nbytes:5.1f} GB/s  {table[name]}", flush=True)
    summary = {
        "geomean": round(math.exp(sum(map(math.log, ratios)) / len(ratios)), 2),
        "least": round(min(ratios), 2),
    }
    print(summary)
    if options.save:
        result = {"best peer's time over ours": summary, "least milliseconds": table}
        engines.save("pools", result, quiet=True)


if __name__ == "__main__":
    main()
