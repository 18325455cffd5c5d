"""Running engines in processes of their own, and saying what machine they ran on."""

import datetime
import json
import os
import platform
import subprocess
from pathlib import Path

RESULTS = Path(__file__).with_name("results")

# In front of each engine's source: `least(call)` is the least time of a call in seconds.
CLOCK = """
import json, sys, time
def least(call, seconds=0.2, rounds=5):
    call()
    times = []
    begin = time.perf_counter()
    while len(times) < rounds or time.perf_counter() - begin < seconds:
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return min(times)
"""


def environment():
    """Return the environment of an engine's process: 2 threads."""
    return os.environ | {"NUMBA_NUM_THREADS": "2", "OMP_NUM_THREADS": "2"}


def run(python, source, *arguments):
    """Run an engine's source with 2 threads and return the JSON value that it prints."""
    command = [python, "-c", CLOCK + source, *arguments]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def save(name, result, *, quiet=False):
    """Write a result with the date and the CPU to ``results/NAME.json`` and print it."""
    import llvmlite.binding

    machine = f"{llvmlite.binding.get_host_cpu_name()}, {os.cpu_count()} cores, {platform.system()}"
    result = {"date": datetime.date.today().isoformat(), "cpu": machine} | result
    text = json.dumps(result, indent=1)
    (RESULTS / f"{name}.json").write_text(text + "\n")
    if not quiet:
        print(text)
