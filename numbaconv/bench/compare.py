"""Engines against each other, layer by layer, each in a process of its own, taking turns."""

import contextlib
import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from statistics import geometric_mean
from typing import Any

from numbaconv.bench.engine import ENGINES
from numbaconv.bench.kinds import find
from numbaconv.bench.layers import BY_NAME, FAMILIES

#: The engines whose weights are prepared, or that are judged as if they were.
PEERS = ("torch", "onnxruntime", "openvino", "ncnn")
# Seconds between two engines, in which the threads of the first go to sleep.
_PAUSE = 0.1

Times = dict[str, float]
Result = dict[str, dict[str, Times]]


class Process:
    """An engine that answers on its standard output.

    Parameters
    ----------
    name : str
        A key of `ENGINES`.
    python : str
        The interpreter that has it.
    """

    def __init__(self, name: str, python: str) -> None:
        environment = os.environ | {"NUMBA_NUM_THREADS": "2", "OMP_NUM_THREADS": "2"}
        self.name = name
        self.pipe = subprocess.Popen(
            [python, "-m", "numbaconv.bench.engine", name], env=environment, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def close(self) -> None:
        """End the process."""
        with contextlib.suppress(OSError):
            self.pipe.communicate()

    def time(self, layer: str, batch: int, seconds: float) -> list[float] | None:
        """Return the least and the median time of a call, or None if it cannot run the layer."""
        assert self.pipe.stdin is not None
        assert self.pipe.stdout is not None
        try:
            self.pipe.stdin.write(f"{layer} {batch} {seconds}\n")
            self.pipe.stdin.flush()
            answer = self.pipe.stdout.readline()
        except OSError:  # it has ended
            answer = ""
        if not answer:
            raise RuntimeError(
                f"{self.name} failed on {layer}, batch {batch}; what it says shows "
                f"`echo {layer} {batch} 0 | python -m numbaconv.bench.engine '{self.name}'`"
            )
        found: list[float] | None = json.loads(answer)
        return found


def run_layers(
    names: Iterable[str],
    batches: Iterable[int],
    chosen: Iterable[str],
    python: str,
    rounds: int,
    seconds: float,
    report: Callable[[str], Any] = print,
) -> Result:
    """Return {batch: {layer: {engine: least milliseconds}}}."""
    processes = [
        Process(name, sys.executable if name.startswith("numbaconv") else python) for name in chosen
    ]
    result: Result = {}
    try:
        for batch in batches:
            for name in names:
                least: Times = {}
                for turn in range(rounds):
                    for i in range(len(processes)):
                        # Another one begins each round, after a pause: pools spin for a while.
                        process = processes[(i + turn) % len(processes)]
                        time.sleep(_PAUSE)
                        answer = process.time(name, batch, seconds)
                        if answer is not None:
                            least[process.name] = min(answer[0], least.get(process.name, math.inf))
                result.setdefault(f"batch {batch}", {})[name] = {
                    engine: round(1000 * t, 5) for engine, t in least.items()
                }
                report(line(name, batch, least))
    finally:
        for process in processes:
            process.close()
    return result


def line(name: str, batch: int, least: Times) -> str:
    """Return a row of the table: GFLOP/s of the direct convolution, and the ratios."""
    flops = find(name).flops(batch) / 1e9
    cells = [f"{engine} {flops / least[engine]:7.1f}" for engine in ENGINES if engine in least]
    return f"{name:22} b{batch} | {' | '.join(cells)} | {ratios(least)}"


def ratios(least: Times) -> Times:
    """Return how many times faster numbaconv is: prepared than the best peer, plain than torch."""
    found = {}
    peers = [least[p] for p in PEERS if p in least]
    if "numbaconv" in least and peers:
        found["best peer"] = round(min(peers) / least["numbaconv"], 2)
    for engine in ("plain", "im2col"):
        if f"numbaconv {engine}" in least and "torch" in least:
            found[engine] = round(least["torch"] / least[f"numbaconv {engine}"], 2)
    for peer in ("ncnn", "onnxruntime"):
        if "numbaconv" in least and peer in least:
            found[peer] = round(least[peer] / least["numbaconv"], 2)
    return found


def summary(result: Result) -> dict[str, Any]:
    """Return the geometric means and the least of each ratio, by batch and family or kind."""
    lines: dict[str, Any] = {}
    for batch, layers in result.items():
        families: dict[str, list[str]] = {}
        for name in layers:
            families.setdefault(name.split(".")[0], []).append(name)
        listed = [n for n in layers if n.split(".")[0] in FAMILIES and not n.startswith("others.")]
        drawn = [n for n in layers if n.split(".")[0] not in FAMILIES]
        for family, names in [*families.items(), ("networks", listed), ("all kinds", drawn)]:
            table = [ratios(layers[n]) for n in names]
            for ratio in ("best peer", "plain", "im2col"):
                values = [row[ratio] for row in table if ratio in row]
                if values:
                    lines[f"{batch}, {family}, {ratio}"] = {
                        "geomean": round(geometric_mean(values), 2), "least": min(values),
                        "under 1": sum(v < 1 for v in values), "layers": len(values),
                    }  # fmt: skip
    return lines


def by_kind(result: Result) -> Result:
    """Return the geometric means of layers drawn at random, a row for each kind."""
    found: Result = {}
    for batch, layers in result.items():
        times: dict[str, dict[str, list[float]]] = {}
        for name, row in layers.items():
            kind = times.setdefault(name.split(".")[0], {})
            for engine, milliseconds in row.items():
                kind.setdefault(engine, []).append(milliseconds)
        found[batch] = {
            kind: {e: geometric_mean(t) for e, t in row.items()} for kind, row in times.items()
        }
    return found


def draw(result: Result, path: Path) -> None:
    """Draw bars of the time of each engine over numbaconv's, a row a layer.

    Where all layers are drawn at random, a row is a kind.
    """
    from matplotlib.figure import Figure

    if not any(name in BY_NAME for layers in result.values() for name in layers):
        result = by_kind(result)
    batches = list(result)
    names = list(result[batches[0]])
    peers = [p for p in PEERS if any(p in t for t in result[batches[0]].values())]
    figure = Figure((7 * len(batches), 0.34 * len(names) + 2), layout="constrained")
    axes = figure.subplots(1, len(batches), sharey=True, squeeze=False)
    if not peers:
        raise ValueError("no other engine could run these layers: there is nothing to draw")
    height = 0.8 / len(peers)
    for axis, batch in zip(axes[0], batches, strict=True):
        for i, peer in enumerate(peers):
            bars = [
                (row, result[batch][name][peer] / result[batch][name]["numbaconv"])
                for row, name in enumerate(names)
                if peer in result[batch].get(name, {})
            ]
            axis.barh(
                [row + (i - len(peers) / 2 + 0.5) * height for row, _ in bars],
                [ratio for _, ratio in bars], height, label=peer,
            )  # fmt: skip
        axis.axvline(1, color="black", linewidth=0.8)
        axis.set_xscale("log", base=2)
        axis.xaxis.set_major_formatter("{x:g}")
        axis.set_title(f"{batch}: times slower than numbaconv (prepared)")
        axis.set_yticks(range(len(names)), names)
        axis.grid(axis="x", alpha=0.4)
    axes[0][0].set_ylim(len(names) - 0.4, -0.6)
    axes[0][0].legend(loc="lower right")
    figure.savefig(path, dpi=90)
