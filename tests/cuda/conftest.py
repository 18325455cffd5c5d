"""Fixtures of the device's tests, which run on a GPU or in Numba's simulator."""

import sys

import numpy as np
import pytest
from numba import cuda
from numba.cuda.core import config


@pytest.fixture(autouse=True)
def quick_simulation():
    """Let the simulator's threads, of Python, take turns more often: several times as fast."""
    before = sys.getswitchinterval()
    if config.ENABLE_CUDASIM:
        sys.setswitchinterval(1e-4)
    yield
    sys.setswitchinterval(before)


@pytest.fixture
def rng():
    return np.random.default_rng(20261125)


@pytest.fixture(autouse=True)
def dirty_memory(monkeypatch):
    """Fill memory that is borrowed or allocated, so that what is not written shows."""
    from numbaconv.cuda import launch

    def filled(array):
        if array.size and hasattr(array, "copy_to_device"):
            junk = np.nan if array.dtype.kind in "fc" else 77
            array.copy_to_device(np.full(array.shape, junk, array.dtype))
        return array

    allocate, borrow = launch.allocate, launch.borrow
    monkeypatch.setattr(launch, "allocate", lambda *a: filled(allocate(*a)))
    monkeypatch.setattr(launch, "borrow", lambda *a: filled(borrow(*a)))


@pytest.fixture
def to_device():
    return cuda.to_device
