"""Teams of threads: a fork and join in which nobody waits for a thread that has not begun.

Under a threading layer of Numba's a parallel region ends when all of its threads have had a turn.
On a machine that has other work, that may be many milliseconds for a call of a tenth of one. Here
the caller hands out its work in parts, by tickets that anybody takes: the caller itself, and the
workers who happen to have a processor. It waits for none but those who are in the middle of a part.

`protocol` is what caller and workers do, in machine code; `pool` starts the workers, when they are
first needed, and ends them; `jobs` is what kernels call and how they are
run. Imports from `problem`, `kernels` and
`native`. Numba's own ``prange`` serves `numbaconv.reference`.
"""
