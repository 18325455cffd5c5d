"""Teams: every order of turns, who starts threads and when, forks and ends, and cores allowed."""

import os
import sys
from pathlib import Path

import interleavings
import numba
import numpy as np
import pytest
from children import code

from numbaconv.kernels import threads
from numbaconv.teams import jobs, pool
from numbaconv.teams.jobs import fork_join, fork_tasks, team_kernel, team_part

two_threads = {"NUMBA_NUM_THREADS": "2"}
can_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform does not fork")


class TestEveryOrder:
    """The protocol in every order in which threads may take turns (see `interleavings`)."""

    @pytest.mark.parametrize("patience", [0, 1])
    def test_a_caller_and_a_worker(self, patience):
        machine = interleavings.Machine([[(2, 2), (2, 2)]], 1, 2, patience, DESK_COUNT=1)
        assert interleavings.explore(machine) > 5000

    def test_two_callers_at_one_desk(self):
        callers = [[(2, 2)], [(2, 2)]]
        machine = interleavings.Machine(callers, 1, 3, ending=False, DESK_COUNT=1)
        assert interleavings.explore(machine) > 50_000

    def test_two_workers_and_two_jobs(self):
        """They end, too: a quarter of a minute."""
        machine = interleavings.Machine([[(2, 3), (2, 3)]], 2, 3, DESK_COUNT=1)
        assert interleavings.explore(machine) > 1_000_000

    @pytest.mark.parametrize("seed", range(20))
    def test_some_orders_of_many_threads(self, seed):
        """Three callers, three workers and two desks: too many orders to try them all."""
        rng = np.random.default_rng(seed)
        callers = [[(3, 4), (2, 2)], [(4, 3)], [(2, 4), (1, 4)]]
        for limit in range(2, 7):
            machine = interleavings.Machine(callers, 3, limit, DESK_COUNT=2)
            interleavings.wander(machine, rng)
            interleavings.wander(machine, rng)

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            ("exchange(desk + SLEEPS, 0) != 0", "exchange(desk + SLEEPS, 0) > 1"),
            ("ticket >> NUMBER != number or part >= parts", "part > parts"),
            ("if load(desk + DONE) != parts or exchange(desk + SLEEPS, 0) == 0:", "if parts > 0:"),
            ("if is_wanted(pool) == 0 or replace", "if 1 or replace"),
        ],
    )
    def test_faults_are_found(self, old, new):
        callers, change = [[(2, 2), (2, 2)]], ((old, new),)
        machine = interleavings.Machine(callers, 1, 2, changed=change, DESK_COUNT=1)
        with pytest.raises(AssertionError, match=r"nobody can go on|part of|a lock"):
            interleavings.explore(machine)


@team_part
def _count(task, worker, done, seen):
    done[task] += 1
    seen[worker] = 1


@team_part
def _fail(worker, done):
    if worker == 1:
        raise ValueError("of one worker")
    done[worker] = 1


@team_kernel
def _count_all(team, workers, tasks, done, seen):
    fork_tasks(team, workers, tasks, _count, (done, seen))


@team_kernel
def _failing(team, workers, done):
    fork_join(team, workers, _fail, (done,))


class TestJobs:
    @pytest.mark.parametrize("workers", [1, 2, 5])
    @pytest.mark.parametrize("tasks", [0, 1, 2, 7, 10_000])
    def test_each_task_is_done_once(self, tasks, workers):
        done, seen = np.zeros(max(tasks, 1), np.int64), np.zeros(workers, np.int64)
        jobs.run(_count_all, workers, tasks, done, seen)
        np.testing.assert_array_equal(done, [1] * tasks if tasks else [0])
        assert seen.any() == (tasks > 0)  # of whichever worker: nobody waits for another

    def test_an_error_in_a_part_reaches_the_caller(self):
        done = np.zeros(4, np.int64)
        with pytest.raises(ValueError, match="of one worker"):
            _failing.entry(0, 2, done)  # the caller's own, as it is
        for _ in range(3):
            with pytest.raises(RuntimeError, match="failed in a thread of its team"):
                jobs.run(_failing, 2, done)
        jobs.run(_failing, 1, done)
        assert done[0] == 1

    def test_sizes(self, threads_restored):
        assert jobs.team_size(100, work=10, parallel=True) == 1
        assert jobs.team_size(1, work=1 << 30, parallel=True) == 1
        assert jobs.team_size(100, work=1 << 30, parallel=False) == 1
        numba.set_num_threads(1)
        assert jobs.team_size(100, work=1 << 30, parallel=True) == 1


