"""The engines that run lazy arrays: threads, and processes of which one is killed."""

import os
import signal
import sys
import time

import dask
import dask.array as da
import numba
import numpy as np
import pytest
from problems import small_integers

import numbaconv as nbc
import numbaconv.dask as nbdask

distributed = pytest.importorskip("distributed")


@pytest.fixture
def problem():
    rng = np.random.default_rng(0)
    x = small_integers(rng, (12, 3, 40, 50), "float32")
    weight = small_integers(rng, (5, 3, 3, 4), "float32")
    grad = small_integers(rng, (12, 5, 20, 25), "float32")
    lazy = da.from_array(x, chunks=(3, 3, 17, 50))
    return x, weight, grad, lazy, da.from_array(grad, chunks=(4, 5, 20, 9))


OPTIONS = {"stride": 2, "padding": "same", "algorithm": "exact"}


def check(problem):
    x, weight, grad, lazy, lazy_grad = problem
    found = dask.compute(
        nbdask.conv2d(lazy, weight, **OPTIONS),
        *nbdask.conv2d_backward(lazy_grad, lazy, weight, **OPTIONS),
        nbdask.max_pool2d(lazy, 3, 2),
    )
    expected = (
        nbc.conv2d(x, weight, **OPTIONS),
        *nbc.conv2d_backward(grad, x, weight, **OPTIONS),
        nbc.max_pool2d(x, 3, 2),
    )
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_threaded_scheduler(problem):
    x, weight, _, lazy, _ = problem
    before = numba.get_num_threads()
    with dask.config.set(scheduler="threads", num_workers=4):
        check(problem)
        found = nbdask.conv2d(lazy, weight, **OPTIONS).compute()
        np.testing.assert_array_equal(found, nbc.conv2d(x, weight, **OPTIONS))
    assert numba.get_num_threads() == before


def test_tasks_use_the_thread_they_run_in(problem, monkeypatch):
    """Dask's threads are all there are, whatever `parallel` says."""
    from numbaconv.kernels import threads
    from numbaconv.teams import jobs

    counts = []
    run = jobs.run
    monkeypatch.setattr(jobs, "run", lambda k, workers, *a: counts.append(workers) or run(
        k, workers, *a))  # fmt: skip
    monkeypatch.setattr(threads, "_SERIAL_WORK", 0)
    _, weight, _, lazy, _ = problem
    for parallel in (False, True):
        made = nbdask.conv2d(lazy, weight, algorithm="direct", parallel=parallel)
        made.compute(scheduler="threads")
    assert set(counts) == {1}


@pytest.fixture(scope="module")
def cluster():
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None,
        silence_logs=50, memory_limit=0,
    ) as cluster:  # fmt: skip
        yield cluster


def test_a_cluster_of_processes(problem, cluster):
    with distributed.Client(cluster):
        check(problem)


def slowly(block, folder):
    """Hand a block on after a while, and say which process had it."""
    open(os.path.join(folder, str(os.getpid())), "w").close()
    time.sleep(0.05)
    return block


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_a_killed_worker_loses_nothing(problem, cluster, tmp_path):
    x, weight, _, _, _ = problem
    lazy = da.from_array(x, chunks=(1, 3, 20, 25)).map_blocks(
        slowly, folder=str(tmp_path), dtype="float32"
    )
    with distributed.Client(cluster) as client:
        pids = client.run(os.getpid)
        future = client.compute(nbdask.conv2d(lazy, weight, **OPTIONS).sum(axis=(2, 3)))
        deadline = time.monotonic() + 60
        while len(list(tmp_path.iterdir())) < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        victim = next(iter(pids.values()))
        assert not future.done()
        os.kill(victim, signal.SIGKILL)
        found = future.result(timeout=120)
    np.testing.assert_array_equal(found, nbc.conv2d(x, weight, **OPTIONS).sum(axis=(2, 3)))


def test_zarr_to_zarr(tmp_path):
    x = small_integers(np.random.default_rng(0), (6, 2, 30, 20), "float32")
    weight = np.ones((3, 2, 3, 3), "float32")
    da.from_array(x, chunks=(2, 2, 15, 20)).to_zarr(str(tmp_path / "x.zarr"))
    maps = nbdask.conv2d(da.from_zarr(str(tmp_path / "x.zarr")), weight, padding=1)
    maps.to_zarr(str(tmp_path / "y.zarr"))
    found = da.from_zarr(str(tmp_path / "y.zarr")).compute()
    np.testing.assert_array_equal(found, nbc.conv2d(x, weight, padding=1, algorithm="exact"))
