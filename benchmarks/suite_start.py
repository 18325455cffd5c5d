"""What a fresh process pays: import, and first calls with and without a cache."""

import tempfile

from benchmarks.cold_start import CALLS, first_calls, import_over_numba

_KINDS = [*((name, "f4") for name in CALLS), ("conv2d", "f8")]


class Import:
    """Beside the import of Numba."""

    timeout = 300

    def track_import_over_numba(self):
        with tempfile.TemporaryDirectory() as folder:
            return import_over_numba(folder)

    track_import_over_numba.unit = "seconds"


class FirstCall:
    """Each in processes and with a cache of its own, once for all tracks."""

    timeout = 1200
    params = [f"{name} {dtype}" for name, dtype in _KINDS]
    param_names = ("function and dtype",)

    def setup_cache(self):
        return {f"{name} {dtype}": first_calls(name, dtype) for name, dtype in _KINDS}

    def track_with_cache(self, found, kind):
        return found[kind]["warm"]

    def track_without_cache(self, found, kind):
        return found[kind]["cold"]

    def track_compiled_signatures(self, found, kind):
        return found[kind]["signatures"]

    def track_cache_size(self, found, kind):
        return found[kind]["bytes"]

    setup_cache.timeout = 1200
    track_with_cache.unit = "seconds"
    track_without_cache.unit = "seconds"
    track_compiled_signatures.unit = "entries"
    track_cache_size.unit = "bytes"
