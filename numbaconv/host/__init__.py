"""The backend of NumPy's arrays: what the doors of `api` run where an array lies in host memory.

Checked options become a `Call`, which is remembered, and the call is run. `backend` lists what a
backend has. Imports from anywhere but `api`, `nopython` and the other backends; imported by `api`
and `dask`.
"""
