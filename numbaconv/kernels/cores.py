"""How many cores this process may use: what its machine, its affinity and its container allow."""

import functools
import math
import os
from pathlib import Path

import numba

_ROOT = Path("/sys/fs/cgroup")


@functools.cache
def default_threads() -> int:
    """Return the number of threads where nobody has set one: never more than `allowed` cores.

    ``NUMBA_NUM_THREADS`` and `numba.set_num_threads` say it otherwise.
    """
    most = int(numba.config.NUMBA_NUM_THREADS)
    return most if "NUMBA_NUM_THREADS" in os.environ else min(most, allowed())


def allowed(root: Path = _ROOT, groups: Path = Path("/proc/self/cgroup")) -> int:
    """Return how many cores this process may keep busy at once, at least 1.

    The affinity of the process (or ``PYTHON_CPU_COUNT``), and the quota of its container: of each
    control group from its own to the root, version 2 (``cpu.max``) or 1 (``cpu.cfs_quota_us`` over
    ``cpu.cfs_period_us``), the least; half a core counts as one.
    """
    quotas = [_quota(folder) for folder in _folders(root, groups)]
    return max(1, math.ceil(min([float(_cores()), *(q for q in quotas if q is not None)])))


def _cores() -> int:
    # os.process_cpu_count is new in Python 3.13.
    count = getattr(os, "process_cpu_count", None)
    if count is not None:
        return count() or 1
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _folders(root: Path, groups: Path) -> list[Path]:
    """Return the folders of the control groups that this process is in, from root to leaf."""
    found = [root, root / "cpu", root / "cpu,cpuacct"]
    try:
        lines = groups.read_text().splitlines()
    except OSError:
        return found
    for line in lines:
        _, controllers, path = line.split(":", 2)
        bases = [root] if not controllers else []
        if "cpu" in controllers.split(","):
            bases = [root / controllers, root / "cpu"]
        parts = [part for part in path.split("/") if part]
        for base in bases:
            found += [base.joinpath(*parts[:n]) for n in range(1, len(parts) + 1)]
    return found


def _quota(folder: Path) -> float | None:
    """Return the cores that a control group may use, or None where it may use all."""
    try:
        if (folder / "cpu.max").exists():
            quota, period = (folder / "cpu.max").read_text().split()
        else:
            quota = (folder / "cpu.cfs_quota_us").read_text()
            period = (folder / "cpu.cfs_period_us").read_text()
        return int(quota) / int(period) if int(quota) > 0 else None
    except (OSError, ValueError):  # no such file; or "max"
        return None
