"""``numbaconv info``: what a bug report needs to say about a machine."""

import platform
from importlib import metadata

import llvmlite.binding
import numba
from threadpoolctl import threadpool_info

from numbaconv.kernels import cores, threads
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
    return f"{threads.thread_count()} of {most}; this process may use {cores.allowed()} cores"


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
