"""The layer suites and the engines to compare with, for ``numbaconv bench`` and `benchmarks/`."""