NO_THREADS = """
import threading, numpy as np, numbaconv as nbc
from numba.np.ufunc import parallel
from numbaconv.teams import pool
x, w = np.ones((4, 8, 32, 32), "f4"), np.ones((8, 8, 3, 3), "f4")
nbc.conv2d(x, w, parallel=False)
nbc.conv2d(x[:1, :, :5, :5], w)
print(pool.running(), parallel._is_initialized)
nbc.conv2d(x, w, algorithm="direct")
print(pool.running().workers, parallel._is_initialized)
"""

AFTER_SET_NUM_THREADS = """
import numba, numpy as np, numbaconv as nbc
from numbaconv.teams import pool
x, w = np.ones((4, 8, 32, 32), "f4"), np.ones((8, 8, 3, 3), "f4")
numba.set_num_threads(1)
nbc.conv2d(x, w)
print(pool.running())
"""

FORK_IN_A_CALL = """
import os, signal, sys, threading, warnings, numpy as np, numbaconv as nbc
warnings.simplefilter("ignore", DeprecationWarning)  # of forks beside threads
sys.setswitchinterval(1e-5)
x, w = np.ones((4, 16, 32, 32), "f4"), np.ones((16, 16, 3, 3), "f4")
layer = nbc.Conv2d(w, algorithm="direct")
expected = layer(x)
stop = False
def work():
    while not stop:
        layer(x)
others = [threading.Thread(target=work) for _ in range(2)]
for other in others: other.start()
ended = []
for _ in range(20):
    pid = os.fork()
    if pid == 0:
        signal.alarm(60)
        same = all(np.array_equal(layer(x), expected) for _ in range(5))
        os._exit(0 if same else 3)
    ended.append(os.waitpid(pid, 0)[1])
stop = True
for other in others: other.join()
print(set(ended), np.array_equal(layer(x), expected))
"""

INSIDE_PRANGE = """
import numba, numpy as np, numbaconv as nbc
@numba.njit(parallel=True)
def batches(x, w, out):
    for n in numba.prange(len(x)):
        out[n] = nbc.conv2d(x[n], w, algorithm="direct")
x, w = np.ones((12, 16, 32, 32), "f4"), np.ones((16, 16, 3, 3), "f4")
out = np.zeros((12, 16, 30, 30), "f4")
good = []
for _ in range(20):
    out[:] = 0
    batches(x, w, out)
    good.append(bool((out == 144).all()))
print(all(good), numba.threading_layer())
"""

ENDINGS = {
    "at once": "",
    "in a thread": """
def work():
    while True: layer(x)
threading.Thread(target=work, daemon=True).start()
time.sleep(0.05)
""",
    "with exit": "sys.exit(0)",
    "in an atexit handler": "atexit.register(lambda: layer(x))",
    "after sleep": "time.sleep(0.3)",
    "in a child": "pid = os.fork()\nif pid == 0: layer(x); sys.exit(0)\nos.waitpid(pid, 0)",
}


