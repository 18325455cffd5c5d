"""Graphs: a task for each block of a result, which gathers its part of the source and computes.

Where no axis that windows slide along is cut, that is a blockwise layer, which Dask keeps symbolic
and fuses with what follows. Else a layer has a task a block, and one for each halo, so that
neighbours send no more than what is needed.
"""

import itertools
from collections.abc import Callable, Sequence
from operator import getitem
from typing import Any

import dask
import dask.array as da
import numpy as np
from dask.base import tokenize
from dask.highlevelgraph import HighLevelGraph

from numbaconv.problem.arrays import Array
from numbaconv.problem.cuts import Cut

Operation = Callable[..., Array]


def build(
    operation: Operation,
    sources: Sequence[da.Array],
    axes: Sequence[int],
    cuts: Sequence[Sequence[Cut]],
    *,
    dtype: np.dtype[Any],
    channels: tuple[int, int] | None = None,
    appended: tuple[int, ...] = (),
    mates: Sequence[da.Array] = (),
    shared: Sequence[Any] = (),
    **options: Any,
) -> da.Array:
    """Return the lazy array whose blocks an operation computes.

    It is called as ``operation(*parts, *mates, *shared, cuts=..., **options)``.

    Parameters
    ----------
    operation : callable
        Gets parts of the sources, blocks of the mates, the shared values, and as ``cuts`` the `Cut`
        of each axis.
    sources : sequence of dask array
        Of one shape and one kind of chunks, with a batch axis in front.
    axes : sequence of int
        The axes that windows slide along.
    cuts : sequence of sequence of Cut
        Along each of these.
    dtype : dtype
        Of the result.
    channels : tuple of (int, int), optional
        The channel axis and the channels of the result, where they are not the source's: then the
        source has one chunk of channels.
    appended : tuple of int, optional
        Where given, a block has a length of 1 along each axis of the source, and then these.
    mates : sequence of dask array
        Of which a task gets the whole block of its own place.
    shared : sequence
        Delayed values, or None, that every task gets.
    """
    source = sources[0]
    chunks = list(source.chunks)
    for axis, along in zip(axes, cuts, strict=True):
        chunks[axis] = tuple(cut.length for cut in along)
    if channels is not None:
        chunks[channels[0]] = (channels[1],)
    if appended:
        chunks = [*((1,) * len(c) for c in chunks), *((n,) for n in appended)]
    meta = np.empty((0,) * len(chunks), dtype)
    token = tokenize(operation, sources, mates, shared, cuts, options)
    name = f"{operation.__name__.replace('_', '-')}-{token}"
    if all(source.numblocks[a] == 1 == len(along) for a, along in zip(axes, cuts, strict=True)):
        only = tuple(along[0] for along in cuts)
        return da.map_blocks(
            _whole, *sources, *mates, operation=operation, shared=list(shared), cuts=only,
            options=options, count=len(sources), axes=tuple(axes), dtype=dtype, meta=meta,
            chunks=tuple(chunks), name=name,
            new_axis=list(range(source.ndim, len(chunks))) or None,
        )  # fmt: skip
    by_axis = dict(zip(axes, cuts, strict=True))
    layer = _layer(operation, name, sources, mates, shared, by_axis, tuple(chunks), options)
    dependencies = [*sources, *mates, *(s for s in shared if s is not None)]
    graph = HighLevelGraph.from_collections(name, layer, dependencies=dependencies)
    return da.Array(graph, name, tuple(chunks), meta=meta)


def _whole(
    *parts: Array,
    operation: Operation,
    shared: list[Any],
    cuts: tuple[Cut, ...],
    options: dict[str, Any],
    count: int,
    axes: tuple[int, ...],
) -> Array:
    """Compute a block from blocks, of which the first `count` are sources."""
    index: list[Any] = [slice(None)] * parts[0].ndim
    for axis, cut in zip(axes, cuts, strict=True):
        index[axis] = slice(cut.first, cut.last)
    sources = (p[tuple(index)] for p in parts[:count])
    return operation(*sources, *parts[count:], *shared, cuts=cuts, **options)


