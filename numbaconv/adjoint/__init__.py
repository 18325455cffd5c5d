"""The adjoint of a convolution: transposed convolution, and the gradient of the input.

Imports from `problem`, `kernels`, `native`, `running`, `routes` and `reference`.
"""
