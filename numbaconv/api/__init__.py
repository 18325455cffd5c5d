"""What users call: a signature, its documentation, and one call into the rooms behind.

A door makes one options object and hands it to the backend of the arrays. Everything here is
imported from `numbaconv` itself. Imports from anywhere; imported by `numbaconv`,
`cuda`, `dask`, `cli` and `nopython`.
"""
