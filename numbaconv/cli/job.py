"""What the command line asks `apply` for."""

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from numbaconv.cli.convolving import Convolution, EveryChannel, from_weights
from numbaconv.cli.filters import named
from numbaconv.filtering.planes import PlaneWindow


@dataclass(frozen=True)
class Job:
    """The options, each as `numbaconv apply --help` says."""

    source: Path
    target: Path
    weights: Path | None
    kernel: str | None
    window: PlaneWindow
    groups: int
    layout: str
    dtype: np.dtype[Any] | None
    batch: int
    threads: int
    montage: Path | None
    recursive: bool
    large_images: bool
    drop_alpha: bool
    skip_errors: bool
    resume: bool
    quiet: bool

    @property
    def channels_last(self) -> bool:
        """Whether arrays, and weights, are channels last."""
        return self.layout == "channels_last"

    @property
    def title(self) -> str:
        """What a contact sheet calls the results."""
        return self.kernel or "output"

    @property
    def described(self) -> dict[str, Any]:
        """All that the results depend on but the contents of the input, as JSON has it."""
        weights = self.weights
        return {
            "weights": hashlib.sha256(weights.read_bytes()).hexdigest() if weights else None,
            "kernel": self.kernel, "groups": self.groups, "layout": self.layout,
            "dtype": str(self.dtype), "drop_alpha": self.drop_alpha,
            **self.window.keywords, "input": str(self.source.resolve()),
        }  # fmt: skip

    def convolution(self, *, images: bool) -> Convolution:
        """Return what is done to each image."""
        if self.weights is None:
            assert self.kernel is not None
            taps = named(self.kernel)
            return EveryChannel(taps, self.window, self.kernel, dtype=self.dtype)
        return from_weights(
            self.weights, self.window, self.groups, last=self.channels_last, images=images,
            dtype=self.dtype,
        )  # fmt: skip


def contents(files: Iterable[tuple[Path, str]]) -> str:
    """Return a hash of the sizes and times of files, and of what each is called."""
    told = hashlib.sha256()
    for file, name in files:
        status = file.stat()
        told.update(os.fsencode(name) + f" {status.st_size} {status.st_mtime_ns}\n".encode())
    return told.hexdigest()
