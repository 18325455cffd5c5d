"""The canonical problem."""

import dataclasses

import numba
import numpy as np
import pytest

from numbaconv.kernels.indexing import unpack_window
from numbaconv.problem.geometry import ConvGeometry, Window, join_shape, split_shape, three_axes
from numbaconv.problem.options import ConvOptions


def parse(**changes):
    arguments = {
        "x_shape": (2, 6, 9, 11),
        "weight_shape": (4, 3, 3, 2),
        "stride": (2, 1),
        "padding": ((1, 0), (2, 3)),
        "dilation": (1, 3),
        "groups": 2,
        "padding_mode": "zeros",
        "layout": "channels_first",
    }
    found = arguments | changes
    shapes = found.pop("x_shape"), found.pop("weight_shape")
    return ConvGeometry.parse(ConvOptions(ndim=2, **found), *shapes)


def test_everything_is_canonical():
    geometry = parse(stride=np.int64(2), padding=[1, 2])
    assert geometry.window == Window((9, 11), (3, 2), (2, 2), (1, 3), ((1, 1), (2, 2)), "zeros")
    assert (geometry.batch, geometry.in_channels, geometry.out_channels) == (2, 6, 4)
    assert all(type(v) is int for v in (*geometry.window.stride, *geometry.window.size))
    assert hash(geometry) == hash(parse(stride=2, padding=(1, 2)))
    with pytest.raises(dataclasses.FrozenInstanceError):
        geometry.groups = 3


def test_sizes():
    geometry = parse()
    assert geometry.window.output == (4, 13)
    assert geometry.output_shape == (2, 4, 4, 13)
    assert geometry.patch_size == 3 * 6
    assert geometry.flops == 2 * (2 * 4 * 4 * 13) * 18


def test_layouts_describe_the_same_problem():
    last = parse(x_shape=(2, 9, 11, 6), weight_shape=(3, 2, 3, 4), layout="channels_last")
    assert last.window == parse().window
    assert last.output_shape == (2, 4, 13, 4)
    single = parse(x_shape=(9, 11, 6), weight_shape=(3, 2, 3, 4), layout="channels_last")
    assert single.output_shape == (4, 13, 4)
    assert not single.batched


def test_kernels_see_three_axes():
    # A helper of kernels is compiled for them alone: nobody else can call it.
    window = numba.njit(lambda packed: unpack_window(packed))(parse().window.packed)
    assert window.size == (1, 9, 11)
    assert window.kernel == (1, 3, 2)
    assert window.output == (1, 4, 13)
    assert window.stride == (1, 2, 1)
    assert window.dilation == (1, 1, 3)
    assert window.low == (0, 1, 2)
    assert three_axes((5,), 0) == (0, 0, 5)


def test_pointwise():
    def is_pointwise(**changes):
        defaults = {"weight_shape": (4, 3, 1, 1), "stride": 1, "padding": 0}
        return parse(**(defaults | changes)).window.is_pointwise

    assert is_pointwise()
    assert is_pointwise(dilation=4)
    assert not is_pointwise(stride=2)
    assert not is_pointwise(padding=1)
    assert not is_pointwise(padding=((1, 0), (0, 0)))
    assert not is_pointwise(weight_shape=(4, 3, 1, 2))


@pytest.mark.parametrize("channels_last", [False, True])
def test_shapes_split_and_join(channels_last):
    for shape in ((2, 3, 4, 5), (3, 4, 5)):
        batched, batch, channels, size = split_shape(shape, 2, channels_last)
        assert join_shape(batched, batch, channels, size, channels_last) == shape
