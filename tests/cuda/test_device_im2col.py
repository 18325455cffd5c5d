"""im2col and col2im on the device, against the oracle."""

import naive
import numpy as np
import pytest
from device_cases import CASES, named
from problems import small_integers

import numbaconv as nbc
import numbaconv.cuda as nbcuda


@pytest.mark.parametrize("patches", ["columns", "rows"])
@pytest.mark.parametrize("layout", ["channels_first", "channels_last"])
@pytest.mark.parametrize("case", CASES, ids=named)
def test_im2col(case, layout, patches, rng, to_device):
    x = small_integers(rng, case.x_shape, "float32")
    if layout == "channels_last":
        x = np.ascontiguousarray(naive.channels_last(x))
    options = {**case.window, "layout": layout, "patches": patches}
    found = nbcuda.im2col(to_device(x), case.kernel, padding_mode=case.mode, **options)
    expected = naive.im2col(
        naive.channels_first(x) if layout == "channels_last" else x,
        case.kernel, case.stride, case.padding, case.dilation, case.mode,
    )  # fmt: skip
    if layout == "channels_last":
        expected = naive.patch_order_last(expected, int(np.prod(case.kernel)))
    if patches == "rows":
        expected = expected.swapaxes(1, 2)
    np.testing.assert_array_equal(found.copy_to_host(), expected)
    if case.mode != "zeros":
        return
    size = case.size
    back = nbcuda.col2im(found, size, case.kernel, **options)
    wanted = nbc.col2im(np.ascontiguousarray(expected), size, case.kernel, **options)
    np.testing.assert_array_equal(back.copy_to_host(), wanted)


@pytest.mark.parametrize("dtype", ["float16", "complex64", "uint8", "int64"])
def test_dtypes(dtype, rng, to_device):
    x = small_integers(rng, (1, 2, 4, 4), "float32").astype(dtype)
    cols = nbcuda.im2col(to_device(x), (2, 2))
    assert cols.dtype == dtype
    np.testing.assert_array_equal(cols.copy_to_host(), nbc.im2col(x, (2, 2)))
    back = nbcuda.col2im(cols, (4, 4), (2, 2)).copy_to_host()
    assert back.dtype == dtype
    np.testing.assert_array_equal(back, nbc.col2im(nbc.im2col(x, (2, 2)), (4, 4), (2, 2)))


def test_unbatched_strided_and_out(rng, to_device):
    x = small_integers(rng, (3, 6, 5), "float32")
    device = to_device(x)[:, ::2]
    out = to_device(np.zeros((12, 16), "float32"))
    found = nbcuda.im2col(device, (2, 2), out=out[:, ::2])
    np.testing.assert_array_equal(out.copy_to_host()[:, ::2], nbc.im2col(x[:, ::2], (2, 2)))
    assert found.shape == (12, 8)
    assert not out.copy_to_host()[:, 1::2].any()


def test_as_the_functions_of_the_cpu_refuse(to_device):
    x = to_device(np.zeros((1, 2, 4, 4), "f4"))
    with pytest.raises(ValueError, match="kernel"):
        nbcuda.im2col(x, (5, 5))
    with pytest.raises(ValueError, match="cols must be"):
        nbcuda.col2im(to_device(np.zeros((1, 8, 8), "f4")), (4, 4), (2, 2))
    with pytest.raises(TypeError, match="to_device"):
        nbcuda.im2col(np.zeros((1, 2, 4, 4), "f4"), (2, 2))
