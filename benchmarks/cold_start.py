"""What a fresh process pays: import and first calls, beside Numba and PyTorch.

Run as ``python -m benchmarks.cold_start --python PYTHON --save``, PYTHON having torch. Every figure
is the least of some fresh processes that take turns; bytecode is compiled before. Numba's floor is
the first call of a cached one-line ``@njit(parallel=True)`` function. Also counts the compiled
signatures and the bytes that each function leaves in an empty cache.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

from benchmarks import engines
from benchmarks.suites.start import (
    CALLS,
    FLOOR,
    FLOOR_MODULE,
    first_calls,
    import_over_numba,
    least,
    ours,
)  # fmt: skip

_TORCH = {
    "imports": "import torch",
    "prepare": "x, w = torch.ones((1, 16, 64, 64)), torch.ones((16, 16, 3, 3))",
    "call": "torch.nn.functional.conv2d(x, w, padding=1)",
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--python", help="an interpreter with torch")
    parser.add_argument("--save", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "floor.py").write_text(FLOOR_MODULE)
        found = {"import over numba": import_over_numba(folder)}
        pairs = {"numba": (FLOOR, sys.executable), "numbaconv": (ours("conv2d", "f4"), None)}
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
