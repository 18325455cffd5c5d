"""float16: every number there is, both ways, and batches in parts."""

import numpy as np
import pytest

import numbaconv as nbc
from numbaconv.running import call, results

ALL = np.arange(1 << 16, dtype=np.uint16).view(np.float16)


def test_every_half_becomes_its_float():
    found = results.converted(ALL, np.dtype(np.float32), parallel=True)
    assert found.dtype == np.float32
    with np.errstate(invalid="ignore"):  # ARM tells of signalling NaNs
        expected = ALL.astype(np.float32)
    np.testing.assert_array_equal(found, expected)


def test_floats_are_rounded_to_nearest_ties_to_even():
    rng = np.random.default_rng(20261128)
    numbers = ALL[np.isfinite(ALL)].astype(np.float32)
    middle = (numbers[:-1] + numbers[1:]) / 2
    with np.errstate(over="ignore", invalid="ignore"):
        x = np.concatenate([
            numbers, middle, np.nextafter(middle, np.float32(np.inf)),
            rng.integers(0, 1 << 32, 100_001, dtype=np.uint32).view(np.float32),
            np.array([np.inf, -np.inf, np.nan, 65519, 65520, -0.0, 1e-8], np.float32),
        ])  # fmt: skip
        expected = x.astype(np.float16)
    found = np.empty(x.shape, np.float16)
    results.assign(found, x, parallel=True)
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(np.signbit(found), np.signbit(expected))


@pytest.mark.parametrize("layout", ["channels_first", "channels_last"])
@pytest.mark.parametrize("together", [1, 500, 1 << 19])
def test_a_batch_in_parts(layout, together, monkeypatch):
    monkeypatch.setattr(call, "_CONVERTED", together)
    rng = np.random.default_rng(0)
    x = rng.integers(-3, 4, (5, 3, 8, 9)).astype("f2")
    w = rng.integers(-3, 4, (4, 3, 3, 2)).astype("f2")
    if layout == "channels_last":
        x, w = np.moveaxis(x, 1, -1).copy(), np.moveaxis(w, (0, 1), (-1, -2)).copy()
    expected = nbc.conv2d(x.astype("f4"), w.astype("f4"), padding=1, layout=layout)
    found = nbc.conv2d(x, w, padding=1, layout=layout)
    assert found.dtype == np.float16
    np.testing.assert_array_equal(found, expected.astype("f2"))
    out = np.zeros((*found.shape[:-1], 2 * found.shape[-1]), "f2")[..., ::2]
    nbc.conv2d(x[::-1], w, padding=1, layout=layout, out=out)
    np.testing.assert_array_equal(out, found[::-1])
