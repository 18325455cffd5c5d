"""Races on the compilation cache: many processes fill an empty one, others check all results.

Run as ``python -m benchmarks.cache_stress --repetitions 20``. Each repetition starts eight
processes at once, of different dtypes and layouts, on an empty cache, and then eight more, which
must find what they need and get every result right. Prints what went wrong; exit status 1 if
anything did.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

VARIANTS = [
    (dtype, layout)
    for dtype in ("float32", "float64", "int16", "int64")
    for layout in ("channels_first", "channels_last")
]


def race(folder, seed):
    """Run all variants at once; return what those printed that failed."""
    environment = os.environ | {"NUMBA_CACHE_DIR": folder}
    racers = [
        subprocess.Popen(
            [sys.executable, "tests/cache_racer.py", *variant, str(seed + number)],
            env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        for number, variant in enumerate(VARIANTS)
    ]  # fmt: skip
    printed = [racer.communicate()[0] for racer in racers]
    return [text for racer, text in zip(racers, printed, strict=True) if racer.returncode]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=20)
    options = parser.parse_args()
    wrong = []
    for repetition in range(options.repetitions):
        start = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            counts = []
            for turn in range(2):
                wrong += race(folder, 100 * repetition + 10 * turn)
                counts.append(len(list(Path(folder).glob("*/*.bin"))))
        if counts[0] != counts[1]:
            wrong.append(f"{counts[1] - counts[0]} entries were not found again")
        seconds = time.perf_counter() - start
        print(f"{repetition + 1}: {counts[0]} entries, {seconds:.0f} s, {len(wrong)} wrong so far")
    print("\n".join(wrong))
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
