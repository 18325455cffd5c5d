"""The size and index formulas, against counting."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from numbaconv.problem.formulas import (
    PADDING_MODES,
    dilated_size,
    end_inside,
    first_inside,
    output_size,
    same_padding,
    source_index,
)

small = st.integers(1, 9)


@given(small, st.integers(0, 5), st.integers(0, 5), small, small, small)
def test_output_size_counts_the_windows_that_fit(size, low, high, kernel, stride, dilation):
    padded = size + low + high
    starts = [s for s in range(0, padded, stride) if s + dilated_size(kernel, dilation) <= padded]
    assert max(0, output_size(size, low, high, kernel, stride, dilation)) == len(starts)


@given(small, small, small, small)
def test_same_padding_is_the_least_that_gives_ceil(size, kernel, stride, dilation):
    wanted = -(-size // stride)
    total = same_padding(size, kernel, stride, dilation)
    assert output_size(size, 0, total, kernel, stride, dilation) >= wanted
    if total:
        assert output_size(size, 0, total, kernel, stride, dilation) == wanted
        assert output_size(size, 0, total - 1, kernel, stride, dilation) < wanted


@pytest.mark.parametrize(
    ("mode", "numpy_mode"),
    [("reflect", "reflect"), ("replicate", "edge"), ("circular", "wrap")],
)
@given(size=st.integers(1, 6), width=st.integers(0, 30))
def test_source_index_is_numpys_padding(mode, numpy_mode, size, width):
    expected = np.pad(np.arange(size), width, mode=numpy_mode)
    got = [source_index(i, size, PADDING_MODES[mode]) for i in range(-width, size + width)]
    np.testing.assert_array_equal(got, expected)


def test_source_index_of_zeros():
    assert [source_index(i, 3, PADDING_MODES["zeros"]) for i in range(-2, 5)] == [
        -1, -1, 0, 1, 2, -1, -1,
    ]  # fmt: skip


@given(st.integers(-20, 20), small, small, st.integers(0, 12))
def test_inside_is_where_taps_hit_the_input(shift, stride, size, outputs):
    hits = [o for o in range(outputs) if 0 <= o * stride + shift < size]
    first, end = first_inside(shift, stride, outputs), end_inside(shift, stride, size, outputs)
    assert list(range(first, end)) == hits
    assert 0 <= first <= outputs
    assert 0 <= end <= outputs
