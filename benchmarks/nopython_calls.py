"""What a call from jitted code costs beside its kernels.

Run as ``python -m benchmarks.nopython_calls --save``. A loop in jitted code convolves a 16x16x16
image (16 kernels of 3x3, padding 1, float32, weights packed in the call, ``parallel=False``).
Beside it, in turns: the same launches alone, by a loop over the recorded program's own machine
code; a program without launches; and the same call from Python. Least of several rounds.
"""

import argparse
import ctypes
import time

import numba
import numpy as np

import numbaconv as nbc
from benchmarks import engines
from numbaconv.nopython import programs, runtime

_COUNT, _ROUNDS = 5_000, 9


@numba.njit
def call(x, w, count):
    total = np.float32(0)
    for _ in range(count):
        total += nbc.conv2d(x, w, padding=1, parallel=False)[0, 0, 0, 0]
    return total


def native(function, count):
    """Return a jitted loop over a native function of three addresses."""
    run = ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 3)(function)

    @numba.njit
    def loop(program, block, result):
        for _ in range(count):
            run(program, block, result)

    return loop


def microseconds(function):
    start = time.perf_counter()
    function()
    return (time.perf_counter() - start) / _COUNT * 1e6


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--save", action="store_true")
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    x = rng.standard_normal((1, 16, 16, 16), dtype=np.float32)
    w = rng.standard_normal((16, 16, 3, 3), dtype=np.float32)
    call(x, w, 4)
    (site,) = programs.sites()
    ((words, _),) = site.programs
    out, result = np.empty((1, 16, 16, 16), np.float32), np.zeros(1, np.int64)
    pointers = [site.address, x.ctypes.data, w.ctypes.data, *[0] * site.values, out.ctypes.data]
    block = np.array(pointers, np.int64)
    empty = np.array([0, 5, 6, 7, 0, 0, 0, 0], np.int64)
    loop = native(int(runtime.block()[runtime.RUN]), _COUNT)
    places = [array.ctypes.data for array in (words, empty, block, result)]
    timed = {
        "call in jitted code": lambda: call(x, w, _COUNT),
        "its launches": lambda: loop(places[0], places[2], places[3]),
        "no launch": lambda: loop(places[1], places[2], places[3]),
        "call from Python": lambda: [
            nbc.conv2d(x, w, padding=1, parallel=False) for _ in range(_COUNT)
        ],
    }
    least = dict.fromkeys(timed, 1e9)
    for _ in range(_ROUNDS):
        for name, function in timed.items():
            least[name] = min(least[name], microseconds(function))
    assert np.array_equal(out, nbc.conv2d(x, w, padding=1, parallel=False))
    found = {name: round(value, 2) for name, value in least.items()}
    found["over the launches"] = round(least["call in jitted code"] - least["its launches"], 2)
    print(found)
    if options.save:
        engines.save("nopython_calls", {"microseconds": found}, quiet=True)


if __name__ == "__main__":
    main()
