"""SciPy's modules, with ours in the place of some functions where that is asked for."""

import importlib
import os
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any

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
