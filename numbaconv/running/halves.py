"""Arrays in the dtype of a computation and back: float16, as float32, by all threads."""

import functools
from typing import Any

import numpy as np

from numbaconv.native import halves
from numbaconv.native.link import call
from numbaconv.problem.arrays import Array, address, is_direct
from numbaconv.teams import jobs
from numbaconv.teams.jobs import fork_tasks, team_kernel, team_part

_HALF, _FLOAT = np.dtype(np.float16), np.dtype(np.float32)
# Elements of a task.
_PIECE = 1 << 15


@functools.cache
def _available() -> bool:
    return halves.available()


def converted(x: Array, dtype: np.dtype[Any], parallel: bool) -> Array:
    """Return an array as a new contiguous one of a dtype."""
    widen = dtype == _FLOAT and is_direct(x, _HALF) and x.flags.c_contiguous
    if not (widen and _available()):
        return np.array(x, dtype, order="C")
    found = np.empty(x.shape, _FLOAT)
    _convert(halves.widener(), found, x, parallel)
    return found


def assign(to: Array, x: Array, parallel: bool) -> None:
    """Write the elements of an array to one of its shape and another dtype."""
    narrow = is_direct(to, _HALF) and is_direct(x, _FLOAT)
    if narrow and to.flags.c_contiguous and x.flags.c_contiguous and _available():
        _convert(halves.narrower(), to, x, parallel)
    else:
        to[...] = x


def _convert(native: int, to: Array, x: Array, parallel: bool) -> None:
    tasks = -(-x.size // _PIECE)
    workers = jobs.team_size(tasks, work=x.size, parallel=parallel)
    jobs.run(
        convert, workers, address(to), address(x), x.size, to.itemsize, x.itemsize, native
    )  # fmt: skip


@team_kernel
def convert(
    team: int, workers: int, to: int, x: int, count: int, to_size: int, size: int, native: int
) -> None:
    """Convert a run, piece by piece."""
    tasks = (count + _PIECE - 1) // _PIECE
    fork_tasks(team, workers, tasks, _convert_piece, (to, x, count, to_size, size, native))


@team_part
def _convert_piece(
    task: int, worker: int, to: int, x: int, count: int, to_size: int, size: int, native: int
) -> None:
    start = task * _PIECE
    call(native, (to + start * to_size, x + start * size, min(_PIECE, count - start)))
