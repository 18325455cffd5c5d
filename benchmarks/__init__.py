"""asv suites, layer lists, and the scripts behind every figure that the documentation quotes."""
