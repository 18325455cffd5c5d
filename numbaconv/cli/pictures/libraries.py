"""The libraries that only some images need, imported when the first of these comes."""

from importlib import import_module
from typing import Any


def imported(name: str) -> Any:
    """Return a library, or say how to install it."""
    try:
        return import_module(name)
    except ImportError:
        raise ValueError(f"it needs {name}: pip install 'numbaconv[cli]'") from None
