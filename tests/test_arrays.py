"""Flat views of arrays: the same elements, whatever the strides."""

import numpy as np
import pytest
from problems import AWKWARD

from numbaconv.problem.arrays import (
    LINE,
    address,
    empty,
    flatten,
    is_direct,
    overlaps_itself,
    spatial_walk,
    writeable,
)

DIRECT = ("contiguous", "fortran", "strided", "negative", "offset", "read-only")


@pytest.mark.parametrize("name", DIRECT)
@pytest.mark.parametrize("channels_last", [False, True])
def test_flat_addresses_reach_every_element(name, channels_last):
    shape = (2, 3, 4, 5)
    array = AWKWARD[name](np.arange(120.0).reshape(shape))
    assert is_direct(array, np.dtype(float))
    flat = flatten(array, channels_last=channels_last)
    offset, n, c, d, *hw = flat.place
    assert d == 0
    steps = (n, *hw, c) if channels_last else (n, c, *hw)
    for index in np.ndindex(shape):
        assert flat.data[offset + np.dot(index, steps)] == array[index]
    assert flat.data.flags.writeable
    assert flat.data.flags.c_contiguous


@pytest.mark.parametrize("name", ["unaligned", "field of a record", "byte-swapped"])
def test_what_is_not_direct(name):
    array = AWKWARD[name](np.arange(6.0).reshape(1, 2, 3))
    assert not is_direct(array, np.dtype(float))


def test_a_flat_view_keeps_its_owner_alive():
    flat = flatten(np.full((1, 1, 50_000), 3.0), channels_last=False)
    np.full((1, 1, 50_000), 4.0)
    assert (flat.data == 3).all()


def test_overlaps_itself():
    base = np.zeros(20)
    assert not overlaps_itself(base.reshape(4, 5))
    assert not overlaps_itself(base.reshape(4, 5).T[::-1, ::2])
    assert overlaps_itself(np.lib.stride_tricks.sliding_window_view(base, 3))
    assert overlaps_itself(np.broadcast_to(base, (2, 20)))
    assert not overlaps_itself(np.broadcast_to(base[:1], (1, 1)))


def test_spatial_walk():
    array = np.zeros((2, 3, 4, 5, 6))
    np.testing.assert_array_equal(spatial_walk(array, channels_last=False), [1, 1, 120, 0, 0, 1])
    np.testing.assert_array_equal(spatial_walk(array, channels_last=True), [1, 1, 60, 0, 0, 6])
    cut = array[:, :, :, :, :5]
    np.testing.assert_array_equal(spatial_walk(cut, channels_last=False), [4, 5, 5, 30, 6, 1])
    single = np.zeros((1, 1, 7, 1))
    np.testing.assert_array_equal(spatial_walk(single, channels_last=False), [1, 1, 7, 0, 0, 1])
    one = np.zeros((1, 1, 1))
    np.testing.assert_array_equal(spatial_walk(one, channels_last=False), [1, 1, 1, 0, 0, 1])


def test_writeable_aliases_without_a_copy():
    array = np.arange(6.0).reshape(2, 3)
    array.flags.writeable = False
    alias = writeable(array)
    assert alias.flags.writeable
    assert np.shares_memory(alias, array)
    np.testing.assert_array_equal(alias, array)


@pytest.mark.parametrize("dtype", ["int8", "float32", "complex128"])
@pytest.mark.parametrize("shape", [(), (0, 3), (5, 7), (3, 1000, 257)])
def test_new_arrays(shape, dtype):
    made = [empty(shape, np.dtype(dtype)) for _ in range(3)]
    for array in made:
        assert (array.shape, array.dtype) == (shape, np.dtype(dtype))
        assert array.flags.c_contiguous
        assert array.flags.writeable
        assert array.flags.aligned
        if array.size > 1000:
            assert address(array) % LINE == 0
        array[...] = 1
    assert not np.may_share_memory(made[0], made[1])
