"""What pytest collects: device code needs a GPU, or Numba's simulator of one."""

import warnings
from importlib.util import find_spec


def _compiles() -> bool:
    """Return whether numba-cuda is here, with a NumPy that it can work with."""
    if find_spec("numba_cuda") is None:
        return False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of other people's imports; ours are errors
        try:
            import numbaconv.cuda  # noqa: F401
        except ImportError:
            return False
    return True


def _runs() -> bool:
    """Return whether kernels can run: on a GPU, or with NUMBA_ENABLE_CUDASIM=1."""
    from numba import cuda

    return bool(cuda.is_available())


# A script, which needs a package that no extra brings.
collect_ignore_glob = ["tests/fuzz_with_atheris.py"]
if not _compiles():
    collect_ignore_glob += ["tests/cuda", "tests/cuda/*", "numbaconv/cuda/*", "docs/cuda.md"]
elif not _runs():
    collect_ignore_glob += ["tests/cuda/test_device_*", "numbaconv/cuda/*", "docs/cuda.md"]
