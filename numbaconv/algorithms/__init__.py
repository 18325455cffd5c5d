"""The routes to a convolution, one file each, with the same few functions.

``refusal(geometry, dtype)`` says why an algorithm cannot run a problem, or None; ``run(problem,
parallel)`` runs it. Adding an algorithm means adding its file, and its name here. A route is
imported when it is first chosen, so that ``import numbaconv`` stays short.
"""

import importlib
from typing import Any, Protocol, cast

import numpy as np

from numbaconv.geometry import ConvGeometry
from numbaconv.problem import Problem

NAMES = ("im2col", "direct", "winograd", "depthwise")


class Algorithm(Protocol):
    """What the module of a route offers."""

    def refusal(self, geometry: ConvGeometry, dtype: np.dtype[Any]) -> str | None:
        """Return why this route cannot run the problem, or None."""

    def run(self, problem: Problem, parallel: bool) -> None:
        """Write the convolution to ``problem.out``."""


def choose(name: str, geometry: ConvGeometry, dtype: np.dtype[Any]) -> Algorithm:
    """Return the algorithm that `name` asks for, or raise ValueError saying why it cannot run."""
    algorithm = _load("im2col" if name in ("auto", "exact") else name)
    reason = algorithm.refusal(geometry, dtype)
    if reason is not None:
        raise ValueError(f"algorithm={name!r} cannot run this problem: {reason}")
    return algorithm


def _load(name: str) -> Algorithm:
    return cast(Algorithm, importlib.import_module(f"numbaconv.algorithms.{name}"))
