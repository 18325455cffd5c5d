"""Winograd with channels last, beside direct there, and beside Winograd with channels first.

Run as ``python -m benchmarks.channels_last [--batch N] [--save]``. float32, prepared layers that
write to an array of the caller's, 2 threads; the three take turns in one process, least of 7
rounds. Writes ``benchmarks/results/channels_last.json``.
"""

import argparse
import math
import time

import numpy as np

import numbaconv as nbc
from benchmarks import engines

_ROUNDS = 7
_SECONDS = 0.02
#: (channels, outputs, size, kernel)
LAYERS = [
    (16, 16, 56, 3), (32, 48, 112, 3), (64, 64, 56, 3), (96, 128, 35, 3), (128, 128, 28, 3),
    (256, 256, 14, 3), (512, 512, 14, 3), (512, 512, 7, 3), (256, 64, 28, 3), (64, 64, 56, 5),
    (32, 32, 40, 5), (3, 32, 112, 3), (8, 8, 200, 3),
]  # fmt: skip
FORMS = {
    "direct, last": ("channels_last", "direct"),
    "winograd, last": ("channels_last", "winograd"),
    "winograd, first": ("channels_first", "winograd"),
}


def call(layer, batch, layout, algorithm):
    """Return a call of a prepared layer."""
    channels, outputs, size, kernel = layer
    rng = np.random.default_rng(0)
    x = rng.standard_normal((batch, channels, size, size), dtype="f4")
    w = rng.standard_normal((outputs, channels, kernel, kernel), dtype="f4")
    if layout == "channels_last":
        x = np.ascontiguousarray(np.moveaxis(x, 1, -1))
        w = np.ascontiguousarray(np.moveaxis(w, (0, 1), (3, 2)))
    prepared = nbc.Conv2d(w, padding=kernel // 2, layout=layout, algorithm=algorithm)
    out = np.empty_like(prepared(x))
    return lambda: prepared(x, out=out)


def least(calls):
    """Return the least time of each call; they take turns."""
    found = [math.inf] * len(calls)
    for _ in range(_ROUNDS):
        for i, one in enumerate(calls):
            end = time.perf_counter() + _SECONDS
            while True:
                start = time.perf_counter()
                one()
                now = time.perf_counter()
                found[i] = min(found[i], now - start)
                if now > end:
                    break
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, action="append", help="by default 1 and 8")
    parser.add_argument("--save", action="store_true")
    options = parser.parse_args()
    table = {}
    for batch in options.batch or (1, 8):
        ratios = {"direct over winograd": [], "winograd last over first": []}
        for layer in LAYERS:
            direct, last, first = least([call(layer, batch, *form) for form in FORMS.values()])
            row = dict(zip(FORMS, (round(1e3 * t, 4) for t in (direct, last, first)), strict=True))
            channels, outputs, size, kernel = layer
            name = f"{channels}@{size}-{outputs}.{kernel}x{kernel} b{batch}"
            ratios["direct over winograd"].append(direct / last)
            ratios["winograd last over first"].append(last / first)
            table[name] = row | {key: round(found[-1], 2) for key, found in ratios.items()}
            print(f"{name:24} {table[name]}", flush=True)
        for key, found in ratios.items():
            mean = round(math.exp(sum(map(math.log, found)) / len(found)), 2)
            table[f"{key}, batch {batch}"] = mean
            print(f"{key}, batch {batch}: {mean}", flush=True)
    if options.save:
        engines.save("channels_last", {"least milliseconds": table}, quiet=True)


if __name__ == "__main__":
    main()
