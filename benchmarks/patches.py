"""im2col and col2im against a copy and against PyTorch's unfold and fold.

Run as ``python -m benchmarks.patches --torch PYTHON``, PYTHON being an interpreter that has PyTorch
(and need have nothing else but NumPy). 8x64x56x56 float32, 3x3, padding 1, 2 threads, outputs
allocated before. Each engine runs in processes of its own, taking turns; the figures are GB/s of
the column matrix, the median over the rounds of each round's least time. Writes
``benchmarks/results/patches.json``.
"""

import argparse
import statistics
import sys

from benchmarks import engines

SHAPE, KERNEL, PADDING = (8, 64, 56, 56), 3, 1
GIGABYTES = 4e-9 * SHAPE[0] * SHAPE[1] * KERNEL**2 * SHAPE[2] * SHAPE[3]

_NUMBACONV = f"""
import numba, numpy as np, numbaconv as nbc
from benchmarks.suite_im2col import copy
x = np.random.default_rng(0).random({SHAPE}, dtype="f4")
cols = nbc.im2col(x, {KERNEL}, 1, {PADDING})
back = np.empty_like(x)
flat, copied = cols.reshape(-1), np.ones(cols.size, "f4")
print(json.dumps({{
    "copy": least(lambda: copy(flat, copied)),
    "im2col": least(lambda: nbc.im2col(x, {KERNEL}, 1, {PADDING}, out=cols)),
    "col2im": least(lambda: nbc.col2im(cols, x.shape[2:], {KERNEL}, 1, {PADDING}, out=back)),
    "numba": numba.__version__, "numpy": np.__version__,
}}))
"""
_TORCH = f"""
import torch
torch.set_num_threads(2)
x = torch.rand({SHAPE})
cols = torch.nn.functional.unfold(x, {KERNEL}, 1, {PADDING})
fold = torch.nn.functional.fold
with torch.inference_mode():
    print(json.dumps({{
        "unfold": least(lambda: torch.nn.functional.unfold(x, {KERNEL}, 1, {PADDING})),
        "fold": least(lambda: fold(cols, x.shape[2:], {KERNEL}, 1, {PADDING})),
        "torch": torch.__version__,
    }}))
"""
_RATIOS = {
    "im2col over copy": ("copy", "im2col"),
    "col2im over copy": ("copy", "col2im"),
    "im2col over unfold": ("unfold", "im2col"),
    "col2im over fold": ("fold", "col2im"),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--torch", metavar="PYTHON", required=True)
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    rounds = [
        engines.run(sys.executable, _NUMBACONV) | engines.run(options.torch, _TORCH)
        for _ in range(options.rounds)
    ]
    result = {name: rounds[0][name] for name in ("numba", "numpy", "torch")}
    result["rounds"] = len(rounds)
    for name in ("copy", "im2col", "col2im", "unfold", "fold"):
        result[name] = round(statistics.median(GIGABYTES / r[name] for r in rounds), 2)
    for name, (slow, fast) in _RATIOS.items():
        result[name] = round(statistics.median(r[slow] / r[fast] for r in rounds), 2)
    engines.save("patches", result)


if __name__ == "__main__":
    main()