def _layer(
    operation: Operation,
    name: str,
    sources: Sequence[da.Array],
    mates: Sequence[da.Array],
    shared: Sequence[Any],
    along: dict[int, Sequence[Cut]],
    chunks: tuple[tuple[int, ...], ...],
    options: dict[str, Any],
) -> dict[Any, Any]:
    """Return a task for each block, and one for each halo."""
    layer: dict[Any, Any] = {}
    axes = list(along)
    values = [None if s is None else s.key for s in shared]
    covers = {
        axis: [_covering(sources[0].chunks[axis], cut.first, cut.last) for cut in found]
        for axis, found in along.items()
    }
    for block in itertools.product(*(range(len(c)) for c in chunks)):
        pieces = [_pieces(array, name, block, axes, covers, layer) for array in sources]
        own = [_key(array, block) for array in mates]
        chosen = tuple(along[axis][block[axis]] for axis in axes)
        layer[(name, *block)] = (
            _assembled, operation, pieces, axes, own, values, chosen, options,
        )  # fmt: skip
    return layer


def _key(array: da.Array, block: tuple[int, ...]) -> tuple[Any, ...]:
    """Return the key of an array's block; an axis of one chunk has it for all blocks."""
    at = (min(i, n - 1) for i, n in zip(block, array.numblocks, strict=False))
    return (array.name, *at)


def _covering(chunks: tuple[int, ...], first: int, last: int) -> list[tuple[int, slice]]:
    """Return the chunks that hold ``[first, last)``, and which part of each."""
    found: list[tuple[int, slice]] = []
    start = 0
    for number, length in enumerate(chunks):
        low, high = max(first - start, 0), min(last - start, length)
        if low < high or (first == last and not found and low <= length):
            found.append((number, slice(low, max(high, low))))
        start += length
        if first == last and found:
            break
    return found


def _pieces(
    array: da.Array,
    name: str,
    block: tuple[int, ...],
    axes: Sequence[int],
    covers: dict[int, list[list[tuple[int, slice]]]],
    halos: dict[Any, Any],
) -> Any:
    """Return a nested list of the keys of a block's pieces, a level for each axis."""

    def nested(depth: int, at: list[int], index: list[slice]) -> Any:
        if depth == len(axes):
            return _piece(array, name, tuple(at), tuple(index), halos)
        axis = axes[depth]
        found = []
        for number, part in covers[axis][block[axis]]:
            at[axis], index[axis] = number, part
            found.append(nested(depth + 1, list(at), list(index)))
        return found

    return nested(0, list(block[: array.ndim]), [slice(None)] * array.ndim)


def _piece(
    array: da.Array,
    name: str,
    at: tuple[int, ...],
    index: tuple[slice, ...],
    halos: dict[Any, Any],
) -> tuple[Any, ...]:
    """Return the key of a piece: the chunk's own, or that of a task which cuts a halo from it."""
    key = (array.name, *at)
    shape = tuple(c[i] for c, i in zip(array.chunks, at, strict=True))
    if all(s.indices(n) == (0, n, 1) for s, n in zip(index, shape, strict=True)):
        return key
    # A tuple of ints: of long strings Dask keeps four digits of a hash when it fuses tasks, and two
    # halos become one.
    bounds = [b for s, n in zip(index, shape, strict=True) for b in s.indices(n)[:2]]
    halo = (f"halo-{tokenize(name, array.name)}", *at, *bounds)
    halos[halo] = (getitem, key, index)
    return halo


def _assembled(
    operation: Operation,
    pieces: list[Any],
    axes: list[int],
    mates: list[Array],
    shared: list[Any],
    cuts: tuple[Cut, ...],
    options: dict[str, Any],
) -> Array:
    """Compute a block from its pieces."""
    parts = (_joined(p, axes) for p in pieces)
    return operation(*parts, *mates, *shared, cuts=cuts, **options)


def _joined(pieces: Any, axes: list[int]) -> Array:
    """Return nested lists of arrays as one array."""
    if not axes:
        return pieces  # type: ignore[no-any-return]
    parts = [_joined(p, axes[1:]) for p in pieces]
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=axes[0])


def delayed(value: Any) -> Any:
    """Return an array (Dask's, of any chunks, or NumPy's) as one delayed value; None stays None."""
    if value is None:
        return None
    if isinstance(value, da.Array):
        return value.rechunk(-1).to_delayed().reshape(-1)[0]
    return dask.delayed(np.asarray(value), pure=True)
