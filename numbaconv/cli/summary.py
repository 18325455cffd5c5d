"""What a run says of itself: its bar, and the lines at its end (how much, how fast, memory)."""

import contextlib
import sys
from typing import Any

from tqdm import tqdm


def progress(count: int, done: int, unit: str, *, quiet: bool) -> Any:
    """Return a bar; it shows itself on a terminal only, and not if the run is to be quiet."""
    return tqdm(total=count, initial=done, unit=unit, disable=True if quiet else None)


def quantity(count: int, name: str) -> str:
    """Return a number of things, as ``3 images`` or ``1 image``."""
    return f"{count} {name}" + "s" * (count != 1)


def megabytes(count: float) -> str:
    """Return a number of bytes, in MB, or of bytes a second."""
    return f"{count / 1e6:.1f} MB"


def peak_memory() -> int | None:
    """Return the most bytes that this process has had resident, where the system tells."""
    with contextlib.suppress(OSError, StopIteration):
        # Linux's `ru_maxrss` is that of the process that started this one, if it was larger.
        with open("/proc/self/status") as status:
            line = next(line for line in status if line.startswith("VmHWM:"))
        return int(line.split()[1]) << 10
    try:
        import resource
    except ImportError:
        return None
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def tail() -> str:
    """Return the last words of a summary."""
    peak = peak_memory()
    return "" if peak is None else f"; at most {peak / 2**20:.0f} MiB of memory"
