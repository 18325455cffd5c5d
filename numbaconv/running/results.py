"""The way out: where a result is written, what `out` must be, and float16 as float32 and back."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from numbaconv.native import moves
from numbaconv.native.link import call
from numbaconv.problem import arguments
from numbaconv.problem.arrays import Array, address, empty, is_direct, overlaps_itself
from numbaconv.problem.geometry import Ints
from numbaconv.teams import jobs
from numbaconv.teams.jobs import fork_tasks, team_kernel, team_part


def into(
    out: Any, shape: Ints, dtype: np.dtype[Any], inputs: tuple[Array, ...],
    compute: Callable[[Array], None],
) -> Array:  # fmt: skip
    """Return the caller's `out`, or a new array, with what `compute` writes to an array.

    Where `out` shares memory with an input, or with itself, `compute` gets another array, which is
    copied.
    """
    if out is None:
        fresh = empty(shape, dtype)
        compute(fresh)
        return fresh
    result = arguments.check_out(out, shape, dtype)
    collides = result.size and (
        overlaps_itself(result) or any(np.may_share_memory(result, a) for a in inputs)
    )
    target = np.empty(shape, dtype) if collides else result
    compute(target)
    if collides:
        result[...] = target
    given: Array = out
    return given


_HALF, _FLOAT = np.dtype(np.float16), np.dtype(np.float32)
# Elements of a task.
_PIECE = 1 << 15


@functools.cache
def _available() -> bool:
    return moves.available()


def converted(x: Array, dtype: np.dtype[Any], parallel: bool) -> Array:
    """Return an array as a new contiguous one of a dtype."""
    widen = dtype == _FLOAT and is_direct(x, _HALF) and x.flags.c_contiguous
    if not (widen and _available()):
        return np.array(x, dtype, order="C")
    found = np.empty(x.shape, _FLOAT)
    _convert(moves.widener(), found, x, parallel)
    return found


def assign(to: Array, x: Array, parallel: bool) -> None:
    """Write the elements of an array to one of its shape and another dtype."""
    narrow = is_direct(to, _HALF) and is_direct(x, _FLOAT)
    if narrow and to.flags.c_contiguous and x.flags.c_contiguous and _available():
        _convert(moves.narrower(), to, x, parallel)
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
