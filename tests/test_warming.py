"""Compiling ahead of time: what it leaves to be compiled, and what it refuses."""

import os

import pytest
from children import code, python

import numbaconv as nbc
from numbaconv.api import warmup
from numbaconv.routes import names

# Usual calls, in a process that reports what Numba still had to compile.
CALLS = """
import numba, numpy as np
import numbaconv as nbc
from numbaconv.native import link
x, w = np.ones((2, 16, 40, 44), {dtype!r}), np.ones((48, 16, 3, 3), {dtype!r})
for parallel in (True, False):
    nbc.conv2d(x, w, np.ones(48, {dtype!r}), 1, 1, parallel=parallel, algorithm='direct')
    nbc.conv2d(x, w[:, :, :1, :1], parallel=parallel)
    nbc.conv2d(x, w, stride=2, parallel=parallel)
    nbc.conv2d(x, w[:16, :1], padding=1, groups=16, parallel=parallel)
kernels = [
    kernel
    for module in list(__import__("sys").modules.values())
    if getattr(module, "__name__", "").startswith("numbaconv")
    for kernel in vars(module).values()
    if type(kernel).__name__ in ("Kernel", "TeamKernel")
]
missed = [
    twin.py_func.__qualname__
    for kernel in kernels
    for twin in vars(kernel).values()
    if sum(twin.stats.cache_misses.values())
]
print(missed, [f for f, found in link._compiled.items() if not found.cache_hits])
"""


@pytest.mark.long
@pytest.mark.parametrize("dtype", ["float32"])
def test_usual_calls_compile_nothing_after_it(tmp_path, dtype):
    environment = {"NUMBA_CACHE_DIR": str(tmp_path), "NUMBA_NUM_THREADS": "2"}
    command = ["numbaconv", "warmup", "--algorithm", "direct", "--algorithm", "depthwise"]
    printed = python("-m", *command, "--dtype", dtype, **environment).stdout
    assert printed.startswith("warm in")
    assert f" in {tmp_path}" in printed
    assert code(CALLS.format(dtype=dtype), **environment).strip() == "[] []"


def test_everything_is_warmed_by_default():
    steps = dict(warmup._steps(["float32"], [2], None))
    words = {label.split()[0] for label in steps}
    assert words == {
        "conv2d", "conv2d_backward", "conv_transpose2d", "col2im", "max_pool2d",
        "max_pool2d_backward", "avg_pool2d",
    }  # fmt: skip
    assert {label.split()[2] for label in steps if label.startswith("conv2d ")} == set(names())
    for step in {label.split()[0]: step for label, step in steps.items()}.values():
        step()


def test_one_algorithm_in_one_dimension(tmp_path):
    source = "import numbaconv as nbc; nbc.warmup(dtypes=['int16'], dims=[1], algorithms=['fft'])"
    code(source, NUMBA_CACHE_DIR=str(tmp_path))
    assert not list(tmp_path.rglob("*.bin"))  # of which int16 has none
    code(source.replace("fft", "depthwise"), NUMBA_CACHE_DIR=str(tmp_path))
    assert list(tmp_path.rglob("*.bin"))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"dtypes": "float32"}, TypeError, "dtypes must be a sequence"),
        ({"dtypes": ["bool"]}, TypeError, "dtypes must be float16, float32"),
        ({"dims": [4]}, ValueError, "dims must be from 1 to 3"),
        ({"dims": 2}, TypeError, "dims must be a sequence"),
        ({"algorithms": ["fast"]}, ValueError, "algorithms must be one of"),
        ({"progress": 1}, TypeError, "progress must be True or False"),
    ],
)
def test_wrong_arguments(options, error, message):
    with pytest.raises(error, match=message):
        nbc.warmup(**options)


FORKED = """
import os
import numpy as np, numbaconv as nbc
nbc.conv2d(np.ones((4, 8, 64, 64), "f4"), np.ones((8, 8, 3, 3), "f4"))
pid = os.fork()
if pid == 0:
    nbc.warmup(dims=[1], algorithms=["depthwise"])
    os._exit(0)
print(os.waitpid(pid, 0)[1])
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_a_forked_child_may_warm(tmp_path):
    environment = {"NUMBA_CACHE_DIR": str(tmp_path), "NUMBA_THREADING_LAYER": "omp"}
    assert code(FORKED, **environment, NUMBA_NUM_THREADS="2").strip() == "0"