class TestProcesses:
    def test_no_thread_before_work_is_shared(self):
        assert code(NO_THREADS, **two_threads).split() == ["None", "False", "1", "False"]

    def test_one_thread_of_numbas_is_one_of_ours(self):
        assert code(AFTER_SET_NUM_THREADS, **two_threads).split() == ["None"]

    @can_fork
    def test_forks_in_the_middle_of_calls(self):
        assert code(FORK_IN_A_CALL, **two_threads).split() == ["{0}", "True"]

    @pytest.mark.parametrize("layer", ["omp", "workqueue"])
    def test_inside_an_outer_prange(self, layer):
        if layer == "omp" and sys.platform == "darwin":
            pytest.skip("macOS wheels of Numba carry no omp layer")
        printed = code(INSIDE_PRANGE, NUMBA_THREADING_LAYER=layer, **two_threads)
        assert printed.split() == ["True", layer]

    @pytest.mark.parametrize("ending", ENDINGS)
    def test_the_interpreter_ends(self, ending):
        if "fork" in ENDINGS[ending] and not hasattr(os, "fork"):
            pytest.skip("this platform does not fork")
        source = f"""
import atexit, os, sys, threading, time, warnings, numpy as np, numbaconv as nbc
warnings.simplefilter("ignore", DeprecationWarning)
x, w = np.ones((4, 8, 32, 32), "f4"), np.ones((8, 8, 3, 3), "f4")
layer = nbc.Conv2d(w, algorithm="direct")
layer(x)
print("done", flush=True)
{ENDINGS[ending]}
"""
        assert code(source, timeout=60, **two_threads).split() == ["done"]

    def test_a_pool_that_has_ended_leaves_all_to_the_caller(self):
        own = pool.Pool(2)
        own.ensure(2)
        assert own.workers == 1
        own.stop()
        done, seen = np.zeros(100, np.int64), np.zeros(2, np.int64)
        _count_all.entry(own.address, 2, 100, done, seen)
        assert (done == 1).all()
        assert seen.tolist() == [1, 0]


class TestCores:
    """What a container allows: folders as the kernel shows them."""

    @staticmethod
    def write(folder: Path, **files: str):
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (folder / name.replace("__", ".")).write_text(text)

    @pytest.mark.parametrize(
        ("quota", "cores_of"),
        [("max 100000", 64), ("150000 100000", 2), ("100000 100000", 1), ("20000 100000", 1)],
    )
    def test_version_2(self, tmp_path, monkeypatch, quota, cores_of):
        monkeypatch.setattr(threads, "_cores", lambda: 64)
        self.write(tmp_path, cpu__max=quota)
        assert threads.allowed(tmp_path, tmp_path / "none") == cores_of

    def test_the_least_of_all_groups_on_the_way(self, tmp_path, monkeypatch):
        monkeypatch.setattr(threads, "_cores", lambda: 64)
        (tmp_path / "groups").write_text("0::/outer/inner\n")
        self.write(tmp_path / "outer", cpu__max="400000 100000")
        self.write(tmp_path / "outer" / "inner", cpu__max="800000 100000")
        assert threads.allowed(tmp_path, tmp_path / "groups") == 4

    def test_version_1(self, tmp_path, monkeypatch):
        monkeypatch.setattr(threads, "_cores", lambda: 64)
        (tmp_path / "groups").write_text("5:memory:/x\n4:cpu,cpuacct:/box\n")
        self.write(tmp_path / "cpu,cpuacct", **{"cpu.cfs_quota_us": "-1", "cpu.cfs_period_us": "1"})
        files = {"cpu.cfs_quota_us": "250000", "cpu.cfs_period_us": "100000"}
        self.write(tmp_path / "cpu,cpuacct" / "box", **files)
        assert threads.allowed(tmp_path, tmp_path / "groups") == 3

    def test_never_more_than_the_affinity(self, tmp_path, monkeypatch):
        monkeypatch.setattr(threads, "_cores", lambda: 3)
        self.write(tmp_path, cpu__max="900000 100000")
        assert threads.allowed(tmp_path, tmp_path / "none") == 3

    def test_what_the_user_sets_counts(self, monkeypatch):
        most = int(numba.config.NUMBA_NUM_THREADS)
        monkeypatch.setattr(threads, "allowed", lambda: 1)
        for set_by_user, expected in ((True, most), (False, 1)):
            threads.default_threads.cache_clear()
            if set_by_user:
                monkeypatch.setenv("NUMBA_NUM_THREADS", str(most))
            else:
                monkeypatch.delenv("NUMBA_NUM_THREADS", raising=False)
            assert threads.sharing(64, work=1 << 30, parallel=True) == min(64, expected)
        threads.default_threads.cache_clear()
