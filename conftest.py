"""What pytest collects: device code needs a GPU, or Numba's simulator of one."""

from importlib.util import find_spec


def _has_device() -> bool:
    """Return whether kernels can run: on a GPU, or with NUMBA_ENABLE_CUDASIM=1."""
    if find_spec("numba_cuda") is None:
        return False
    from numba import cuda

    return bool(cuda.is_available())


# A script, which needs a package that no extra brings.
collect_ignore_glob = ["tests/fuzz_with_atheris.py"]
if not _has_device():
    collect_ignore_glob += ["tests/cuda/test_device_*", "numbaconv/cuda/*", "docs/cuda.md"]
