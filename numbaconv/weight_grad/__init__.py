"""The gradient of a convolution with respect to its weights: the choice, the algorithms, the bias.

Imports from `problem`, `kernels`, `native`, `running`, `routes` and `reference`.
"""
