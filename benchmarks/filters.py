"""Image filters: one 2048x2048 image and a 5x5 kernel, against SciPy and OpenCV.

Run as ``python -m benchmarks.filters --python PYTHON``, PYTHON having opencv-python-headless, scipy
and torch. float32, 2 threads, outputs allocated where the library lets one; engines in processes of
their own, taking turns; least times. Writes ``benchmarks/results/filters.json``.
"""

import argparse
import sys

from benchmarks import engines

_IMAGE = """
import numpy as np
rng = np.random.default_rng(0)
x = rng.standard_normal((2048, 2048), "float32")
w = rng.standard_normal((5, 5), "float32")
"""
_ENGINES = {
    "numbaconv": """
import numbaconv as nbc
layer = nbc.Conv2d(w[None, None], padding=2)
print(json.dumps(least(lambda: layer(x[None, None]))))
""",
    "numbaconv, float64": """
import numbaconv as nbc
layer = nbc.Conv2d(w[None, None].astype("f8"), padding=2)
x = x.astype("f8")
print(json.dumps(least(lambda: layer(x[None, None]))))
""",
    "scipy.ndimage.correlate": """
import scipy.ndimage
print(json.dumps(least(lambda: scipy.ndimage.correlate(x, w, mode="constant"))))
""",
    "scipy.signal.correlate2d": """
import scipy.signal
print(json.dumps(least(lambda: scipy.signal.correlate2d(x, w, "same"))))
""",
    "cv2.filter2D": """
import cv2
cv2.setNumThreads(2)
print(json.dumps(least(lambda: cv2.filter2D(x, -1, w, borderType=cv2.BORDER_CONSTANT))))
""",
    "torch": """
import torch
torch.set_num_threads(2)
a, b = torch.from_numpy(x)[None, None], torch.from_numpy(w)[None, None]
with torch.inference_mode():
    print(json.dumps(least(lambda: torch.nn.functional.conv2d(a, b, padding=2))))
""",
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--python", required=True)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    times = {}
    for _ in range(options.rounds):
        for name, source in _ENGINES.items():
            python = sys.executable if name.startswith("numbaconv") else options.python
            times.setdefault(name, []).append(engines.run(python, _IMAGE + source))
    ours = min(times["numbaconv"])
    engines.save(
        "filters",
        {
            name: {
                "milliseconds": round(1000 * min(t), 2),
                "over numbaconv": round(min(t) / ours, 1),
            }
            for name, t in times.items()
        },
    )


if __name__ == "__main__":
    main()
