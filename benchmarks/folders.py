"""``numbaconv apply`` on folders of photographs and small images, beside what Pillow alone takes.

Pillow alone: two threads that decode every file and encode it again in the same way. Each is a
process of its own; they take turns, and the least of several rounds counts. ``work`` leaves out the
start of the interpreter and its imports, ``process`` is all of it.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from importlib import metadata
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_sample_images

from benchmarks import engines

_PILLOW = """
import sys, time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from PIL import Image
source, target = map(Path, sys.argv[1:])
target.mkdir(exist_ok=True)
def copy(path):
    with Image.open(path) as image:
        image.load()
        options = {"quality": 95} if image.format == "JPEG" else {}
        image.save(target / path.name, image.format, **options)
begin = time.perf_counter()
with ThreadPoolExecutor(2) as pool:
    list(pool.map(copy, sorted(source.iterdir())))
print("work", time.perf_counter() - begin)
"""
_FOLDERS = {
    "16 JPEGs of 4000x3000": (16, (4000, 3000), "jpg"),
    "2000 PNGs of 256x256": (2000, (256, 256), "png"),
}


def fill(folder, count, size, suffix):
    """Write photographs: parts of two real ones, each enlarged, with the noise of a sensor."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    sources = [Image.fromarray(image) for image in load_sample_images().images]
    for n in range(count):
        left, top = (int(v) for v in rng.integers(0, 100, 2))
        part = sources[n % 2].crop((left, top, left + 520, top + 320)).resize(size)
        noise = rng.integers(-4, 5, (size[1], size[0], 1), dtype=np.int16)
        pixels = (np.asarray(part) + noise).clip(0, 255).astype(np.uint8)
        options = {"quality": 92} if suffix == "jpg" else {}
        Image.fromarray(pixels).save(folder / f"{n:04}.{suffix}", **options)


def run(command):
    """Return (seconds of the process, of its work, and the most MiB resident that it tells)."""
    begin = time.perf_counter()
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    seconds = time.perf_counter() - begin
    words = out.split()
    work = float(words[words.index("work" if "work" in words else "in") + 1])
    return seconds, work, int(words[words.index("MiB") - 1]) if "MiB" in words else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--kernel", default="sharpen")
    options = parser.parse_args()
    found = {}
    with tempfile.TemporaryDirectory() as scratch:
        for name, description in _FOLDERS.items():
            source, target = Path(scratch) / "in", Path(scratch) / "out"
            fill(source, *description)
            commands = {
                "pillow": [sys.executable, "-c", _PILLOW, source, target],
                "numbaconv": [sys.executable, "-m", "numbaconv", "apply", source, target,
                              "--kernel", options.kernel, "--threads", "2"],
            }  # fmt: skip
            run(commands["numbaconv"])  # compiled, or loaded, before anything is timed
            rounds = {engine: [] for engine in commands}
            for _ in range(options.rounds):
                for engine, command in commands.items():
                    rounds[engine].append(run(command))
            least = {e: [min(column) for column in zip(*r, strict=True)] for e, r in rounds.items()}
            pillow, ours = least["pillow"], least["numbaconv"]
            memory = max(r[2] for r in rounds["numbaconv"])
            found[name] = {
                "process": round(ours[0], 2), "work": round(ours[1], 2), "MiB": round(memory),
                "pillow process": round(pillow[0], 2), "pillow work": round(pillow[1], 2),
                "ratio of processes": round(ours[0] / pillow[0], 2),
                "ratio of work": round(ours[1] / pillow[1], 2),
            }  # fmt: skip
            print(name, found[name], flush=True)
            subprocess.run(["rm", "-r", source, target], check=True)
    versions = {name: metadata.version(name) for name in ("numba", "numpy", "pillow")}
    engines.save("folders", {"versions": versions, "kernel": options.kernel, "results": found})


if __name__ == "__main__":
    main()
