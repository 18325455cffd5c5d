"""What kernels divide by, against plain division."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from numbaconv.cuda import operands, parameters

_MOST = 2**31 - 1


@given(st.integers(1, _MOST), st.integers(0, _MOST))
def test_division_by_a_prepared_divisor(n, a):
    multiplier, shift = parameters.divisor(n, np.int32)
    assert -(2**31) <= multiplier < 2**31
    high = a * (multiplier % 2**32) >> 32
    assert high + a < 2**32
    assert (high + a) >> shift == a // n


@pytest.mark.parametrize("n", [1, 2, 3, 7, 2**16, 2**16 + 1, 2**30, 2**30 + 1, _MOST])
def test_at_the_edges(n):
    multiplier, shift = parameters.divisor(n, np.int32)
    for q in (1, 2, 3, _MOST // n):
        for a in (q * n - 1, q * n, q * n + 1):
            if 0 <= a <= _MOST:
                assert ((a * (multiplier % 2**32) >> 32) + a) >> shift == a // n


def test_wide_indices_are_divided_plainly():
    assert parameters.divisor(12, np.int64) == (12, 0)
    assert parameters.divisor(0, np.int32) == parameters.divisor(1, np.int32)


@pytest.mark.parametrize(
    ("size", "axes"), [((1, 1, 1), 1), ((1, 1, 9), 1), ((1, 2, 1), 2), ((3, 1, 1), 3)]
)
def test_axes(size, axes):
    assert operands.axes_of(size) == axes
