"""The host's vectors: how many bytes a register holds, how many registers, what they can do."""

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba.core.registry import cpu_target


@dataclass(frozen=True)
class Isa:
    """A vector instruction set.

    Parameters
    ----------
    name : str
        As people call it.
    nbytes, registers : int
        The size of one vector register, and how many there are.
    tile : tuple of (int, int)
        Rows and vectors of the register tile that multiplies best.
    narrow : tuple of (int, int)
        The same where a tile of one vector serves (short rows of pixels).
    """

    name: str
    nbytes: int
    registers: int
    tile: tuple[int, int]
    narrow: tuple[int, int]

    def lanes(self, dtype: np.dtype[Any]) -> int:
        """Return how many elements a vector holds."""
        return self.nbytes // dtype.itemsize


# Tiles: accumulators, one or two vectors of the right operand and one broadcast fill the registers.
_AVX512 = Isa("AVX-512", 64, 32, (14, 2), (28, 1))
_AVX2 = Isa("AVX2", 32, 16, (6, 2), (12, 1))
_NEON = Isa("NEON", 16, 32, (8, 3), (24, 1))
_SSE = Isa("SSE", 16, 16, (6, 2), (12, 1))


@functools.cache
def host() -> Isa:
    """Return the instruction set that Numba compiles for (``NUMBA_CPU_FEATURES`` counts)."""
    triple, _, features = cpu_target.target_context.codegen().magic_tuple()
    enabled = set(str(features).split(","))
    if enabled.issuperset({"+avx512f", "+avx512bw", "+avx512dq", "+avx512vl"}):
        return _AVX512
    if enabled.issuperset({"+avx2", "+fma"}):
        return _AVX2
    return _NEON if str(triple).startswith(("aarch64", "arm64")) else _SSE
