"""SciPy's modules: who computes a call of ours, and ours in the place of their functions.

SciPy's documentation is the contract, and so are its errors: what our kernels do not take, and what
is wrong, is handed over to SciPy.
"""

import importlib
import inspect
import logging
import os
import threading
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Protocol

from numbaconv.problem import arguments
from numbaconv.problem.arrays import Array

# What is None where it is not given: SciPy's older releases lack some of it.
_MAY_LACK = ("output", "axes", "radius", "size", "footprint")

# Our modules by SciPy's, SciPy's own functions while ours are in their place, and for how many.
_OURS = {"scipy.ndimage": "numbaconv.ndimage", "scipy.signal": "numbaconv.signal"}
_REPLACED: dict[tuple[str, str], Callable[..., Any]] = {}
_holders = 0
_changing = threading.RLock()


def _after_fork() -> None:
    """Replace a lock that another thread of the parent may hold."""
    global _changing
    _changing = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def function(module: str, name: str) -> Callable[..., Any]:
    """Return SciPy's own function of a module, whatever is in its place."""
    found = _REPLACED.get((module, name))
    if found is None:
        found = getattr(importlib.import_module(module), name)
    return found


class HandedOver(Exception):  # noqa: N818 - it is no error
    """A call is for SciPy; the message says why."""


class Prepared(Protocol):
    """A call that ours can compute."""

    def run(self, parallel: bool) -> Array:
        """Return the result."""


#: What prepares a call of a function, from its arguments by name, or hands it over.
Prepare = Callable[..., Prepared]


class Doors:
    """The functions of one of our modules that stand for SciPy's.

    Parameters
    ----------
    name : str
        Of the module, ours and SciPy's. A logger ``numbaconv.<name>`` says at level DEBUG which
        calls SciPy computes, and why.
    """

    def __init__(self, name: str) -> None:
        self.name, self.log = name, logging.getLogger(f"numbaconv.{name}")
        self._prepare: dict[str, Prepare] = {}

    def prepares(self, name: str) -> Callable[[Prepare], Prepare]:
        """Register what prepares calls of SciPy's function of a name."""

        def keep(prepare: Prepare) -> Prepare:
            self._prepare[name] = prepare
            return prepare

        return keep

    def computed(self, name: str, asked: Mapping[str, Any], parallel: Any) -> Array:
        """Return the result of a call, from whoever takes it."""
        parallel = arguments.flag(parallel, "parallel")
        try:
            prepared = self._prepare[name](**asked)
        except HandedOver as why:
            self.log.debug("%s is SciPy's: %s", name, why)
            given = {k: v for k, v in asked.items() if v is not None or k not in _MAY_LACK}
            made: Array = function(f"scipy.{self.name}", name)(**given)
            return made
        return prepared.run(parallel)

    def route(self, called: Callable[..., Any], args: Any, kwargs: Any) -> str:
        """Say who computes a call: "numbaconv", or "scipy: " and why."""
        name = getattr(called, "__name__", repr(called))
        ours = importlib.import_module(f"numbaconv.{self.name}")
        if getattr(ours, name, None) is not called or name not in self._prepare:
            names = ", ".join(self._prepare)
            raise ValueError(
                f"function must be one of {names}, each a filter of numbaconv.{self.name}, "
                f"got {called!r}"
            )
        bound = inspect.signature(called).bind(*args, **kwargs)
        bound.apply_defaults()
        asked = {key: value for key, value in bound.arguments.items() if key != "parallel"}
        try:
            self._prepare[name](**asked)
        except HandedOver as why:
            return f"scipy: {why}"
        return "numbaconv"


class Patched:
    """SciPy with our functions in it: a context manager that lets go of them."""

    def __enter__(self) -> "Patched":
        """Leave all as it is."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        """Take our functions out, unless somebody else has put them there, too."""
        global _holders
        with _changing:
            _holders -= 1
            if _holders <= 0:
                unpatch_scipy()


def patch_scipy() -> Patched:
    """Put our filters in the place of SciPy's, for all that looks them up in SciPy's modules.

    ``scipy.ndimage.gaussian_filter`` is then `numbaconv.ndimage.gaussian_filter`, and so are all
    functions of `numbaconv.ndimage` and `numbaconv.signal`: libraries that call them by way of the
    modules, as scikit-image does, run on ours unchanged. Names that were imported from SciPy's
    modules before stay what they were.

    Returns
    -------
    Patched
        A context manager at whose end ours go again, unless another call has put them there, too;
        whoever wants them for good ignores it.

    See Also
    --------
    unpatch_scipy : The way back.

    Examples
    --------
    >>> import scipy.ndimage
    >>> import numbaconv as nbc
    >>> with nbc.patch_scipy():
    ...     print(scipy.ndimage.gaussian_filter.__module__)
    numbaconv.ndimage.smoothing
    >>> scipy.ndimage.gaussian_filter.__module__.split(".")[0]
    'scipy'
    """
    global _holders
    with _changing:
        _holders += 1
        for theirs, ours in _OURS.items():
            module, other = importlib.import_module(theirs), importlib.import_module(ours)
            for name in set(other.__all__) & set(dir(module)):
                if (theirs, name) not in _REPLACED:
                    _REPLACED[theirs, name] = getattr(module, name)
                    setattr(module, name, getattr(other, name))
    return Patched()


def unpatch_scipy() -> None:
    """Put SciPy's own filters back, however often `patch_scipy` has been called.

    Examples
    --------
    >>> import numbaconv as nbc
    >>> nbc.unpatch_scipy()
    """
    global _holders
    with _changing:
        _holders = 0
        for (module, name), found in list(_REPLACED.items()):
            setattr(importlib.import_module(module), name, found)
            del _REPLACED[module, name]
