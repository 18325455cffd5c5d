"""The layer suites, which the package owns for ``numbaconv bench``."""

from numbaconv.bench.layers import BY_NAME, FAMILIES, NETWORKS, OTHERS, TRACKED, Layer

__all__ = ["BY_NAME", "FAMILIES", "NETWORKS", "OTHERS", "TRACKED", "Layer"]
