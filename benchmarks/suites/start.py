"""What a fresh process pays: import, and first calls with and without a cache."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

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
FLOOR = {
    "imports": "import numba, numpy as np, floor",
    "prepare": "x = np.ones(100_000, np.float32)",
    "call": "floor.add(x)",
}
FLOOR_MODULE = """
import numba
@numba.njit(parallel=True, cache=True)
def add(x):
    for i in numba.prange(len(x)):
        x[i] += 1
"""
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
        (Path(folder) / "floor.py").write_text(FLOOR_MODULE)
        seconds(FLOOR | {"imports": f"import numbaconv; {FLOOR['imports']}"}, folder)
        cold = seconds(ours(name, dtype), folder)[1]
        entries = list(Path(folder).glob("numbaconv-*/*.bin"))
        warm = min(seconds(ours(name, dtype), folder)[1] for _ in range(rounds))
        return {
            "cold": round(cold, 2), "warm": round(warm, 3), "signatures": len(entries),
            "bytes": sum(path.stat().st_size for path in entries),
        }  # fmt: skip


_KINDS = [("conv2d", "f4"), ("conv2d", "f8"), ("im2col", "f4"), ("max_pool2d", "f4")]


class Import:
    """Beside the import of Numba."""

    timeout = 300

    def track_import_over_numba(self):
        with tempfile.TemporaryDirectory() as folder:
            return import_over_numba(folder)

    track_import_over_numba.unit = "seconds"

    track_import_over_numba.pretty_name = "Import, beside Numba's"


class FirstCall:
    """Each in processes and with a cache of its own, once for all tracks."""

    timeout = 1200
    params = [f"{name} {dtype}" for name, dtype in _KINDS]
    param_names = ("function and dtype",)

    def setup_cache(self):
        return {f"{name} {dtype}": first_calls(name, dtype) for name, dtype in _KINDS}

    def track_with_cache(self, found, kind):
        return found[kind]["warm"]

    track_with_cache.pretty_name = "First call with a cache"

    def track_without_cache(self, found, kind):
        return found[kind]["cold"]

    track_without_cache.pretty_name = "First call without a cache"

    def track_compiled_signatures(self, found, kind):
        return found[kind]["signatures"]

    track_compiled_signatures.pretty_name = "First call: functions compiled"

    def track_cache_size(self, found, kind):
        return found[kind]["bytes"]

    setup_cache.timeout = 1200
    track_with_cache.unit = "seconds"
    track_without_cache.unit = "seconds"
    track_compiled_signatures.unit = "entries"
    track_cache_size.unit = "bytes"

    track_cache_size.pretty_name = "First call: size of its cache"
