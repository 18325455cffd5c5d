"""The commands and their options; what they do is in the other files of this folder."""

from pathlib import Path
from typing import Any

import click
import numba
import numpy as np

from numbaconv.bench.compare import PEERS
from numbaconv.bench.kinds import SUITES, Sample
from numbaconv.cli import apply as apply_command
from numbaconv.cli import bench as bench_command
from numbaconv.cli import info as info_command
from numbaconv.cli.filters import FORMS, named
from numbaconv.cli.job import Job
from numbaconv.filtering.planes import PlaneWindow
from numbaconv.routes import names


class _Padding(click.ParamType):  # type: ignore[type-arg,unused-ignore]
    name = "INT|same|valid"

    def convert(
        self, value: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | str:
        if value in ("same", "same_lower", "valid"):
            return value
        if not value.isdecimal():
            self.fail(
                f"{value!r} is neither an int from 0 on nor one of same, same_lower, valid", param,
                ctx,
            )  # fmt: skip
        return int(value)


class _Filter(click.ParamType):  # type: ignore[type-arg,unused-ignore]
    name = "NAME[:SIZE]"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            named(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        return value


class _Dtype(click.ParamType):  # type: ignore[type-arg,unused-ignore]
    name = "DTYPE"

    def convert(
        self, value: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> np.dtype[Any]:
        try:
            return np.dtype(value)
        except TypeError:
            self.fail(f"{value!r} is no type of NumPy's", param, ctx)


@click.group(invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="numbaconv")
@click.pass_context
def numbaconv(context: click.Context) -> None:
    """Fast convolution for NumPy arrays, in pure Python and Numba."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


@numbaconv.command()
def info() -> None:
    """Print versions, CPU, threads, BLAS, cache and GPU."""
    click.echo(info_command.report())


@numbaconv.command()
@click.option("--dtype", "dtypes", multiple=True, help="Of the arrays.  [default: float32]")
@click.option(
    "--dims",
    multiple=True,
    type=click.IntRange(1, 3),
    help="Numbers of spatial axes.  [default: 2]",
)
@click.option(
    "--algorithm",
    "algorithms",
    multiple=True,
    type=click.Choice(names()),
    help="Convolution by these algorithms only.  [default: everything]",
)
@click.option("--quiet", is_flag=True, help="No progress bar and no summary.")
def warmup(
    dtypes: tuple[str, ...], dims: tuple[int, ...], algorithms: tuple[str, ...], quiet: bool
) -> None:
    """Compile ahead of time what usual calls need, and keep it in the cache.

    For container images, whose processes shall not compile: run it when the image is built, on the
    kind of CPU that will run it.
    """
    summary = info_command.fill(dtypes or ("float32",), dims or (2,), algorithms or None, quiet)
    if not quiet:
        click.echo(summary)


@numbaconv.command()
@click.option(
    "--suite",
    multiple=True,
    type=click.Choice(SUITES),
    help="Layers of a network, or drawn at random by kind.  [default: all networks]",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, help="Which kinds are drawn.")
@click.option("--per-kind", type=click.IntRange(min=1), default=3, show_default=True)
@click.option("--layer", multiple=True, help="Only layers whose name contains this.")
@click.option(
    "--against",
    multiple=True,
    type=click.Choice(PEERS),
    help="An engine to compare with; it must be installed for --python.",
)
@click.option(
    "--python",
    type=click.Path(exists=True, dir_okay=False),
    help="The interpreter that has these engines.  [default: this one]",
)
@click.option("--batch", multiple=True, type=click.IntRange(min=1), help="[default: 1 and 8]")
@click.option("--rounds", type=click.IntRange(min=1), default=3, show_default=True)
@click.option(
    "--picture",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write bars of the ratio per layer, as a PNG or SVG file (needs matplotlib).",
)
@click.option(
    "--onnx",
    "model",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The convolutions of a network instead, beside ONNX Runtime's (needs onnx).",
)
@click.option(
    "--shape",
    "shapes",
    multiple=True,
    metavar="NAME=N,C,H,W",
    help="Of an input of the network that leaves its own open.",
)
def bench(
    suite: tuple[str, ...],
    seed: int,
    per_kind: int,
    layer: tuple[str, ...],
    against: tuple[str, ...],
    python: str | None,
    batch: tuple[int, ...],
    rounds: int,
    picture: Path | None,
    model: Path | None,
    shapes: tuple[str, ...],
) -> None:
    """Time convolution layers of networks, or of each kind, beside other engines if wanted.

    A row gives GFLOP/s of the direct convolution, with weights prepared ("numbaconv") and packed in
    the call ("numbaconv plain"), and how many times faster numbaconv is. Each engine runs in a
    process of its own with 2 threads; they take turns.
    """
    if model is not None:
        if suite or layer or batch or picture:
            raise click.UsageError("--onnx goes with --shape, --against, --python, --rounds alone")
        bench_command.run_network(model, shapes, against, python, rounds)
        return
    if shapes:
        raise click.UsageError("--shape goes with --onnx MODEL")
    sample = Sample(seed, per_kind)
    bench_command.run(suite, sample, layer, against, python, batch or (1, 8), rounds, picture)


@numbaconv.command()
@click.argument("source", metavar="INPUT", type=click.Path(exists=True, path_type=Path))
@click.argument("target", metavar="OUTPUT", type=click.Path(path_type=Path))
@click.option(
    "--weights",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="An .npz file with an array 'weight' and, if wanted, an array 'bias'.",
)
@click.option("--kernel", type=_Filter(), help=f"A named filter: {FORMS}.")
@click.option("--stride", type=click.IntRange(min=1), default=1, show_default=True)
@click.option("--padding", type=_Padding(), help="[default: same for --kernel, 0 for --weights]")
@click.option(
    "--padding-mode",
    type=click.Choice(["zeros", "reflect", "replicate", "circular", "symmetric"]),
    help="[default: replicate for --kernel, zeros for --weights]",
)
@click.option("--dilation", type=click.IntRange(min=1), default=1, show_default=True)
@click.option("--groups", type=click.IntRange(min=1), default=1, help="Only with --weights.")
@click.option(
    "--layout",
    type=click.Choice(["channels_first", "channels_last"]),
    default="channels_first",
    show_default=True,
    help="Of an INPUT of arrays, of OUTPUT, and of the weights.",
)
@click.option(
    "--dtype",
    type=_Dtype(),
    help="Of the sums.  [default: float32 where that is exact enough, else float64]",
)
@click.option(
    "--batch",
    type=click.IntRange(min=1),
    default=8,
    show_default=True,
    help="Images of an array that are taken at a time.",
)
@click.option("--threads", type=click.IntRange(min=1), help="[default: as many as Numba has]")
@click.option("--recursive", is_flag=True, help="Images of the folders in the folder, too.")
@click.option(
    "--on-error",
    type=click.Choice(["skip", "stop"]),
    default="skip",
    show_default=True,
    help="What to do where an image cannot be read: go on, and end with status 1, or end.",
)
@click.option("--drop-alpha", is_flag=True, help="Write images without their alpha.")
@click.option("--large-images", is_flag=True, help="Take images of more than 178 megapixels.")
@click.option(
    "--montage",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write a contact sheet of inputs beside outputs, as a PNG file.",
)
@click.option(
    "--resume",
    is_flag=True,
    help="Keep what is done when interrupted, and go on from what such a run has left.",
)
@click.option("--quiet", is_flag=True, help="No progress bar and no summary.")
def apply(
    source: Path,
    target: Path,
    weights: Path | None,
    kernel: str | None,
    stride: int,
    padding: int | str | None,
    padding_mode: str | None,
    dilation: int,
    groups: int,
    layout: str,
    dtype: Any,
    batch: int,
    threads: int | None,
    recursive: bool,
    on_error: str,
    drop_alpha: bool,
    large_images: bool,
    montage: Path | None,
    resume: bool,
    quiet: bool,
) -> int:
    """Convolve a batch: an .npy file, a .zarr array, a folder of images, or one image.

    An array of shape (N, C, *spatial) is streamed, so it may be larger than memory. A folder of
    images gives a folder of images by the same names.
    """
    if (weights is None) == (kernel is None):
        both = "" if weights is None else ", not both"
        raise click.UsageError(f"give either --weights FILE.npz or --kernel NAME{both}")
    if kernel is not None and groups != 1:
        raise click.UsageError("--groups goes with --weights: a named filter takes each channel")
    return apply_command.run(
        Job(
            source=source,
            target=target,
            weights=weights,
            kernel=kernel,
            window=PlaneWindow(
                stride=stride,
                padding=padding if padding is not None else "same" if kernel else 0,
                padding_mode=padding_mode or ("replicate" if kernel else "zeros"),
                dilation=dilation,
            ),
            groups=groups,
            layout=layout,
            dtype=dtype,
            batch=batch,
            threads=threads or numba.get_num_threads(),
            montage=montage,
            recursive=recursive,
            large_images=large_images,
            drop_alpha=drop_alpha,
            skip_errors=on_error == "skip",
            resume=resume,
            quiet=quiet,
        )
    )
