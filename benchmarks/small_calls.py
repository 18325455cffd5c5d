"""What a call on small arrays takes: `conv2d` and `Conv2d`, from Python, float32, channels first.

Run as ``python -m benchmarks.small_calls``: microseconds, the least of some thousand calls, 20 at a
time; the weights are packed in the call by the function alone. To compare two checkouts run it in
both, in turns.
"""

import time

import numpy as np

import numbaconv as nbc
from benchmarks import engines

#: (images, input channels, size, output channels, kernel, padding)
PROBLEMS = [
    (1, 1, 16, 1, 3, 0),
    (1, 1, 32, 1, 3, 0),
    (1, 8, 14, 8, 1, 0),
    (1, 8, 14, 4, 3, 1),
    (1, 16, 5, 16, 1, 0),
    (8, 6, 8, 8, 3, 1),
    (8, 8, 14, 8, 1, 0),
]
_CALLS = 20


def least(call, seconds=0.3):
    """Return the microseconds of a call."""
    for _ in range(20):  # the tenth is recorded
        call()
    best, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        for _ in range(_CALLS):
            call()
        best = min(best, (time.perf_counter() - start) / _CALLS)
    return round(1e6 * best, 2)


def timed(images, channels, size, outputs, kernel, padding):
    """Return a problem's name and what its calls take."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((images, channels, size, size), np.float32)
    weight = rng.standard_normal((outputs, channels, kernel, kernel), np.float32)
    bias = rng.standard_normal(outputs, np.float32)
    layer = nbc.Conv2d(weight, padding=padding)
    return f"{images}x{channels}x{size}x{size}, {kernel}x{kernel} to {outputs}", {
        "conv2d": least(lambda: nbc.conv2d(x, weight, padding=padding)),
        "with a bias": least(lambda: nbc.conv2d(x, weight, bias, padding=padding)),
        "Conv2d": least(lambda: layer(x)),
    }


def main():
    """Time all, and write ``benchmarks/results/small_calls.json``."""
    table = dict(timed(*problem) for problem in PROBLEMS)
    for name, row in table.items():
        print(name, row)
    engines.save("small_calls", {"microseconds": table}, quiet=True)


if __name__ == "__main__":
    main()
