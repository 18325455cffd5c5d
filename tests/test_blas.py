"""The BLAS limit: one thread while kernels run, and afterwards what was there before."""

import concurrent.futures
import threading

import numpy as np
import pytest
import scipy.linalg.cython_blas  # noqa: F401  (loads SciPy's BLAS)
import threadpoolctl

import numbaconv as nbc
from numbaconv.reference import blas


def counts():
    return [c.get_num_threads() for c in blas._libraries()]


@pytest.fixture(params=[1, 2])
def before(request):
    with threadpoolctl.threadpool_limits(request.param, user_api="blas"):
        yield counts()


def test_limits_and_restores(before):
    with blas.single_threaded():
        assert counts() == [1] * len(before)
    assert counts() == before


def test_restores_after_an_exception(before):
    with pytest.raises(KeyError), blas.single_threaded():
        raise KeyError
    assert counts() == before


def test_nested_and_concurrent_callers_restore_once(before):
    entered, leave = threading.Event(), threading.Event()

    def caller():
        with blas.single_threaded():
            entered.set()
            leave.wait(10)

    thread = threading.Thread(target=caller)
    thread.start()
    entered.wait(10)
    with blas.single_threaded():
        pass
    assert counts() == [1] * len(before)
    leave.set()
    thread.join()
    assert counts() == before


def test_a_call_leaves_the_counts_alone(before):
    x, weight = np.ones((2, 8, 20, 20), np.float32), np.ones((8, 8, 3, 3), np.float32)

    def call(_):
        nbc.conv2d(x, weight)
        with pytest.raises(ValueError, match="padding"):
            nbc.conv2d(x, weight, padding=-1)

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(call, range(40)))
    assert counts() == before


def test_restores_after_an_interrupt_while_entering(before, monkeypatch):
    real = blas._limit

    def interrupted(libraries, kept):
        real(libraries, kept)
        raise KeyboardInterrupt

    monkeypatch.setattr(blas, "_limit", interrupted)
    with pytest.raises(KeyboardInterrupt), blas.single_threaded():
        pass
    assert counts() == before


def test_numpys_own_blas_is_left_alone():
    ours = {c.filepath for c in blas._libraries()}
    assert ours
    for info in threadpoolctl.threadpool_info():
        if "numpy.libs" in info["filepath"]:
            assert info["filepath"] not in ours
