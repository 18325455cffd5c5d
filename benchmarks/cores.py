"""What more cores bring: a layer of each kind, and im2col, at 1, 2, 4, 8 and 16 threads.

Run as ``python -m benchmarks.cores --out FOLDER`` on a machine of many cores that has PyTorch and
ONNX Runtime; those that are missing are left out. An engine runs in a process of its own, one after
the other, float32, batch 1 and 32, weights prepared where an engine can; a figure is the least
time of a call. Lines of JSON go to ``FOLDER/cores.jsonl`` as they come. ``--warm N`` compiles our
kernels in N processes before. ``python -m benchmarks.cores --report FOLDER`` writes
``results/cores.json`` and ``docs/cores.png``.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from numbaconv.bench.layers import Layer

ENGINES = ("numbaconv", "torch", "onnxruntime")
LAYERS = [
    Layer("dense", 64, 56, 64, 3, 1, 1),
    Layer("pointwise", 128, 28, 256, 1),
    Layer("strided", 64, 56, 128, 3, 2, 1),
    Layer("stem", 3, 224, 32, 3, 2, 1),
    Layer("patch", 3, 224, 192, 16, 16),
    Layer("depthwise", 96, 56, 96, 5, 1, 2, 96),
    Layer("grouped", 64, 28, 64, 3, 1, 1, 8),
    Layer("dilated", 64, 28, 64, 3, 1, 2, 1, 2),
    Layer("wide", 32, 28, 32, 7, 1, 3),
    Layer("head", 256, 14, 21, 1),
    Layer("image", 1, 512, 1, 7, 1, 3),
    Layer("tiny", 8, 12, 8, 3, 1, 1),
    Layer("signal", 32, 4096, 32, 9, 1, 4, ndim=1),
    Layer("volume", 16, 16, 16, 3, 1, 1, ndim=3),
]
BATCHES, THREADS = (1, 32), (1, 2, 4, 8, 16)
RESULTS = Path(__file__).parent / "results"
PICTURE = Path(__file__).parent.parent / "docs" / "cores.png"


def least(call, seconds=0.08, rounds=4):
    call()
    times = []
    begin = time.perf_counter()
    while len(times) < rounds or time.perf_counter() - begin < seconds:
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
        if time.perf_counter() - begin > 1:
            break
    return min(times)


def make(engine, layer, x, weight, threads):
    """Return a call of an engine with so many threads."""
    from numbaconv.bench import engine as engines

    engines.THREADS = threads
    if engine == "numbaconv":
        import numba

        numba.set_num_threads(threads)
        return engines.numbaconv_prepared(layer, x, weight)
    return getattr(engines, engine)(layer, x, weight)


def matrix(engine, x, threads):
    """Return a call of im2col (unfold), or None for an engine without one."""
    if engine == "numbaconv":
        import numba

        import numbaconv as nbc

        numba.set_num_threads(threads)
        return lambda: nbc.im2col(x, (3, 3), padding=1)
    if engine == "torch":
        import torch

        torch.set_num_threads(threads)
        images = torch.from_numpy(x)
        return lambda: torch.nn.functional.unfold(images, (3, 3), padding=1)
    return None


def measure(engine, part, parts, warming):
    """Print a line of JSON for each layer, batch and number of threads."""
    most = len(os.sched_getaffinity(0))
    cases = [(layer, batch) for batch in BATCHES for layer in LAYERS][part::parts]
    for layer, batch in cases:
        x, weight = layer.arrays(batch)
        for threads in (most,) if warming else [t for t in THREADS if t <= most]:
            calls = {layer.name: make(engine, layer, x, weight, threads)}
            if layer.name == "dense":
                calls["im2col"] = matrix(engine, x, threads)
            for name, call in calls.items():
                if call is None:
                    continue
                seconds = call() is None if warming else least(call)
                figure = {"engine": engine, "layer": name, "batch": batch, "threads": threads}
                print(json.dumps(figure | {"us": seconds * 1e6}), flush=True)


def machine():
    import llvmlite.binding
    import numba

    found = {"date": time.strftime("%Y-%m-%d"), "cpu": llvmlite.binding.get_host_cpu_name(),
             "cores": len(os.sched_getaffinity(0)), "numba": numba.__version__,
             "numpy": np.__version__}  # fmt: skip
    for name in ("torch", "onnxruntime"):
        try:
            found[name] = __import__(name).__version__
        except ImportError:
            continue
    return found


def run(folder, warm, engines):
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "benchmarks.cores", "--engine"]
    if warm:
        started = [
            subprocess.Popen(
                [*command, "numbaconv", "--part", f"{i}/{warm}", "--warming"],
                stdout=subprocess.DEVNULL,
            )
            for i in range(warm)
        ]
        for process in started:
            process.wait()
    with (folder / "cores.jsonl").open("a") as lines:
        lines.write(json.dumps(machine()) + "\n")
        lines.flush()
        for engine in engines:
            subprocess.run([*command, engine], stdout=lines, check=False)


def report(folder):
    """Write the table and the picture."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    first, *entries = map(json.loads, (folder / "cores.jsonl").read_text().splitlines())
    times = {(e["engine"], e["layer"], e["batch"], e["threads"]): e["us"] for e in entries}
    result = first | {"us": {}, "geomean of the best peer's time over ours": {}}
    for engine, layer, batch, threads in sorted(times):
        row = result["us"].setdefault(f"{layer}, batch {batch}", {}).setdefault(engine, {})
        row[threads] = round(times[engine, layer, batch, threads], 1)
    threads_seen = sorted({k[3] for k in times})
    figure, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    names = [layer.name for layer in LAYERS]
    for batch, axis in zip(BATCHES, axes, strict=True):
        ratios = {}
        for threads in threads_seen:
            shares = []
            for name in names:
                peers = [times.get((e, name, batch, threads)) for e in ENGINES[1:]]
                ours = times.get(("numbaconv", name, batch, threads))
                if ours and any(peers):
                    shares.append(min(p for p in peers if p) / ours)
            ratios[threads] = round(statistics.geometric_mean(shares), 2)
        result["geomean of the best peer's time over ours"][f"batch {batch}"] = ratios
        for engine in ENGINES:
            speed = [
                statistics.geometric_mean(
                    times[engine, n, batch, threads_seen[0]] / times[engine, n, batch, t]
                    for n in names
                    if (engine, n, batch, t) in times
                )
                for t in threads_seen
            ]
            axis.plot(threads_seen, speed, "o-", label=engine)
        axis.plot(threads_seen, threads_seen, "k:", linewidth=0.8)
        axis.set(xlabel="threads", ylabel="speed, as a multiple of one thread",
                 title=f"batch {batch}, geomean over kinds")  # fmt: skip
        axis.set_xscale("log", base=2)
        axis.set_yscale("log", base=2)
        axis.legend()
    figure.savefig(PICTURE, dpi=90)
    (RESULTS / "cores.json").write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result["geomean of the best peer's time over ours"]))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, metavar="FOLDER")
    parser.add_argument("--report", type=Path, metavar="FOLDER")
    parser.add_argument("--warm", type=int, default=0, metavar="N")
    parser.add_argument("--engines", nargs="*", default=ENGINES)
    parser.add_argument("--engine", choices=ENGINES, help=argparse.SUPPRESS)
    parser.add_argument("--part", default="0/1", help=argparse.SUPPRESS)
    parser.add_argument("--warming", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.report:
        report(options.report)
    elif options.engine:
        part, parts = map(int, options.part.split("/"))
        measure(options.engine, part, parts, options.warming)
    elif options.out:
        run(options.out, options.warm, options.engines)
    else:
        parser.error("--out or --report is needed")


if __name__ == "__main__":
    main()
