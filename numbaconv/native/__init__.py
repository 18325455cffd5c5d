"""Machine code that Numba's own vectoriser does not write: explicit vectors, by LLVM's IR.

`isa` says how long the host's vectors are, `emit` holds the vocabulary of IR, `link` compiles a
function to an address and calls one. The other files each hold one family of functions: `tile`
(the register tile that multiplies), `rows` and `transpose` (which move data), `winograd`,
`depthwise` and `rowwise` (which do their own arithmetic). All take addresses and byte strides, so
the loops in `numbaconv.routes` compile once for all dtypes.
"""
