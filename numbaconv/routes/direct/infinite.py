"""Whether an array holds infinities or NaN: then nothing may be left out of a sum."""

import numpy as np

from numbaconv.kernels import recording, threads
from numbaconv.problem.arrays import Array, Table
from numbaconv.teams import jobs
from numbaconv.teams.jobs import fork_tasks, team_kernel, team_part

# Elements that are looked at in one task.
_CHECKED = 1 << 15


def among(array: Array, flags: threads.Scratch, parallel: bool) -> bool:
    """Return whether a contiguous array of floats has any; a recorded call is checked again."""
    bits = array.reshape(-1).view(np.dtype(f"i{array.itemsize}"))
    workers = jobs.team_size(
        -(-bits.size // _CHECKED), work=bits.size // 4, parallel=parallel
    )  # fmt: skip
    taken = flags.take(1)
    exponent = bits.dtype.type(array.dtype.type(np.inf).view(bits.dtype))
    jobs.run(find_infinite, workers, bits, exponent, taken[0])
    found = bool(taken[0][0])
    if recording.active:
        recording.keep(check=taken[0])
    if found:
        recording.refuse()
    flags.give_back(taken)
    return found


@team_kernel
def find_infinite(team: int, workers: int, bits: Table, exponent: int, flag: Table) -> None:
    """Set a flag to 1 if the bits of a float have an infinite's exponent, else to 0."""
    flag[0] = 0
    tasks = (len(bits) + _CHECKED - 1) // _CHECKED
    fork_tasks(team, workers, tasks, _look_at, (bits, exponent, flag))


@team_part
def _look_at(task: int, worker: int, bits: Table, exponent: int, flag: Table) -> None:
    largest = exponent & ~exponent
    for i in range(task * _CHECKED, min(task * _CHECKED + _CHECKED, len(bits))):
        largest = max(largest, bits[i] & exponent)
    if largest == exponent:
        flag[0] = 1
