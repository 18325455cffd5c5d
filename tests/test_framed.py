"""Padding modes over large images: the image, then its borders, as one padded copy has them."""

from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from problems import cases, small_integers

import numbaconv as nbc
from numbaconv.problem.geometry import ConvGeometry
from numbaconv.problem.options import ConvOptions
from numbaconv.running import strips

CONVS = {1: nbc.conv1d, 2: nbc.conv2d, 3: nbc.conv3d}
MODES = ("reflect", "replicate", "circular", "symmetric")


@pytest.fixture
def always():
    """Compute borders for themselves whatever the sizes."""
    nbc.release_memory()
    with mock.patch.object(strips, "framing_pays", lambda geometry: geometry.window.mirrors):
        yield
    nbc.release_memory()


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("algorithm", ["direct", "exact", "auto"])
@pytest.mark.parametrize("layout", ["channels_first", "channels_last"])
@given(case=cases(), seed=st.integers(0, 2**32 - 1))
def test_as_the_reference(layout, algorithm, case, seed):
    rng = np.random.default_rng(seed)
    x, w = (small_integers(rng, s, "float64") for s in (case.x_shape, case.weight_shape))
    b = small_integers(rng, (case.outputs,), "float64")
    if layout == "channels_last":
        x, w = np.moveaxis(x, 1, -1), np.moveaxis(w, (0, 1), (-1, -2))
    conv, options = CONVS[len(case.size)], {**case.window, "groups": case.groups, "layout": layout}
    expected = conv(x, w, b, **options, algorithm="im2col")
    np.testing.assert_array_equal(conv(x, w, b, **options, algorithm=algorithm), expected)


@pytest.mark.parametrize("mode", MODES)
def test_a_large_image(mode):
    rng = np.random.default_rng(0)
    x, w = (small_integers(rng, s, "float32") for s in ((2, 1, 150, 170), (1, 1, 5, 3)))
    x[0, 0, 0, 0] = np.nan
    options = {"padding": ((2, 2), (1, 2)), "padding_mode": mode}
    geometry = ConvGeometry.parse(ConvOptions(2, **options), x.shape, w.shape)
    assert strips.framing_pays(geometry)
    expected = nbc.conv2d(x, w, **options, algorithm="im2col")
    np.testing.assert_array_equal(nbc.conv2d(x, w, **options, algorithm="direct"), expected)
    layer = nbc.Conv2d(w, **options, algorithm="direct")
    np.testing.assert_array_equal(layer(x[::-1]), expected[::-1])


def test_infinite_weights_do_not_meet_zeros():
    x, w = np.ones((1, 1, 128, 128), "f4"), np.full((1, 1, 3, 3), np.inf, "f4")
    found = nbc.conv2d(x, w, padding=1, padding_mode="replicate", algorithm="direct")
    assert np.isinf(found).all()


@pytest.mark.parametrize(
    ("size", "expected"), [((200, 200), True), ((40, 40), False), ((4000, 4), False)]
)
def test_where_it_pays(size, expected):
    options = ConvOptions(2, padding=2, padding_mode="reflect")
    geometry = ConvGeometry.parse(options, (1, 1, *size), (1, 1, 5, 5))
    assert strips.framing_pays(geometry) == expected
