"""What users call: a signature, its documentation, and one call into the rooms behind.

Everything here is imported from `numbaconv` itself. Imports from anywhere; imported by `numbaconv`,
`cuda`, `dask`, `cli` and `nopython`.
"""
