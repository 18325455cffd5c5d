"""Direct convolution, an implicit im2col: the plan, how a problem is cut, and the loops."""
