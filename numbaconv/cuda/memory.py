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
    root : Memory, optional
        What this is a part of.
    """

    __slots__ = ("_root", "dtype", "owner", "pointer", "size")

    def __init__(
        self, pointer: int, size: int, dtype: np.dtype[Any], owner: Any,
        root: "Memory | None" = None,
    ) -> None:  # fmt: skip
        self.pointer, self.size, self.dtype, self.owner = pointer, size, dtype, owner
        self._root = root

    @property
    def root(self) -> "Memory":
        """What this is a part of, or itself."""
        return self if self._root is None else self._root

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
            self.pointer + first * self.dtype.itemsize, self.size - first, self.dtype, self.owner,
            self.root,
        )  # fmt: skip
