"""Filters of whole arrays as SciPy defines them: sums in float64, borders at the borders alone."""
