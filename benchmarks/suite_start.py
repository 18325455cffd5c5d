"""What a fresh process pays: import, and the first call with and without a cache."""

import os
import subprocess
import sys
import tempfile

_IMPORT = """
import time
import numba
start = time.perf_counter()
import numbaconv
print(time.perf_counter() - start)
"""
_FIRST_CALL = """
import time
import numpy as np, numbaconv as nbc
x, w = np.ones((1, 16, 64, 64), "f4"), np.ones((16, 16, 3, 3), "f4")
start = time.perf_counter()
nbc.conv2d(x, w)
print(time.perf_counter() - start)
"""


def _seconds(source, cache):
    """Return what a fresh process prints."""
    environment = os.environ | {"NUMBA_CACHE_DIR": cache}
    done = subprocess.run(
        [sys.executable, "-c", source], env=environment, capture_output=True, text=True, check=True
    )
    return float(done.stdout)


class Start:
    """Each figure is the least of some fresh processes."""

    timeout = 300
    unit = "seconds"

    def setup_cache(self):
        """Fill a cache once, in a folder that asv keeps for this class."""
        folder = os.path.join(os.getcwd(), "kernels")
        _seconds(_FIRST_CALL, folder)
        return folder

    def track_import_over_numba(self, folder):
        return min(_seconds(_IMPORT, folder) for _ in range(5))

    def track_first_call_with_cache(self, folder):
        return min(_seconds(_FIRST_CALL, folder) for _ in range(3))

    def track_first_call_without_cache(self, folder):
        with tempfile.TemporaryDirectory() as empty:
            return _seconds(_FIRST_CALL, empty)

    track_import_over_numba.unit = "seconds"
    track_first_call_with_cache.unit = "seconds"
    track_first_call_without_cache.unit = "seconds"
