"""A file of arrays through ``numbaconv apply``, beside what its disk and its kernel take alone.

Run as ``python -m benchmarks.array_stream FOLDER``; FOLDER needs three times ``--gib``. For uint8
and float32, as ``.npy`` and as ``.zarr``: the seconds in which the same bytes are read and written
in the same way without a convolution, those that the convolution takes from memory to memory, and
those of the command without its start, in processes that take turns. The target is 0.9 of the
slower of the two.
"""

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np

from benchmarks import engines

_COPY_NPY = """
import sys, time
begin = time.perf_counter()
with open(sys.argv[1], "rb", buffering=0) as source, open(sys.argv[2], "wb", buffering=0) as target:
    while block := source.read(8 << 20):
        target.write(block)
print(time.perf_counter() - begin)
"""
_COPY_ZARR = """
import sys, time, zarr
from concurrent.futures import ThreadPoolExecutor
begin = time.perf_counter()
source = zarr.open_array(sys.argv[1], mode="r")
target = zarr.create_array(sys.argv[2], shape=source.shape, dtype=source.dtype,
                           chunks=source.chunks, compressors=source.compressors)
def copy(n):
    target[n : n + 8] = source[n : n + 8]
with ThreadPoolExecutor(2) as pool:
    list(pool.map(copy, range(0, source.shape[0], 8)))
print(time.perf_counter() - begin)
"""
_KERNEL = """
import sys, time, numpy as np
from numbaconv.cli.convolving import EveryChannel
from numbaconv.filtering.planes import PlaneWindow
from numbaconv.cli.filters import named
convolve = EveryChannel(named(sys.argv[1]), PlaneWindow(1, "same", "replicate", 1), "")
x = np.ones((8, 3, 512, 512), sys.argv[2])
convolve.arrays(x, False, parallel=True)
begin = time.perf_counter()
for _ in range(int(sys.argv[3]) // 8):
    convolve.arrays(x, False, parallel=True)
print(time.perf_counter() - begin)
"""
_SIDE = 512


def fill(path, dtype, count):
    """Write images of some noise, a few at a time."""
    rng = np.random.default_rng(0)
    block = (rng.random((8, 3, _SIDE, _SIDE)) * 255).astype(dtype)
    if path.suffix == ".npy":
        out = np.lib.format.open_memmap(path, "w+", dtype, (count, 3, _SIDE, _SIDE))
    else:
        import zarr

        out = zarr.create_array(str(path), shape=(count, 3, _SIDE, _SIDE), dtype=dtype,
                                chunks=(1, 3, _SIDE, _SIDE))  # fmt: skip
    for n in range(0, count, 8):
        out[n : n + 8] = block
    os.sync()


def run(command):
    """Return the seconds of the work that a process tells, and its MiB resident at the most."""
    words = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    if "MiB" in words:  # the command's own summary
        return float(words[words.index("in") + 1]), int(words[words.index("MiB") - 1])
    return float(words[0]), 0


def _remove(path):
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def main():
    """Time each kind of file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--gib", type=float, default=4)
    parser.add_argument("--kernel", default="gaussian")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    found = {}
    for dtype in ("uint8", "float32"):
        count = int(options.gib * 2**30 / (3 * _SIDE**2 * np.dtype(dtype).itemsize)) // 8 * 8
        for suffix in (".npy", ".zarr"):
            source, target = options.folder / f"x{suffix}", options.folder / f"y{suffix}"
            fill(source, dtype, count)
            copy = _COPY_NPY if suffix == ".npy" else _COPY_ZARR
            commands = {
                "files": [sys.executable, "-c", copy, source, target],
                "kernel": [sys.executable, "-c", _KERNEL, options.kernel, dtype, str(count)],
                "apply": [sys.executable, "-m", "numbaconv", "apply", source, target, "--kernel",
                          options.kernel],
            }  # fmt: skip
            seconds = {name: [] for name in commands}
            for _ in range(options.rounds):
                for name, command in commands.items():
                    _remove(target)
                    taken, memory = run(command)
                    seconds[name].append(taken)
            least = {name: round(min(values), 2) for name, values in seconds.items()}
            slower = max(least["files"], least["kernel"])
            found[f"{dtype} {suffix}"] = {
                **least, "share": round(slower / least["apply"], 2), "MiB": round(memory),
            }  # fmt: skip
            print(dtype, suffix, found[f"{dtype} {suffix}"], flush=True)
            _remove(source)
            _remove(target)
    engines.save("array_stream", {"GiB": options.gib, "kernel": options.kernel, "results": found})


if __name__ == "__main__":
    main()
