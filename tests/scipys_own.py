"""Runs some of SciPy's own tests, on SciPy's functions or on ours in their place.

Run as ``python tests/scipys_own.py {theirs,ours} JUNIT PYTEST-ARGUMENTS...``.
"""

import sys

import pytest

import numbaconv as nbc
from numbaconv.api import scipys


def replace():
    """Put ours in the place of SciPy's; its tests look functions up in a table of capabilities."""
    nbc.patch_scipy()
    try:
        from scipy._lib._array_api import xp_capabilities_table as table
    except ImportError:  # SciPy before 1.17
        return
    for (module, name), own in scipys._REPLACED.items():
        if own in table:
            table[getattr(sys.modules[module], name)] = table[own]


if __name__ == "__main__":
    whose, junit, *arguments = sys.argv[1:]
    if whose == "ours":
        replace()
    sys.exit(pytest.main([
        "--pyargs", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-W", "ignore",
        f"--junitxml={junit}", *arguments,
    ]))  # fmt: skip
