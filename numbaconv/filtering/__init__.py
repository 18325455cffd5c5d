"""Filters: of planes as they lie, and of whole arrays as SciPy defines them."""
