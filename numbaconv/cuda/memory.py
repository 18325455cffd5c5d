"""Flat memory on the device, as a pointer."""

from typing import Any

import numpy as np


class Memory:
    """Elements of one dtype that follow each other in device memory.

    Parameters
    ----------
    pointer : int
        The address of the first.
    size : int
        How many there are.
    dtype : dtype
        Of each.
    owner : object
        What keeps the memory.
    """

    __slots__ = ("dtype", "owner", "pointer", "size")

    def __init__(self, pointer: int, size: int, dtype: np.dtype[Any], owner: Any) -> None:
        self.pointer, self.size, self.dtype, self.owner = pointer, size, dtype, owner

    @property
    def nbytes(self) -> int:
        """The bytes of all elements."""
        return self.size * self.dtype.itemsize

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return {
            "shape": (self.size,), "typestr": self.dtype.str, "data": (self.pointer, False),
            "version": 3,
        }  # fmt: skip

    def __getitem__(self, place: slice) -> "Memory":
        """Return the elements from one on."""
        first = place.start or 0
        return Memory(
            self.pointer + first * self.dtype.itemsize, self.size - first, self.dtype, self.owner
        )
