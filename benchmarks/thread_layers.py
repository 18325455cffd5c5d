"""What it costs to share a loop with other threads: Numba's layers and our teams.

Run as ``python -m benchmarks.thread_layers [--save]``. One loop of 64 equal parts, some 0.13 ms on
one thread, with 2 threads: as a `prange` under each of Numba's threading layers that start here
(TBB needs ``pip install tbb``), and by `numbaconv.teams`. Each in a process of its own, one at a
time, beside 0, 1 and 2 processes that do nothing but count. Prints and saves the mean, the median
and the 99.9th percentile in milliseconds. Writes ``benchmarks/results/thread_layers.json``.
"""

import argparse
import json
import os
import subprocess
import sys

from benchmarks import contention, engines

LAYERS = ("alone", "omp", "tbb", "workqueue", "teams")
_SOURCE = """
import json, os, sys, time
import numba, numpy as np
from numbaconv.teams import jobs
from numbaconv.teams.jobs import fork_tasks, team_kernel, team_part
name = sys.argv[1]

@numba.njit
def part(index, sums):
    found = 0.0
    for i in range(2000):
        found += sums[index, i & 7]
    sums[index, 8] = found

@team_part
def team_part_of(task, worker, sums):
    part(task, sums)

@team_kernel
def by_team(team, workers, sums):
    fork_tasks(team, workers, 64, team_part_of, (sums,))

@numba.njit(parallel=True)
def by_prange(sums):
    for index in numba.prange(64):
        part(index, sums)

@numba.njit
def alone(sums):
    for index in range(64):
        part(index, sums)

sums = np.ones((64, 16))
call = {"alone": lambda: alone(sums), "teams": lambda: jobs.run(by_team, 2, sums)}.get(
    name, lambda: by_prange(sums))
if name not in ("alone", "teams"):
    call()
    assert numba.threading_layer() == name
for _ in range(20):
    call()
print("ready", flush=True)
sys.stdin.readline()
times, begin = [], time.perf_counter()
while time.perf_counter() - begin < 3:
    start = time.perf_counter()
    call()
    times.append(time.perf_counter() - start)
t = 1000 * np.array(times)
print(json.dumps({"mean": t.mean(), "median": np.median(t), "99.9 %": np.percentile(t, 99.9)}))
"""


def measure(layer, busy):
    """Return a layer's milliseconds beside so many busy processes, or None if it does not start."""
    environment = engines.environment()
    if layer not in ("alone", "teams"):
        environment["NUMBA_THREADING_LAYER"] = layer
    library = os.path.join(sys.prefix, "lib")  # where pip puts TBB
    environment["LD_LIBRARY_PATH"] = library
    child = subprocess.Popen(
        [sys.executable, "-c", _SOURCE, layer], text=True, env=environment,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    if not child.stdout.readline():
        child.communicate()
        return None
    with contention.beside(busy):
        answer, _ = child.communicate("go\n")
    return {k: round(v, 4) for k, v in json.loads(answer).items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--save", action="store_true")
    options = parser.parse_args()
    result = {}
    for busy in contention.BUSY:
        table = result.setdefault(f"{busy} busy", {})
        for layer in LAYERS:
            table[layer] = measure(layer, busy)
            print(f"{busy} busy  {layer:10}", table[layer] or "does not start here", flush=True)
    if options.save:
        engines.save("thread_layers", {"milliseconds": result}, quiet=True)


if __name__ == "__main__":
    main()
