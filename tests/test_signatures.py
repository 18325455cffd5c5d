"""The doors agree: names, order and defaults of arguments, in Python, jitted code, under Dask."""

import inspect

import pytest

import numbaconv as nbc
from numbaconv import nopython

DOORS = [name for name in nbc.__all__ if inspect.isfunction(getattr(nbc, name))]
LAZY = [name for name in DOORS if "conv" in name or "pool" in name]


def described(function):
    """Return (name, default) of each parameter."""
    return [(p.name, p.default) for p in inspect.signature(function).parameters.values()]


@pytest.mark.parametrize("name", sorted(nopython.FUNCTIONS))
def test_jitted_code(name):
    function, *_ = nopython.FUNCTIONS[name]
    assert function is getattr(nbc, name)
    found = nopython.positional(function)
    assert [(p.name, p.default) for p in found.parameters.values()] == described(function)
    assert all(p.kind is p.POSITIONAL_OR_KEYWORD for p in found.parameters.values())


def test_all_that_convolves_or_pools_is_there():
    import numbaconv.dask as nbdask

    for name in LAZY:
        assert name in nopython.FUNCTIONS
        assert name in nbdask.__all__


@pytest.mark.parametrize("name", LAZY)
def test_dask(name):
    """One door: what is imported by name from a backend has the same arguments, and help."""
    import numbaconv.dask as nbdask

    door = getattr(nbdask, name)
    assert described(door) == described(getattr(nbc, name))
    assert door.__doc__ == getattr(nbc, name).__doc__
    assert (door.__module__, door.__qualname__) == ("numbaconv.dask", name)


@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_layers(ndim):
    """A layer takes what its function takes, but for the image and what belongs to a call."""
    layer = described(getattr(nbc, f"Conv{ndim}d").__init__)[1:]
    layer.remove(("x_shape", None))  # so that the algorithm may be chosen beforehand
    function = described(getattr(nbc, f"conv{ndim}d"))[1:]
    assert layer == [p for p in function if p[0] in dict(layer)]
    assert {p[0] for p in function} - {p[0] for p in layer} <= {"dtype", "out", "parallel"}
