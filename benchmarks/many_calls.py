"""A million calls from eight Python threads: no wrong result, no growth of memory.

Run as ``python -m benchmarks.many_calls``. Each thread goes through convolutions by every
algorithm, gradients, im2col and pools, small and large enough for Numba's threads, and compares
each result with that of a first, serial call, bit for bit. The resident memory is read after a
tenth of the calls and at the end. Writes ``benchmarks/results/many_calls.json``.
"""

import argparse
import threading
import time

import numba
import numpy as np
import psutil

import numbaconv as nbc
from benchmarks import engines


def problems():
    """Return functions of `parallel`, each with a result that never changes."""
    rng = np.random.default_rng(0)
    found = []
    for shape, outputs in (((1, 3, 12, 13), 4), ((2, 8, 40, 41), 8)):
        x = rng.standard_normal(shape, dtype="f4")
        w = rng.standard_normal((outputs, shape[1], 3, 3), dtype="f4")
        g = nbc.conv2d(x, w, padding=1, algorithm="direct")
        names = [n for n in nbc.algorithms(x.shape, w.shape, padding=1) if n != "fft"]  # slow here
        found += [
            lambda p, x=x, w=w, n=n: nbc.conv2d(x, w, padding=1, algorithm=n, parallel=p)
            for n in names
        ]
        found += [
            lambda p, x=x: nbc.im2col(x, 3, parallel=p),
            lambda p, x=x: nbc.max_pool2d(x, 2, parallel=p),
            lambda p, x=x, w=w, g=g: nbc.conv2d_input_grad(x.shape, w, g, padding=1, parallel=p),
            lambda p, x=x, w=w, g=g: nbc.conv2d_weight_grad(x, w.shape, g, padding=1, parallel=p),
        ]
        layer = nbc.Conv2d(w, padding=1)
        found.append(lambda p, x=x, layer=layer: layer(x, parallel=p))
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--calls", type=int, default=1_000_000)
    parser.add_argument("--threads", type=int, default=8)
    options = parser.parse_args()
    work = problems()
    expected = [call(False) for call in work]
    each = options.calls // options.threads
    wrong, memory, process = [], [], psutil.Process()
    gate = threading.Barrier(options.threads)

    def run(number):
        for i in range(each):
            which = (i * 7 + number) % len(work)
            if not np.array_equal(work[which]((i + number) % 4 != 0), expected[which]):
                wrong.append(which)
            if i + 1 in (each // 10, each):
                gate.wait()  # nobody is in a call while memory is read
                if number == 0:
                    memory.append(process.memory_info().rss)
                gate.wait()

    begin = time.perf_counter()
    threads = [threading.Thread(target=run, args=(n,)) for n in range(options.threads)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    result = {
        "calls": each * options.threads, "threads": options.threads, "wrong": len(wrong),
        "threading layer": numba.threading_layer(),
        "seconds": round(time.perf_counter() - begin, 1),
        "MiB after a tenth": round(memory[0] / 2**20, 1),
        "MiB at the end": round(memory[1] / 2**20, 1),
        "numba": numba.__version__, "numpy": np.__version__,
    }  # fmt: skip
    engines.save("many_calls", result)


if __name__ == "__main__":
    main()
