"""The bar of a run, on a terminal."""

from typing import Any

from tqdm import tqdm


def progress(count: int, done: int, unit: str, *, quiet: bool) -> Any:
    """Return a bar; it shows itself on a terminal only, and not if the run is to be quiet."""
    return tqdm(total=count, initial=done, unit=unit, disable=True if quiet else None)
