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

    allocate = launch.allocate

    def filled(shape, dtype, stream):
        array = allocate(shape, dtype, stream)
        if array.size:
            junk = np.nan if dtype.kind in "fc" else 77
            array.copy_to_device(np.full(shape, junk, dtype))
        return array

    monkeypatch.setattr(launch, "allocate", filled)
    monkeypatch.setattr(launch, "_MOST_KEPT", 0)


@pytest.fixture
def to_device():
    return cuda.to_device
