"""Device memory, and what a call enqueues, told for `numbaconv.cuda.replay` to do it again."""

from typing import Any, NamedTuple

import numpy as np

#: Who is told, if anybody; `numbaconv.cuda.launch.lock` is held meanwhile.
active: "Recorder | None" = None


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


class Place(NamedTuple):
    """An address that each call has another of: the number of its memory, and bytes from there."""

    memory: int
    offset: int


class Launched(NamedTuple):
    """A kernel's launch: a `numbaconv.cuda.compiled.Loaded`, and what it was given."""

    kernel: Any
    blocks: int
    threads: int
    pointers: tuple[Place, ...]
    ints: tuple[Any, ...]


class Copied(NamedTuple):
    """A copy of bytes."""

    source: Place
    target: Place
    nbytes: int


class Borrowed(NamedTuple):
    """The arguments of `numbaconv.cuda.launch.borrow`, but the stream."""

    purpose: str
    elements: int
    dtype: np.dtype[Any]


class Recorder:
    """Takes down what is enqueued.

    Parameters
    ----------
    memories : iterable of Memory
        Of the caller's arrays; what is borrowed is numbered after them.

    Attributes
    ----------
    borrowed, steps : list
        In order.
    stamps : list of int
        What was given to kernels as a stamp of this call, which are told by their identity.
    is_whole : bool
        Whether all was told that the call has enqueued.
    """

    def __init__(self, memories: tuple[Memory, ...]) -> None:
        self.borrowed: list[Borrowed] = []
        self.steps: list[Launched | Copied] = []
        self.stamps: list[Any] = []
        self.is_whole = True
        self._memories = list(memories)
        self._numbers = {id(memory): number for number, memory in enumerate(memories)}

    def borrow(self, purpose: str, count: int, dtype: np.dtype[Any], memory: Memory) -> None:
        """Take down that memory was borrowed."""
        self._numbers[id(memory)] = len(self._memories)
        self._memories.append(memory)
        self.borrowed.append(Borrowed(purpose, count, dtype))

    def launch(self, kernel: Any, blocks: int, threads: int, arguments: tuple[Any, ...]) -> None:
        """Take down a launch, whose arguments are memories, then ints and tuples of ints."""
        pointers = [self._place(a) for a in arguments if isinstance(a, Memory)]
        ints: list[Any] = []
        for argument in arguments[len(pointers) :]:
            ints.extend(argument if isinstance(argument, tuple) else (argument,))
        self.steps.append(Launched(kernel, blocks, threads, tuple(pointers), tuple(ints)))

    def copy(self, source: Memory, target: Memory, nbytes: int) -> None:
        """Take down a copy."""
        self.steps.append(Copied(self._place(source), self._place(target), nbytes))

    def refuse(self) -> None:
        """Take down that something is enqueued which nobody can tell of."""
        self.is_whole = False

    def _place(self, memory: Memory) -> Place:
        number = self._numbers.get(id(memory.root))
        if number is None:
            self.refuse()
            return Place(0, 0)
        return Place(number, memory.pointer - memory.root.pointer)
