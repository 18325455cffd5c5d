"""Two checkouts of numbaconv against each other: layers of known networks, and tiny calls.

::

    python -m benchmarks.two_trees OLD NEW [--rounds 5]

OLD and NEW are folders of checkouts. Each runs in a process of its own, in turns. Printed
are the ratios of the least times, OLD / NEW: above 1 the new one is faster.
"""

import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import click
import numpy as np

_SECONDS = 0.08


def _calls() -> dict[str, Callable[[], Any]]:
    """Return what is timed, by its name."""
    import numbaconv as nbc
    from numbaconv.bench.layers import NETWORKS

    calls: dict[str, Callable[[], Any]] = {}

    def add(layer: Any) -> None:
        x, weight = layer.arrays(1)
        options = {"stride": layer.stride, "padding": layer.padding, "groups": layer.groups}
        prepared = nbc.Conv2d(weight, **options)
        calls[f"{layer.name} prepared"] = lambda: prepared(x)
        calls[f"{layer.name} plain"] = lambda: nbc.conv2d(x, weight, **options)

    for layer in NETWORKS:
        add(layer)
    x, w = np.ones((1, 3, 8, 8), "f4"), np.ones((4, 3, 3, 3), "f4")
    layer, g = nbc.Conv2d(w, padding=1), np.ones((1, 4, 8, 8), "f4")
    calls |= {
        "tiny conv2d": lambda: nbc.conv2d(x, w, padding=1),
        "tiny Conv2d": lambda: layer(x),
        "tiny conv2d_input_grad": lambda: nbc.conv2d_input_grad(x.shape, w, g, padding=1),
        "tiny conv2d_weight_grad": lambda: nbc.conv2d_weight_grad(x, w.shape, g, padding=1),
        "tiny conv2d_backward": lambda: nbc.conv2d_backward(g, x, w, padding=1),
        "tiny conv_transpose2d": lambda: nbc.conv_transpose2d(g, w),
        "tiny max_pool2d": lambda: nbc.max_pool2d(x, 2),
        "tiny avg_pool2d": lambda: nbc.avg_pool2d(x, 2),
        "tiny im2col": lambda: nbc.im2col(x, 3),
    }
    return calls


def _serve() -> None:
    """Time the calls whose names come in, one line each."""
    calls = _calls()
    for call in calls.values():
        call()
    print(json.dumps(list(calls)), flush=True)
    for name in sys.stdin:
        call = calls[name.strip()]
        best, end = math.inf, time.perf_counter() + _SECONDS
        while time.perf_counter() < end:
            start = time.perf_counter()
            call()
            best = min(best, time.perf_counter() - start)
        print(best, flush=True)


@click.command()
@click.argument("trees", nargs=2, type=click.Path(exists=True, resolve_path=True))
@click.option("--rounds", default=5)
def main(trees: tuple[str, str], rounds: int) -> None:
    """Print the ratios, and their geometric mean."""
    processes = [
        subprocess.Popen(
            [sys.executable, os.path.abspath(__file__), "--serve"], text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": tree},
        )
        for tree in trees
    ]  # fmt: skip
    names, _ = (json.loads(p.stdout.readline()) for p in processes)
    least = {name: [math.inf, math.inf] for name in names}
    for turn in range(rounds):
        for name in names:
            for n in (0, 1) if turn % 2 == 0 else (1, 0):
                print(name, file=processes[n].stdin, flush=True)
                least[name][n] = min(least[name][n], float(processes[n].stdout.readline()))
    ratios = {name: old / new for name, (old, new) in least.items()}
    for name in sorted(ratios, key=ratios.__getitem__):
        print(f"{ratios[name]:6.3f}  {least[name][1] * 1e6:10.1f} us  {name}")
    for kind in ("prepared", "plain", "tiny"):
        found = [math.log(r) for name, r in ratios.items() if kind in name]
        print(f"{kind}: {math.exp(sum(found) / len(found)):.3f} over {len(found)}")


if __name__ == "__main__":
    if sys.argv[1:] == ["--serve"]:
        _serve()
    else:
        main()
