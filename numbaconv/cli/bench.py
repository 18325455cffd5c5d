"""``numbaconv bench``: the layer suites, as a table and as a picture."""

import sys
from pathlib import Path

import click
from tqdm import tqdm

from numbaconv.bench.compare import draw, run_layers, summary
from numbaconv.bench.kinds import Sample, suite
from numbaconv.bench.layers import FAMILIES


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
