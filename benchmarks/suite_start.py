"""What a fresh process pays: import, and first calls with and without a cache."""

import tempfile

from benchmarks.cold_start import CALLS, cold, import_over_numba, least, ours


class Import:
    """Beside the import of Numba."""

    timeout = 300

    def track_import_over_numba(self):
        with tempfile.TemporaryDirectory() as folder:
            return import_over_numba(folder)

    track_import_over_numba.unit = "seconds"


class FirstCall:
    """Each in processes of its own, with a cache of its own."""

    timeout = 600
    params = (list(CALLS), ["f4", "f8"])
    param_names = ("function", "dtype")

    def track_with_cache(self, function, dtype):
        with tempfile.TemporaryDirectory() as folder:
            return least(ours(function, dtype), folder, 2)[1]

    def track_without_cache(self, function, dtype):
        return cold(function, dtype)[0]

    def track_compiled_signatures(self, function, dtype):
        return cold(function, dtype)[1]

    def track_cache_size(self, function, dtype):
        return cold(function, dtype)[2]

    track_with_cache.unit = "seconds"
    track_without_cache.unit = "seconds"
    track_compiled_signatures.unit = "entries"
    track_cache_size.unit = "bytes"
