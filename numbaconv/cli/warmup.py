"""``numbaconv warmup``: fill the compilation cache, and say what it holds."""

import time

from numbaconv.api.warmup import warmup
from numbaconv.kernels.cache import cache_directory


def run(
    dtypes: tuple[str, ...], dims: tuple[int, ...], algorithms: tuple[str, ...] | None, quiet: bool
) -> str:
    """Compile, and return a line that sums it up."""
    begin = time.perf_counter()
    warmup(dtypes=dtypes, dims=dims, algorithms=algorithms, progress=not quiet)
    seconds = time.perf_counter() - begin
    folder = cache_directory()
    entries = [] if folder is None else list(folder.glob("*.bin"))
    if not entries:
        return f"compiled in {seconds:.1f} s, but nothing could be kept: there is no cache to write"
    size = sum(path.stat().st_size for path in entries) / 1e6
    return f"warm in {seconds:.1f} s: {len(entries)} entries, {size:.1f} MB in {folder}"
