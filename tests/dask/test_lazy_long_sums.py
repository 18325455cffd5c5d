"""Long sums over dask arrays: within blocks, and over many of them."""

import dask.array as da
import numpy as np
import pytest

import numbaconv as nbc
import numbaconv.dask as nbdask


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("chunk", [1_000_000, 20_000_000])
def test_bias_and_weights_of_twenty_million_ones(chunk, last):
    n = 20_000_000
    shape, chunks = ((1, n, 1), (1, chunk, 1)) if last else ((1, 1, n), (1, 1, chunk))
    x = da.ones(shape, dtype=np.float32, chunks=chunks)
    weight = np.ones((1, 1, 1), np.float32)
    layout = "channels_last" if last else "channels_first"
    found = nbdask.conv1d_backward(x, x, weight, needs=("weight", "bias"), layout=layout)
    assert found.bias.compute().item() == n
    assert found.weight.compute().item() == n


def test_channels_in_many_chunks():
    rng = np.random.default_rng(0)
    x, weight = rng.random((1, 9000, 3), "f4"), rng.random((2, 9000, 3), "f4")
    exact = nbc.conv1d(x.astype("f8"), weight.astype("f8"))
    found = nbdask.conv1d(da.from_array(x, chunks=(1, 100, 3)), weight).compute()
    np.testing.assert_allclose(found, exact, rtol=2e-6)


def test_means():
    x = da.ones((1, 1, 5000, 5000), dtype=np.float32, chunks=(1, 1, 700, 900))
    assert nbdask.avg_pool2d(x, 5000).compute().item() == 1
