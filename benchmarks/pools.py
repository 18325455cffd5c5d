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
    ((1, 16, 1000, 1000), 16, 16),
    ((8, 64, 56, 56), 7, 7),
    ((8, 64, 56, 56), 5, 3),
]
#: (shape, output) of adaptive pools.
ADAPTIVE = [
    ((1, 512, 14, 14), 7),
    ((8, 512, 13, 13), 6),
    ((1, 64, 56, 56), 7),
    ((4, 2048, 7, 7), 2),
    ((1, 64, 33, 33), 45),
    ((1, 3, 1000, 1500), 70),
]
# Beyond that PyTorch takes seconds, and hundreds of times SciPy's time.
_MOST_TORCH = 21
_OURS = """
import numpy as np, numbaconv as nbc
shape, k, s, op = json.loads(sys.argv[1])
x = np.random.default_rng(0).random(shape, dtype="f4")
pad = (k - 1) // 2 if s == 1 and k < shape[-1] else 0
y = nbc.avg_pool2d(x, k, s, pad)
calls = {
    "max": lambda: nbc.max_pool2d(x, k, s, pad), "mean": lambda: nbc.avg_pool2d(x, k, s, pad),
    "mean, backward": lambda: nbc.avg_pool2d_backward(y, shape, k, s, pad),
}
print(json.dumps(least(calls[op])))
"""
_TORCH = """
import torch
torch.set_num_threads(2)
shape, k, s, op = json.loads(sys.argv[1])
x = torch.rand(shape)
pad = (k - 1) // 2 if s == 1 and k < shape[-1] else 0
F, one = torch.nn.functional, [k, k]
y = F.avg_pool2d(x, k, s, pad)
backward = torch.ops.aten.avg_pool2d_backward
calls = {
    "max": lambda: F.max_pool2d(x, k, s, pad), "mean": lambda: F.avg_pool2d(x, k, s, pad),
    "mean, backward": lambda: backward(y, x, one, [s, s], [pad, pad], False, True, None),
}
with torch.no_grad():
    print(json.dumps(least(calls[op])))
"""
_OURS_ADAPTIVE = """
import numpy as np, numbaconv as nbc
shape, m, op = json.loads(sys.argv[1])
x = np.random.default_rng(0).random(shape, dtype="f4")
y = nbc.adaptive_avg_pool2d(x, m)
calls = {
    "max": lambda: nbc.adaptive_max_pool2d(x, m), "mean": lambda: nbc.adaptive_avg_pool2d(x, m),
    "max with indices": lambda: nbc.adaptive_max_pool2d(x, m, True),
    "mean, backward": lambda: nbc.adaptive_avg_pool2d_backward(y, shape),
}
print(json.dumps(least(calls[op])))
"""
_TORCH_ADAPTIVE = """
import torch
torch.set_num_threads(2)
shape, m, op = json.loads(sys.argv[1])
F, x = torch.nn.functional, torch.rand(shape)
y = F.adaptive_avg_pool2d(x, m)
calls = {
    "max": lambda: F.adaptive_max_pool2d(x, m), "mean": lambda: F.adaptive_avg_pool2d(x, m),
    "max with indices": lambda: F.adaptive_max_pool2d(x, m, True),
    "mean, backward": lambda: torch.ops.aten._adaptive_avg_pool2d_backward(y, x),
}
with torch.no_grad():
    print(json.dumps(least(calls[op])))
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
    result = {
        "pools": pools(options.python),
        "adaptive pools": adaptive_pools(options.python) if options.python else None,
    }
    if options.save:
        engines.save("pools", result, quiet=True)


def pools(torch):
    """Measure pools of all windows; `torch` is an interpreter that has PyTorch, or None."""
    sources = {"numbaconv": (sys.executable, _OURS), "scipy, numpy": (sys.executable, _SCIPY)}
    if torch:
        sources["torch"] = torch, _TORCH
    problems = {}
    for shape, k, s in PROBLEMS:
        slow = s == 1 and k > _MOST_TORCH
        backward = ["mean, backward"] if torch and not slow else []
        for op in ["max", "mean", *backward]:
            name = f"{op} {k}x{k} stride {s} of {'x'.join(map(str, shape))}"
            skipped = {"torch"} if slow else {"scipy, numpy"} if op in backward else set()
            problems[name] = [shape, k, s, op], skipped, math.prod(shape)
    return compare(sources, problems)


def adaptive_pools(torch):
    """Measure adaptive pools beside PyTorch's."""
    sources = {"numbaconv": (sys.executable, _OURS_ADAPTIVE), "torch": (torch, _TORCH_ADAPTIVE)}
    problems = {}
    for shape, m in ADAPTIVE:
        for op in ("max", "max with indices", "mean", "mean, backward"):
            name = f"{op} {m}x{m} of {'x'.join(map(str, shape))}"
            problems[name] = [shape, m, op], set(), math.prod(shape)
    return compare(sources, problems)


def compare(sources, problems):
    """Time each problem in each engine, in turns; print a line each, and return a summary."""
    table, ratios = {}, []
    for name, (argument, skipped, elements) in problems.items():
        row = dict.fromkeys(sources, math.inf)
        for _ in range(3):
            for engine, (python, source) in sources.items():
                if engine not in skipped:
                    found = engines.run(python, source, json.dumps(argument))
                    row[engine] = min(row[engine], found)
        peer = min(v for key, v in row.items() if key != "numbaconv")
        ratios.append(peer / row["numbaconv"])
        table[name] = {key: round(1e3 * v, 4) for key, v in row.items() if v < math.inf}
        speed = 4 * elements / row["numbaconv"] / 1e9
        print(f"{name:44} {ratios[-1]:6.2f}  {speed:5.1f} GB/s  {table[name]}", flush=True)
    summary = {
        "geomean": round(math.exp(sum(map(math.log, ratios)) / len(ratios)), 2),
        "least": round(min(ratios), 2),
    }
    print(summary)
    return {"best peer's time over ours": summary, "least milliseconds": table}


if __name__ == "__main__":
    main()
