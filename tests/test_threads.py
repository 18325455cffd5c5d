"""Threading layers, forks and several Python threads: right results, and no abort."""

import os
import sys

import pytest
from children import code, python

from numbaconv.kernels import threads

# Each child compares its results with the serial ones and prints what it found.
MANY_THREADS = """
import concurrent.futures, numpy as np, numba, numbaconv as nbc
rng = np.random.default_rng(0)
x = rng.standard_normal((4, 8, 32, 32), dtype="f4")
w = rng.standard_normal((8, 8, 3, 3), dtype="f4")
expected = nbc.conv2d(x, w, parallel=False)
columns = nbc.im2col(x, 3, parallel=False)
def call(i):
    return np.array_equal(nbc.conv2d(x, w), expected) and np.array_equal(nbc.im2col(x, 3), columns)
with concurrent.futures.ThreadPoolExecutor(6) as pool:
    print(all(pool.map(call, range(60))), numba.threading_layer())
"""

FORK = """
import os, numpy as np, numbaconv as nbc
x, w = np.ones((4, 8, 32, 32), "f4"), np.ones((8, 8, 3, 3), "f4")
expected = nbc.conv2d(x, w)
pid = os.fork()
if pid == 0:
    os._exit(0 if np.array_equal(nbc.conv2d(x, w), expected) else 3)
print(os.waitpid(pid, 0)[1])
print(np.array_equal(nbc.conv2d(x, w), expected))
"""

FORK_IN_THE_MIDDLE = """
import os, signal, sys, threading, time, numpy as np, numbaconv as nbc
from numbaconv.reference import blas
sys.setswitchinterval(1e-5)
x, w = np.ones((1, 4, 12, 12), "f4"), np.ones((4, 4, 3, 3), "f4")
expected = nbc.conv2d(x, w, parallel=False)
before = [c.get_num_threads() for c in blas._libraries()]
stop = False
def work():
    while not stop:
        nbc.conv2d(x, w, parallel=False)
threads = [threading.Thread(target=work) for _ in range(2)]
for thread in threads: thread.start()
ended = []
for _ in range(25):
    pid = os.fork()
    if pid == 0:
        signal.alarm(30)
        same = np.array_equal(nbc.conv2d(x, w, parallel=False), expected)
        restored = [c.get_num_threads() for c in blas._libraries()] == before
        os._exit(0 if same and restored else 3)
    ended.append(os.waitpid(pid, 0)[1])
stop = True
for thread in threads: thread.join()
print(set(ended))
"""

UNTOUCHED = """
import numpy as np, numbaconv as nbc
from numba.np.ufunc import parallel
x, w = np.ones((4, 8, 32, 32), "f4"), np.ones((8, 8, 3, 3), "f4")
nbc.conv2d(x, w, parallel=False)
nbc.col2im(nbc.im2col(x, 3, parallel=False), (32, 32), 3, parallel=False)
print(parallel._is_initialized)
"""

# Pools of threads and of processes, forked and spawned, one inside the other.
POOLS = """
import concurrent.futures, multiprocessing, sys
import joblib, numba, numpy as np, numbaconv as nbc
from numbaconv.reference import blas
x, w = np.ones((4, 8, 32, 32), "f4"), np.ones((8, 8, 3, 3), "f4")
def work(i, inner=False):
    if inner:
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            return all(pool.map(work, range(4)))
    return bool((nbc.conv2d(x, w, algorithm="exact") == 72).all()) and bool((nbc.conv2d_weight_grad(
        x, w.shape, np.ones((4, 8, 30, 30), "f4")) == 3600).all())
if __name__ == "__main__":
    before = numba.get_num_threads(), [c.get_num_threads() for c in blas._libraries()]
    found = [work(0)]
    for method in ("fork", "spawn"):
        context = multiprocessing.get_context(method)
        with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as pool:
            found += pool.map(work, range(4), [True, False] * 2)
    for backend in ("threading", "loky"):
        found += joblib.Parallel(2, backend=backend)(
            joblib.delayed(work)(i, i == 1) for i in range(4))
    after = numba.get_num_threads(), [c.get_num_threads() for c in blas._libraries()]
    print(all(found), len(found), before == after)
"""

two_threads = {"NUMBA_NUM_THREADS": "2"}


@pytest.mark.parametrize("layer", ["omp", "workqueue"])
def test_many_python_threads(layer):
    if layer == "omp" and sys.platform == "darwin":
        pytest.skip("macOS wheels of Numba carry no omp layer")
    printed = code(MANY_THREADS, NUMBA_THREADING_LAYER=layer, **two_threads)
    assert printed.split() == ["True", layer]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform does not fork")
@pytest.mark.parametrize("layer", ["omp", "workqueue"])
def test_a_forked_child_computes(layer):
    if layer == "omp" and sys.platform == "darwin":
        pytest.skip("macOS wheels of Numba carry no omp layer")
    printed = code(FORK, NUMBA_THREADING_LAYER=layer, **two_threads)
    assert printed.split() == ["0", "True"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform does not fork")
@pytest.mark.parametrize("layer", ["omp", "workqueue"])
def test_pools_inside_pools(layer, tmp_path):
    script = tmp_path / "pools.py"
    script.write_text(POOLS)
    # Python itself warns of forks beside threads, which workers of Numba's are.
    done = python(str(script), NUMBA_THREADING_LAYER=layer, **two_threads)
    assert done.stdout == "True 17 True\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform does not fork")
def test_forks_while_other_threads_are_in_calls():
    # From Python 3.12 on a fork beside threads warns: it is what is tested here.
    source = "import warnings; warnings.simplefilter('ignore', DeprecationWarning)\n"
    assert code(source + FORK_IN_THE_MIDDLE).split() == ["{0}"]


def test_not_parallel_touches_no_layer():
    assert code(UNTOUCHED).split() == ["False"]


def test_small_work_wakes_no_thread():
    assert threads.worker_count(100, work=10, parallel=True) == 1
    assert threads.worker_count(1, work=1 << 30, parallel=True) == 1
    assert threads.worker_count(100, work=1 << 30, parallel=False) == 1
