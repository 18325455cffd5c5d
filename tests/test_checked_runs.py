"""The suite again where mistakes show: with bounds checks, and as plain Python.

Numba loses errors inside ``prange``, so these runs use the serial twins. Its cache knows neither
setting, so each run has a cache of its own.
"""

import pytest
from children import code, python

REFERENCE = "tests/test_gradients.py::test_small_problems_by_the_reference"
BOUNDS_CHECKED = (
    "tests/test_conv.py", "tests/test_im2col.py", "tests/test_properties.py", REFERENCE
)  # fmt: skip
# Plain Python is slow: what reaches every branch of the kernels, on few problems.
PLAIN = (
    "test_padding_modes_of_any_width or test_blocked_patches_and_outputs or test_pointwise "
    "or (test_col2im and (int64 or float32)) or (test_im2col_of_every_dtype and uint8) "
    "or test_out_may_overlap or test_small_problems_by_the_reference"
)

# The kernel is told of one row more than there is.
OUT_OF_BOUNDS = """
import numpy as np
from numbaconv.reference import gather
from numbaconv.problem.arrays import flatten
from numbaconv.problem.geometry import Window
window = Window((4, 3), (2, 2), (1, 1), (1, 1), ((0, 0), (0, 0)))
x, cols = np.zeros((1, 1, 3, 3)), np.zeros((1, 4, 6))
x, cols = flatten(x, channels_last=False), flatten(cols, channels_last=False)
blocks = gather._cut(x.place, cols.place, window, (1, 1, 4, 3), x.data.dtype, False, False)
space, tables = np.zeros((1, blocks.elements)), np.zeros((1, 1), np.int64)
try:
    gather.im2col_columns.serial(
        1, 0, blocks.tasks((1, 3, 2)), x.data, x.place, window.packed, blocks.packed, cols.data,
        cols.place, space, tables, np.zeros(5, np.int64),
    )
except IndexError:
    print("caught")
"""


@pytest.mark.parametrize("setting", ["NUMBA_BOUNDSCHECK", "NUMBA_DISABLE_JIT"])
def test_a_read_out_of_bounds_raises(setting, tmp_path):
    printed = code(OUT_OF_BOUNDS, NUMBA_CACHE_DIR=str(tmp_path), **{setting: "1"})
    assert printed.split() == ["caught"]


@pytest.mark.long
def test_with_bounds_checks(tmp_path):
    result = python(
        "-m", "pytest", "-n0", "-q", "-x", "--serial-only", "-p", "no:cacheprovider",
        *BOUNDS_CHECKED,
        timeout=1800, check=False, NUMBA_BOUNDSCHECK="1", NUMBA_CACHE_DIR=str(tmp_path),
    )  # fmt: skip
    assert result.returncode == 0, result.stdout[-4000:] + result.stderr[-4000:]


@pytest.mark.long
def test_as_plain_python(tmp_path):
    result = python(
        "-m", "pytest", "-n0", "-q", "-x", "--serial-only", "-p", "no:cacheprovider",
        "tests/test_conv.py", "tests/test_im2col.py", REFERENCE, "-k", PLAIN,
        # NumPy warns where one of its scalars wraps; machine code and NumPy's arrays just wrap.
        "-W", "ignore:overflow encountered in scalar:RuntimeWarning",
        timeout=1800, check=False, NUMBA_DISABLE_JIT="1", NUMBA_CACHE_DIR=str(tmp_path),
    )  # fmt: skip
    assert result.returncode == 0, result.stdout[-4000:] + result.stderr[-4000:]
