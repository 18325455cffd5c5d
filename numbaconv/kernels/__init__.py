"""How anything compiles and who runs it, what it borrows, and what kernels are made of.

Imports from `problem`; imported from everywhere but there.
"""
