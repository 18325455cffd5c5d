"""Fixtures of the device's tests, which run on a GPU or in Numba's simulator."""

import sys

import numpy as np
import pytest
from device_cases import fill
from numba import cuda, types
from numba.cuda.core import config

from numbaconv import release_memory


@pytest.fixture(autouse=True)
def quick_simulation():
    """Let the simulator's threads, of Python, take turns more often: several times as fast."""
    before = sys.getswitchinterval()
    if config.ENABLE_CUDASIM:
        sys.setswitchinterval(1e-4)
    yield
    sys.setswitchinterval(before)


@pytest.fixture(autouse=True)
def one_shared_array_a_block(monkeypatch):
    """Let a block's first threads agree on its shared memory.

    The simulator looks for the array of a line, and makes one where there is none, without a
    lock: of two threads that come at once, the first may write to an array that none reads.
    """
    if not config.ENABLE_CUDASIM:
        return
    from numba.cuda.simulator.kernelapi import FakeCUDAShared
    from numba.np import numpy_support

    def array(self, shape, dtype, alignment=None):
        assert shape != 0
        assert alignment is None
        frame = sys._getframe(1)
        line = frame.f_code.co_filename, frame.f_lineno
        kind = numpy_support.as_dtype(dtype) if isinstance(dtype, types.Type) else dtype
        return self._allocations.setdefault(line, np.empty(shape, kind))

    monkeypatch.setattr(FakeCUDAShared, "array", array)


@pytest.fixture
def rng():
    return np.random.default_rng(20261125)


@pytest.fixture(autouse=True)
def dirty_memory(monkeypatch):
    """Fill memory that is borrowed or allocated, so that what is not written shows."""
    from numbaconv.cuda import launch

    def filled(array):
        # A test's stand-in has nothing to fill.
        if array.size and not isinstance(array, np.ndarray):
            fill(array, np.nan if array.dtype.kind in "fc" else 77)
        return array

    allocate, borrow = launch.allocate, launch.borrow
    monkeypatch.setattr(launch, "allocate", lambda *a: filled(allocate(*a)))
    monkeypatch.setattr(launch, "borrow", lambda *a: filled(borrow(*a)))


@pytest.fixture
def to_device():
    return cuda.to_device


@pytest.fixture(autouse=True)
def nothing_remembered():
    """Let no test find a plan that another has made, of what it replaces."""
    release_memory()
    yield
    release_memory()
