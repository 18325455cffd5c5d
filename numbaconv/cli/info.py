"""``numbaconv info`` and ``warmup``: what a machine is, and what is compiled on it."""

import platform
import time
from importlib import metadata

import llvmlite.binding
import numba
from threadpoolctl import threadpool_info

from numbaconv.api.warmup import warmup
from numbaconv.kernels import threads
from numbaconv.kernels.cache import cache_directory
from numbaconv.kernels.held import memory
from numbaconv.kernels.threads import threading_layer
from numbaconv.kernels.trust import doubt_about
from numbaconv.native.isa import host
from numbaconv.reference import blas

_PACKAGES = ("numbaconv", "numba", "llvmlite", "numpy", "scipy")
_FEATURES = ("sse4.2", "avx", "avx2", "fma", "avx512f", "avx512bw", "avx512vl", "amx-tile", "neon")


def report() -> str:
    """Return the report, a line a fact."""
    blas.load()
    features = llvmlite.binding.get_host_cpu_features()
    lines = [
        ("Python", f"{platform.python_version()} on {platform.platform()}"),
        *((name, metadata.version(name)) for name in _PACKAGES),
        ("CPU", llvmlite.binding.get_host_cpu_name()),
        ("CPU features", " ".join(f for f in _FEATURES if features.get(f))),
        ("vectors", host().name),
        ("threads", _threads()),
        ("threading layer", f"{threading_layer()}: for im2col, col2im and the reference"),
        ("team", "threads of our own: for all other routes, gradients, pools and filters"),
        *(
            (
                "BLAS",
                f"{library['internal_api']} {library['version']}, {library['num_threads']} "
                f"threads, {library['filepath']}",
            )
            for library in threadpool_info()
            if library["user_api"] == "blas"
        ),
        ("cache", _cache()),
        ("memory", _memory()),
        ("GPU", _gpu()),
    ]
    width = max(len(name) for name, _ in lines)
    return "\n".join(f"{name:{width}}  {value}" for name, value in lines)


def _threads() -> str:
    most = int(numba.config.NUMBA_NUM_THREADS)
    return f"{threads.thread_count()} of {most}; this process may use {threads.allowed()} cores"


def _cache() -> str:
    folder = cache_directory()
    if folder is None:
        return "none: this user has no home"
    doubt = doubt_about(folder) if folder.is_dir() else None
    if doubt is not None:
        return f"not used: {doubt}"
    sizes = [entry.stat().st_size for entry in folder.glob("*.bin")]
    return f"{len(sizes)} kernels, {sum(sizes) / 2**20:.1f} MiB, {folder}"


def _memory() -> str:
    held = memory()
    return f"{held.total / 2**20:.1f} MiB held between calls, at most {held.limit >> 20} MiB"


def _gpu() -> str:
    from numba import cuda

    if not cuda.is_available():
        return "none found"
    return ", ".join(str(device.name) for device in cuda.list_devices())


def fill(
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
