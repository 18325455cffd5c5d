"""One door for every kind of array: each function over dask arrays, and what mixtures say.

Arrays on a device are tested in `tests/cuda/test_device_doors.py`.
"""

import subprocess
import sys

import dask.array as da
import numpy as np
import pytest

import numbaconv as nbc
from numbaconv.problem.types import kind


class OnDevice:
    """Stands for an array on a device."""

    @property
    def __cuda_array_interface__(self):
        return {"shape": (1, 2, 6, 7), "typestr": "<f4", "data": (0, False), "version": 3}


class WithGradient:
    """Stands for a tensor of PyTorch's, whose interface raises where it requires a gradient."""

    @property
    def __cuda_array_interface__(self):
        raise RuntimeError("requires grad")


class ByDLPack:
    """Stands for an array that hands itself on by DLPack alone."""

    def __init__(self, device):
        self.device = device

    def __dlpack_device__(self):
        return self.device, 0


def ones(*shape):
    return np.ones(shape, "f4")


_FORWARD = {"x": ones(1, 2, 6, 7), "weight": ones(2, 2, 3, 3), "bias": ones(2)}
_GRAD = {"grad_output": ones(1, 2, 4, 5)}
_WIDER = {"grad_output": ones(1, 2, 8, 9)}
_INDICES = {"indices": np.zeros((1, 2, 3, 3), int)}

#: Of each 2-D function: arrays by name, and what else it is called with.
CALLS = {
    "conv2d": (_FORWARD, {}),
    "conv_transpose2d": (_FORWARD, {}),
    "conv2d_input_grad": (
        {"weight": _FORWARD["weight"], **_GRAD}, {"input_shape": (1, 2, 6, 7)},
    ),
    "conv_transpose2d_input_grad": (
        {"weight": _FORWARD["weight"], **_WIDER}, {"input_shape": (1, 2, 6, 7)},
    ),
    "conv2d_weight_grad": (
        {"x": _FORWARD["x"], **_GRAD}, {"weight_shape": (2, 2, 3, 3)},
    ),
    "conv_transpose2d_weight_grad": (
        {"x": _FORWARD["x"], **_WIDER}, {"weight_shape": (2, 2, 3, 3)},
    ),
    "conv2d_backward": ({"x": _FORWARD["x"], "weight": _FORWARD["weight"], **_GRAD}, {}),
    "conv_transpose2d_backward": (
        {"x": _FORWARD["x"], "weight": _FORWARD["weight"], **_WIDER}, {},
    ),
    "max_pool2d": ({"x": _FORWARD["x"]}, {"kernel_size": 2, "return_indices": True}),
    "max_pool2d_backward": (
        {"grad_output": ones(1, 2, 3, 3), **_INDICES}, {"input_shape": (1, 2, 6, 7)},
    ),
    "max_unpool2d": ({"x": ones(1, 2, 3, 3), **_INDICES}, {"kernel_size": 2}),
    "avg_pool2d": ({"x": _FORWARD["x"]}, {"kernel_size": 2}),
    "avg_pool2d_backward": (
        {"grad_output": ones(1, 2, 3, 3)}, {"input_shape": (1, 2, 6, 7), "kernel_size": 2},
    ),
    "adaptive_max_pool2d": ({"x": _FORWARD["x"]}, {"output_size": 4, "return_indices": True}),
    "adaptive_avg_pool2d": ({"x": _FORWARD["x"]}, {"output_size": (4, 5)}),
    "adaptive_avg_pool2d_backward": (
        {"grad_output": ones(1, 2, 4, 5)}, {"input_shape": (1, 2, 6, 7)},
    ),
}  # fmt: skip
#: Arguments of which every task of Dask's gets all: they may be NumPy's.
SHARED = ("weight", "bias")


def test_kinds():
    assert kind(da.ones(3)) == "dask"
    assert kind(OnDevice()) == kind(WithGradient()) == "device"
    assert [kind(ByDLPack(device)) for device in (2, 13)] == ["device"] * 2
    for value in (ones(3), [1, 2], 3.0, None, np.ma.ones(3), memoryview(b"abc"), ByDLPack(1)):
        assert kind(value) == "host"


def test_the_table_is_whole():
    doors = [n for n in nbc.__all__ if "2d" in n and n[0].islower()]
    assert sorted(CALLS) == sorted(doors)


@pytest.mark.parametrize("name", CALLS)
def test_dask_arrays(name):
    arrays, options = CALLS[name]
    expected = getattr(nbc, name)(**arrays, **options)
    lazy = {n: da.from_array(a, chunks=4) for n, a in arrays.items()}
    found = getattr(nbc, name)(**lazy, **options)
    if not isinstance(expected, tuple):
        expected, found = (expected,), (found,)
    for a, b in zip(found, expected, strict=True):
        assert isinstance(a, da.Array)
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
        np.testing.assert_array_equal(a.compute(), b)


@pytest.mark.parametrize("name", [n for n, (arrays, _) in CALLS.items() if len(arrays) > 1])
def test_mixtures(name):
    function, (arrays, options) = getattr(nbc, name), CALLS[name]
    about = "grad_output" if "grad_output" in arrays else "x"
    lazy = {n: da.from_array(a, chunks=4) for n, a in arrays.items()}
    for other in arrays.keys() - {about}:
        for foreign, word in (
            (lazy[other], "dask"),
            (OnDevice(), "OnDevice"),
            (ByDLPack(2), "ByDLPack"),
        ):
            with pytest.raises(TypeError, match=f"^{other} must be a NumPy array .*{word}"):
                function(**(arrays | {other: foreign}), **options)
        with pytest.raises(TypeError, match=f"^{other} must be a"):
            function(**(lazy | {other: OnDevice()}), **options)
        if other not in SHARED:
            with pytest.raises(TypeError, match=rf"^{other} must be a dask array.*from_array"):
                function(**(lazy | {other: arrays[other]}), **options)
    with pytest.raises(TypeError, match="must be a NumPy array"):
        function(**(lazy | {about: arrays[about]}), **options)


def test_what_dask_has_not_got():
    x, weight = da.ones((1, 2, 6, 7)), ones(2, 2, 3, 3)
    with pytest.raises(TypeError, match=r"^out is not taken for dask arrays"):
        nbc.conv2d(x, weight, out=ones(1, 2, 4, 5))
    with pytest.raises(TypeError, match=r"^im2col takes no dask arrays"):
        nbc.im2col(x, 2)
    with pytest.raises(TypeError, match=r"^col2im takes no dask arrays"):
        nbc.col2im(da.ones((1, 8, 9)), (4, 4), 2)
    with pytest.raises(TypeError, match=r"^weight must be a NumPy array"):
        nbc.kernel_matrix(da.from_array(weight))


def test_layers():
    layer = nbc.Conv2d(_FORWARD["weight"], _FORWARD["bias"], padding=1)
    x = _FORWARD["x"]
    found = layer(da.from_array(x, chunks=(1, 2, 3, 4)))
    assert isinstance(found, da.Array)
    np.testing.assert_array_equal(found.compute(), layer(x))
    with pytest.raises(TypeError, match=r"^weight must be a NumPy array"):
        nbc.Conv2d(da.from_array(_FORWARD["weight"]))


def test_other_backends_are_not_imported():
    code = (
        "import sys, numpy as np, numbaconv as nbc\n"
        "nbc.conv2d(np.ones((1, 1, 5, 5)), [[[[1.0]]]])\n"
        "assert not {'dask', 'numbaconv.dask', 'numbaconv.cuda', 'numba.cuda'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
