"""``numbaconv bench``: layer suites, or a network's convolutions, as tables and as a picture."""

import math
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click
from tqdm import tqdm

from numbaconv.api.explain import explain
from numbaconv.bench.compare import Result, draw, run_layers, summary
from numbaconv.bench.kinds import Sample, suite
from numbaconv.bench.layers import FAMILIES, Ints

if TYPE_CHECKING:
    from numbaconv.bench.networks import Convolution


def run(
    suites: tuple[str, ...],
    sample: Sample,
    layers: tuple[str, ...],
    peers: tuple[str, ...],
    python: str | None,
    batches: tuple[int, ...],
    rounds: int,
    picture: Path | None,
) -> None:
    """Time the chosen layers, print a row each and the summary, and draw the picture."""
    names = [
        layer.name
        for chosen in suites or tuple(FAMILIES)
        for layer in suite(chosen, sample)
        if not layers or any(part in layer.name for part in layers)
    ]
    if not names:
        raise click.UsageError("no layer has such a name")
    if picture is not None and not peers:
        raise click.UsageError("--picture shows ratios: it needs --against")
    if picture is not None and picture.suffix not in (".png", ".svg"):
        raise click.UsageError(f"--picture takes a .png or an .svg file, got {picture}")
    engines = ["numbaconv", "numbaconv plain", *peers]
    with tqdm(total=len(names) * len(batches), unit="layer", file=sys.stderr) as bar:

        def report(line: str) -> None:
            bar.write(line, file=sys.stdout)
            bar.update()

        try:
            result = run_layers(
                names, batches, engines, python or sys.executable, rounds, 0.05, report
            )
        except RuntimeError as error:
            raise click.ClickException(str(error)) from None
    for name, found in summary(result).items():
        click.echo(f"{name}: geomean {found['geomean']}, least {found['least']}")
    if picture is not None:
        try:
            draw(result, picture)
        except ImportError:
            raise click.ClickException("--picture needs matplotlib") from None


def run_network(
    model: Path, shapes: tuple[str, ...], peers: tuple[str, ...], python: str | None, rounds: int
) -> None:
    """Time the convolutions of a model and print a row each, and their sum."""
    try:
        from numbaconv.bench.networks import convolutions
    except ImportError:
        raise click.ClickException("--onnx needs the package onnx") from None
    try:
        found = convolutions(model, dict(map(_shape, shapes)))
    except (ValueError, TypeError, NotImplementedError, RuntimeError) as error:
        message = str(error).splitlines()[0]
        raise click.ClickException(f"{model} does not run: {message}") from None
    if not found:
        raise click.ClickException(f"{model} has no convolution in float32")
    if not peers and (python or find_spec("onnxruntime")):
        peers = ("onnxruntime",)
    engines = ["numbaconv", *peers]
    width = max(len(c.layer.name) for c in found)
    heads = [f"{'layer':{width}}", "nodes", *(f"{engine:>14}" for engine in engines)]
    click.echo("  ".join(heads) + "   algorithm")
    totals = dict.fromkeys(engines, 0.0)
    times = _times(found, engines, python or sys.executable, rounds)
    for layer, batch, nodes in found:
        took = times[f"batch {batch}"][layer.name]
        plan = explain(layer.x_shape(batch), layer.weight_shape, prepared=True, **layer.keywords)
        row = [f"{layer.name:{width}}", f"{len(nodes):5}", *(_cell(took.get(e)) for e in engines)]
        click.echo("  ".join(row) + f"   {plan.algorithm}")
        for engine in engines:
            totals[engine] += took.get(engine, math.nan) * len(nodes)
    count = sum(len(c.nodes) for c in found)
    click.echo("  ".join([f"{'together':{width}}", f"{count:5}", *map(_cell, totals.values())]))
    for peer in peers:
        click.echo(f"{peer} takes {totals[peer] / totals['numbaconv']:.2f} times as long")


def _times(
    found: Sequence["Convolution"], engines: Sequence[str], python: str, rounds: int
) -> Result:
    """Return {batch: {layer: {engine: milliseconds}}}."""
    times: Result = {}
    with tqdm(total=len(found), unit="layer", file=sys.stderr) as bar:
        for batch in {c.batch for c in found}:
            names = [c.layer.name for c in found if c.batch == batch]
            try:
                times |= run_layers(
                    names, [batch], engines, python, rounds, 0.05, lambda _: bar.update()
                )
            except RuntimeError as error:
                raise click.ClickException(str(error)) from None
    return times


def _cell(milliseconds: float | None) -> str:
    return f"{'-':>14}" if milliseconds is None else f"{milliseconds:11.3f} ms"


def _shape(text: str) -> tuple[str, Ints]:
    """Return an input's name and shape from ``NAME=N,C,H,W``."""
    name, _, numbers = text.rpartition("=")
    parts = numbers.split(",")
    if not name or not all(part.strip().isdecimal() for part in parts):
        raise click.UsageError(f"--shape takes NAME=N,C,H,W, got {text!r}")
    return name, tuple(map(int, parts))
