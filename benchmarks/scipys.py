"""SciPy's doors beside SciPy, and beside OpenCV where it has the same: one table.

Run as ``python -m benchmarks.scipys [--opencv PYTHON] [--only PART] [--save]``, PYTHON being an
interpreter that has OpenCV. 1500x2100 images, 100x100x100 volumes, rows of a million, float32,
uint8 and float64, 2 threads; ours and SciPy's take turns in one process, OpenCV's are in another,
before and after. Least times of a call. Writes ``benchmarks/results/scipys.json``.
"""

import argparse
import json
import math
import subprocess
import sys
import time

import numpy as np
import scipy.ndimage
import scipy.signal

from benchmarks import engines
from numbaconv import ndimage, signal

SHAPES = {"image": (1500, 2100), "volume": (100, 100, 100), "row": (1_000_000,)}
DTYPES = ("float32", "uint8", "float64")
_ROUNDS = 4
#: Names, and what is called with an array: of a module of SciPy's names.
CALLS = {
    "correlate 5": lambda m, x: m.correlate(x, _weights(x.ndim, 5)),
    "correlate 3": lambda m, x: m.correlate(x, _weights(x.ndim, 3)),
    "correlate1d 9": lambda m, x: m.correlate1d(x, _weights(1, 9), 0),
    "gaussian 1": lambda m, x: m.gaussian_filter(x, 1),
    "gaussian 3": lambda m, x: m.gaussian_filter(x, 3),
    "gaussian 10": lambda m, x: m.gaussian_filter(x, 10),
    "uniform 5": lambda m, x: m.uniform_filter(x, 5),
    "uniform 31": lambda m, x: m.uniform_filter(x, 31),
    "sobel": lambda m, x: m.sobel(x, 0),
    "laplace": lambda m, x: m.laplace(x),
    "gaussian gradient 2": lambda m, x: m.gaussian_gradient_magnitude(x, 2),
    "maximum 3": lambda m, x: m.maximum_filter(x, 3),
    "maximum 9": lambda m, x: m.maximum_filter(x, 9),
    "minimum 51": lambda m, x: m.minimum_filter(x, 51),
}
_OPENCV = """
import json, sys, time
import cv2, numpy as np
cv2.setNumThreads(2)
rng = np.random.default_rng(0)
w = {n: np.random.default_rng(n).random((n, n)) for n in (3, 5)}
for dtype in ("float32", "uint8", "float64"):
    x = (rng.random((1500, 2100)) * 200).astype(dtype)
    k = cv2.BORDER_REFLECT
    calls = {
        "correlate 5": lambda: cv2.filter2D(x, -1, w[5], borderType=k),
        "correlate 3": lambda: cv2.filter2D(x, -1, w[3], borderType=k),
        "gaussian 1": lambda: cv2.GaussianBlur(x, (9, 9), 1, borderType=k),
        "gaussian 3": lambda: cv2.GaussianBlur(x, (25, 25), 3, borderType=k),
        "gaussian 10": lambda: cv2.GaussianBlur(x, (81, 81), 10, borderType=k),
        "uniform 5": lambda: cv2.blur(x, (5, 5), borderType=k),
        "uniform 31": lambda: cv2.blur(x, (31, 31), borderType=k),
        "sobel": lambda: cv2.Sobel(x, -1, 0, 1, borderType=k),
        "maximum 3": lambda: cv2.dilate(x, np.ones((3, 3), "u1"), borderType=k),
        "maximum 9": lambda: cv2.dilate(x, np.ones((9, 9), "u1"), borderType=k),
        "minimum 51": lambda: cv2.erode(x, np.ones((51, 51), "u1"), borderType=k),
    }
    for name, call in calls.items():
        try:
            call()
        except cv2.error:
            continue
        least = 1e9
        for _ in range(12):
            start = time.perf_counter()
            call()
            least = min(least, time.perf_counter() - start)
        print(json.dumps([f"{name} image {dtype}", least]), flush=True)
"""


def _weights(ndim, n):
    return np.random.default_rng(n).random((n,) * ndim)


def opencv(python):
    """Return OpenCV's least times, by name."""
    done = subprocess.run([python, "-c", _OPENCV], capture_output=True, text=True, check=True)
    return dict(json.loads(line) for line in done.stdout.splitlines())


def turns(ours, theirs):
    """Return the least times of two calls that take turns."""
    least = [math.inf, math.inf]
    ours()
    for turn in range(_ROUNDS):
        for i, call in enumerate((ours, theirs)):
            for _ in range(1 if i or turn < 1 else 4):
                start = time.perf_counter()
                call()
                least[i] = min(least[i], time.perf_counter() - start)
    return least


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--opencv", metavar="PYTHON", help="an interpreter that has OpenCV")
    parser.add_argument("--only", action="append", help="calls whose names contain this")
    parser.add_argument("--save", action="store_true")
    options = parser.parse_args()
    others = opencv(options.opencv) if options.opencv else {}
    table = {}
    rng = np.random.default_rng(0)
    for kind, shape in SHAPES.items():
        for dtype in DTYPES:
            x = (rng.random(shape) * 200).astype(dtype)
            for name, call in CALLS.items():
                key = f"{name} {kind} {dtype}"
                if options.only and not any(part in key for part in options.only):
                    continue
                found = turns(lambda: call(ndimage, x), lambda: call(scipy.ndimage, x))  # noqa: B023
                table[key] = dict(zip(("numbaconv", "scipy"), found, strict=True))
    image = rng.random((512, 512))
    for n in (5, 15):
        found = turns(
            lambda: signal.convolve2d(image, _weights(2, n), "same"),  # noqa: B023
            lambda: scipy.signal.convolve2d(image, _weights(2, n), "same"),  # noqa: B023
        )
        table[f"convolve2d {n} 512x512 float64"] = dict(
            zip(("numbaconv", "scipy"), found, strict=True)
        )
    if options.opencv:
        again = opencv(options.opencv)
        for key in others.keys() & table.keys():
            table[key]["opencv"] = min(others[key], again[key])
    report(table, save=options.save)


def report(table, *, save):
    """Print ratios, and a summary by dtype."""
    groups = {}
    for key, row in table.items():
        for peer in row.keys() - {"numbaconv"}:
            ratio = row[peer] / row["numbaconv"]
            groups.setdefault(f"over {peer}, {key.split()[-1]}", []).append(ratio)
            row[f"over {peer}"] = round(ratio, 2)
        shown = {k: round(1e3 * v, 3) if "over" not in k else v for k, v in row.items()}
        table[key] = shown
        print(f"{key:40} {shown}", flush=True)
    summary = {
        key: {
            "geomean": round(math.exp(sum(map(math.log, ratios)) / len(ratios)), 2),
            "least": round(min(ratios), 2),
        }
        for key, ratios in sorted(groups.items())
    }
    print(json.dumps(summary, indent=1))
    if save:
        engines.save("scipys", {"summary": summary, "least milliseconds": table}, quiet=True)


if __name__ == "__main__":
    sys.exit(main())
