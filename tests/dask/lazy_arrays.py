"""Random chunkings, and the comparison of a lazy result with the one-array call."""

import dask
import dask.array as da
import numpy as np
from hypothesis import strategies as st


@st.composite
def chunkings(draw, shape):
    """Draw chunks of a shape."""

    def along(n):
        chunks = []
        while n > 0:
            chunks.append(draw(st.integers(1, n)))
            n -= chunks[-1]
        return tuple(chunks) or (0,)

    return tuple(along(n) for n in shape)


def lazy(data, array):
    """Return an array as a dask array in drawn chunks."""
    return da.from_array(array, chunks=data.draw(chunkings(array.shape)))


def assert_same(found, expected, bound=None):
    """Compare a lazy result, its shape, its dtype and its meta, with the one-array call's."""
    assert isinstance(found, da.Array)
    assert found.shape == expected.shape
    assert found.dtype == expected.dtype
    assert found._meta.dtype == expected.dtype
    assert found._meta.ndim == expected.ndim
    with dask.config.set(scheduler="synchronous"):
        value = found.compute()
        for index in np.ndindex(*found.numblocks):
            block = found.blocks[index]
            assert block.compute().shape == block.shape
    assert value.dtype == expected.dtype
    if bound is None:
        np.testing.assert_array_equal(value, expected)
    else:
        assert (abs(value.astype("f8") - expected) <= bound).all()
