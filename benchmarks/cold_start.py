"""What a fresh process pays: import and first calls, beside Numba and PyTorch.

Run as ``python -m benchmarks.cold_start --python PYTHON --save``, PYTHON having torch. Every figure
is the least of some fresh processes that take turns; bytecode is compiled before. Numba's floor is
the first call of a cached one-line ``@njit(parallel=True)`` function. Also counts the compiled
signatures and the bytes that each function leaves in an empty cache.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks import engines

_TIMED = """
import time
start = time.perf_counter()
{imports}
imported = time.perf_counter()
{prepare}
begin = time.perf_counter()
{call}
end = time.perf_counter()
print(imported - start, end - begin)
"""
_FLOOR = {
    "imports": "import numba, numpy as np, floor",
    "prepare": "x = np.ones(100_000, np.float32)",
    "call": "floor.add(x)",
}
_FLOOR_MODULE = """
import numba
@numba.njit(parallel=True, cache=True)
def add(x):
    for i in numba.prange(len(x)):
        x[i] += 1
"""
_TORCH = {
    "imports": "import torch",
    "prepare": "x, w = torch.ones((1, 16, 64, 64)), torch.ones((16, 16, 3, 3))",
    "call": "torch.nn.functional.conv2d(x, w, padding=1)",
}
_PREPARE = "x, w = np.ones((1, 16, 64, 64), {dtype!r}), np.ones((16, 16, 3, 3), {dtype!r})"
CALLS = {
    "conv2d": "nbc.conv2d(x, w, padding=1)",
    "conv2d, im2col": "nbc.conv2d(x, w, padding=1, algorithm='im2col')",
    "conv_transpose2d": "nbc.conv_transpose2d(x, w, stride=2)",
    "conv2d_input_grad": "nbc.conv2d_input_grad(x.shape, w, x, padding=1)",
    "conv2d_weight_grad": "nbc.conv2d_weight_grad(x, w.shape, x, padding=1)",
    "max_pool2d": "nbc.max_pool2d(x, 2)",
    "avg_pool2d": "nbc.avg_pool2d(x, 2)",
    "im2col": "nbc.im2col(x, 3)",
    "col2im": "nbc.col2im(np.ones((1, 144, 3844), x.dtype), (64, 64), 3)",
}


def ours(name, dtype):
    """Return the parts of a script that calls a function of ours."""
    return {
        "imports": "import numpy as np, numbaconv as nbc",
        "prepare": _PREPARE.format(dtype=dtype),
        "call": CALLS[name],
    }


def seconds(parts, cache, python=sys.executable):
    """Return (import, first call) of a fresh process."""
    environment = os.environ | {"NUMBA_CACHE_DIR": str(cache)}
    environment["PYTHONPYCACHEPREFIX"] = str(Path(cache) / "bytecode")
    environment["PYTHONPATH"] = os.pathsep.join([str(cache), str(Path.cwd())])
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    done = subprocess.run(
        [python, "-c", _TIMED.format(**parts)], env=environment, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    return tuple(map(float, done.stdout.split()))


def least(parts, cache, rounds=5, python=sys.executable):
    """Return the least of several processes, after one that fills the caches."""
    seconds(parts, cache, python)
    found = [seconds(parts, cache, python) for _ in range(rounds)]
    return tuple(min(values) for values in zip(*found, strict=True))


def import_over_numba(cache, rounds=5):
    """Return the seconds of ``import numbaconv`` after ``import numba``."""
    parts = {"imports": "import numba", "prepare": "", "call": "import numbaconv"}
    return least(parts, cache, rounds)[1]


def first_calls(name, dtype, rounds=2):
    """Return the seconds of a first call that finds no cache, and what it leaves to others."""
    with tempfile.TemporaryDirectory() as folder:
        # Numba's own modules that a compilation imports, as bytecode: an installation has them.
        (Path(folder) / "floor.py").write_text(_FLOOR_MODULE)
        seconds(_FLOOR | {"imports": f"import numbaconv; {_FLOOR['imports']}"}, folder)
        cold = seconds(ours(name, dtype), folder)[1]
        entries = list(Path(folder).glob("numbaconv-*/*.bin"))
        warm = min(seconds(ours(name, dtype), folder)[1] for _ in range(rounds))
        return {
            "cold": round(cold, 2), "warm": round(warm, 3), "signatures": len(entries),
            "bytes": sum(path.stat().st_size for path in entries),
        }  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--python", help="an interpreter with torch")
    parser.add_argument("--save", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "floor.py").write_text(_FLOOR_MODULE)
        found = {"import over numba": import_over_numba(folder)}
        pairs = {"numba": (_FLOOR, sys.executable), "numbaconv": (ours("conv2d", "f4"), None)}
        if options.python:
            pairs["torch"] = (_TORCH, options.python)
        for name, (parts, python) in pairs.items():
            imported, first = least(parts, folder, python=python or sys.executable)
            found[name] = {"import": round(imported, 3), "first call": round(first, 3)}
    table = {}
    for name in CALLS:
        for dtype in ("f4", "f8"):
            table[f"{name} {dtype}"] = first_calls(name, dtype, 5)
            print(f"{name:20} {dtype}", table[f"{name} {dtype}"], flush=True)
    found = {"import over numba": round(found["import over numba"], 4), **{
        name: value for name, value in found.items() if name != "import over numba"
    }, "first calls": table}  # fmt: skip
    print(json.dumps(found, indent=1))
    if options.save:
        engines.save("cold_start", found)


if __name__ == "__main__":
    main()
