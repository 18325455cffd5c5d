"""A .zarr array larger than memory through ``numbaconv apply``: peak memory, and what bounds it.

Run as ``python -m benchmarks.zarr_stream FOLDER [--gib 20]``, FOLDER with room for as much. The
input is generated: float32 images of 3x512x512 of which no chunk is stored, so that reading makes
them of the fill value. The output is stored uncompressed. Processes take turns: the disk alone (as
many bytes through zarr) and the command, each over the whole array, and the kernel alone over
images in memory. The operating system says the command's peak memory. Writes
``results/zarr_stream.json``.
"""

import argparse
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import zarr

from benchmarks import engines

SHAPE = (3, 512, 512)
BATCH = 8
WEIGHT = np.random.default_rng(0).standard_normal((3, 3, 5, 5)).astype("f4")

_KERNEL = f"""
import time, numpy as np, numbaconv as nbc
w = np.load("w.npz")["weight"]
x = np.zeros(({BATCH}, *{SHAPE}), "f4")
nbc.conv2d(x, w, padding=2)
begin, rounds = time.perf_counter(), 60
for _ in range(rounds):
    nbc.conv2d(x, w, padding=2)
print(rounds * {BATCH} / (time.perf_counter() - begin))
"""
_DISK = f"""
import os, sys, time, numpy as np, zarr
count = int(sys.argv[1])
source = zarr.open_array("x.zarr", mode="r")
begin = time.perf_counter()
made = zarr.create_array(store="disk.zarr", shape=source.shape, dtype="f4",
                         chunks=({BATCH}, *{SHAPE}), compressors=None, overwrite=True)
for n in range(0, count, {BATCH}):
    images = source[n : n + {BATCH}]
    images[:] = n + 1  # what equals the fill value would not be stored
    made[n : n + {BATCH}] = images
print(count / (time.perf_counter() - begin))
"""


def generated(path, count):
    """Make an array of so many images, of which nothing is stored."""
    zarr.create_array(
        store=str(path), shape=(count, *SHAPE), dtype="f4", chunks=(BATCH, *SHAPE),
        compressors=None, fill_value=1.5, overwrite=True,
    )  # fmt: skip


def apply(folder, source, target):
    """Run the command; return its seconds and the peak of its memory in MiB."""
    begin = time.perf_counter()
    child = subprocess.Popen(
        [sys.executable, "-m", "numbaconv", "apply", source, target, "--weights", "w.npz",
         "--padding", "2", "--batch", str(BATCH), "--quiet"],
        cwd=folder,
    )  # fmt: skip
    _, status, usage = os.wait4(child.pid, 0)
    if status:
        raise SystemExit(f"numbaconv apply ended with status {status}")
    return time.perf_counter() - begin, usage.ru_maxrss / 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--gib", type=float, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    folder = options.folder
    image = 4 * int(np.prod(SHAPE))
    count = int(options.gib * 2**30 / image) // BATCH * BATCH
    np.savez(folder / "w.npz", weight=WEIGHT)
    generated(folder / "one.zarr", BATCH)
    apply(folder, "one.zarr", "y.zarr")  # compiled from here on
    generated(folder / "x.zarr", count)
    rates = {"kernel": [], "disk": [], "command": []}
    peak = 0
    for _ in range(options.rounds):
        for name, source in (("kernel", _KERNEL), ("disk", _DISK)):
            done = subprocess.run([sys.executable, "-c", source, str(count)], cwd=folder,
                                  capture_output=True, text=True, check=True)  # fmt: skip
            rates[name].append(float(done.stdout))
        shutil.rmtree(folder / "disk.zarr")
        seconds, memory = apply(folder, "x.zarr", "y.zarr")
        rates["command"].append(count / seconds)
        peak = max(peak, memory)
    made = zarr.open_array(str(folder / "y.zarr"), mode="r")
    expected = 1.5 * WEIGHT.astype("f8").sum(axis=(1, 2, 3))
    for n in (0, count // 2, count - 1):
        assert np.allclose(made[n, :, 100, 200], expected, atol=1e-3)
    shutil.rmtree(folder / "y.zarr")
    pairs = zip(*rates.values(), strict=True)
    shares = sorted(command / min(kernel, disk) for kernel, disk, command in pairs)
    result = {
        "GiB in": round(count * image / 2**30, 2), "images": count,
        **{f"{name}, images a second": [round(r, 1) for r in found]
           for name, found in rates.items()},
        "command over the slower of kernel and disk, median": round(shares[len(shares) // 2], 3),
        "peak memory of the command, MiB": round(peak),
        "zarr": zarr.__version__, "numpy": np.__version__,
    }  # fmt: skip
    engines.save("zarr_stream", result)


if __name__ == "__main__":
    main()
