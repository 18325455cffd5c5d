"""Copies, adds and converts rows: with a step, in short runs, past the caches, as float16."""

from typing import Any

import numpy as np
from llvmlite import ir
from numba.core.registry import cpu_target

from numbaconv.native import isa, link
from numbaconv.native.emit import I1, I16, I64, Emitter, dtype_code
from numbaconv.native.rows import gather

#: Steps up to which a vector is picked from the vectors that hold its elements.
LARGEST_STEP = 8
# Steps up to which vectors are spread.
_LARGEST_SPREAD = 4
# Rows are often short.
_MOST_LANES = 16


def bits_of(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the type under which elements are moved: one for each size, not for each dtype."""
    return np.dtype(f"i{dtype.itemsize}") if dtype.itemsize <= 8 else dtype


def mover(step: int, dtype: np.dtype[Any]) -> int:
    """Return the address of the function that copies every `step`-th element of rows.

    It is called with (count, length, source, source_pitch, step, to, to_pitch), pitches in bytes
    and the step in elements: element j of the `length` of row r of `count` goes from
    ``source + r * source_pitch + j * step * itemsize`` to ``to + r * to_pitch + j * itemsize``.
    Nothing else is read or written.
    """
    kind = step if 1 <= step <= LARGEST_STEP else 0
    lanes = min(isa.host().lanes(dtype), _MOST_LANES)
    return link.address(_emit, kind, lanes, dtype_code(dtype))


@link.native(7)
def _emit(b: Any, values: list[Any], kind: int, lanes: int, code: int) -> None:
    count, length, source, source_pitch, step, to, to_pitch = values
    e = Emitter(b, code, lanes)
    whole, left = b.sdiv(length, e.i64(lanes)), b.srem(length, e.i64(lanes))
    every = ir.Constant(ir.VectorType(I1, lanes), [1] * lanes)
    some = e.mask(0, left)
    apart = b.mul(step, e.i64(e.size)) if kind == 0 else e.i64(kind * e.size)
    places = b.mul(
        e.broadcast(apart), ir.Constant(ir.VectorType(I64, lanes), list(range(lanes)))
    )  # fmt: skip

    def read(at: Any, mask: Any) -> Any:
        if kind == 0:
            return gather(e, b.add(places, e.broadcast(at)), mask)
        if kind == 1:
            return e.load(at) if mask is every else e.load_masked(at, mask)
        return e.load_every(at, kind, mask)

    further = b.mul(apart, e.i64(lanes))
    # What is left of a row that is longer than a vector is a vector that ends with it: a store of
    # some lanes waits for its cache line, a whole one does not.
    short = b.icmp_signed("==", whole, e.i64(0))
    back = b.sub(length, e.i64(lanes))
    with e.loop(count, [source, to], "rows") as rows:
        row, target = rows.values
        with e.loop(whole, [row, target], "vectors") as loop:
            at, place = loop.values
            e.store(read(at, every), place)
            loop.next([b.add(at, further), e.at(place, lanes * e.size)])
        more, tail, masked, done = (
            b.append_basic_block(n) for n in ("more", "tail", "masked", "done")
        )
        b.cbranch(b.icmp_signed(">", left, e.i64(0)), more, done)
        b.position_at_end(more)
        b.cbranch(short, masked, tail)
        b.position_at_end(tail)
        last = e.at(row, b.mul(back, apart))
        e.store(read(last, every), e.at(target, b.mul(back, e.i64(e.size))))
        b.branch(done)
        b.position_at_end(masked)
        e.store_masked(read(row, some), target, some)
        b.branch(done)
        b.position_at_end(done)
        rows.next([b.add(row, source_pitch), b.add(target, to_pitch)])


def streamer(dtype: np.dtype[Any]) -> int:
    """Return the address of the function that copies past the caches.

    It is called with (length, source, to). What is written is not read from memory before, as a
    cache would do: a third of the traffic of a copy. Worth it for runs of some KiB. Before another
    thread reads the result, the writer must call `numbaconv.native.link.fence`.
    """
    return link.address(_emit_stream, isa.host().lanes(dtype), dtype_code(dtype))


@link.native(3)
def _emit_stream(b: Any, values: list[Any], lanes: int, code: int) -> None:
    length, source, to = values
    e = Emitter(b, code, lanes)
    nbytes = lanes * e.size
    # The elements before the first whole vector of the result, and those behind the last.
    before = b.sdiv(b.and_(b.neg(to), e.i64(nbytes - 1)), e.i64(e.size))
    before = b.select(b.icmp_signed("<", length, before), length, before)
    left = b.sub(length, before)

    def some(at: Any, place: Any, count: Any) -> None:
        mask = e.mask(0, count)
        e.store_masked(e.load_masked(at, mask), place, mask)

    some(source, to, before)
    skipped = b.mul(before, e.i64(e.size))
    with e.loop(b.sdiv(left, e.i64(lanes)), [b.add(source, skipped), b.add(to, skipped)]) as loop:
        at, place = loop.values
        e.store_past_caches(e.load(at), place)
        loop.next([e.at(at, nbytes), e.at(place, nbytes)])
    at, place = loop.values
    some(at, place, b.srem(left, e.i64(lanes)))


def adder(dtype: np.dtype[Any]) -> int:
    """Return the address of the function that adds rows to rows.

    It is called with (count, length, source, source_pitch, to, to_pitch), pitches in bytes: row by
    row, so that rows of the result may overlap, as where one pitch is shorter than a row.
    """
    lanes = min(isa.host().lanes(dtype), _MOST_LANES)
    return link.address(_emit_add, lanes, dtype_code(dtype))


@link.native(6)
def _emit_add(b: Any, values: list[Any], lanes: int, code: int) -> None:
    count, length, source, source_pitch, to, to_pitch = values
    e = Emitter(b, code, lanes)
    whole, left = b.sdiv(length, e.i64(lanes)), b.srem(length, e.i64(lanes))
    some = e.mask(0, left)
    with e.loop(count, [source, to], "rows") as rows:
        row, target = rows.values
        with e.loop(whole, [row, target], "vectors") as loop:
            at, place = loop.values
            e.store(e.add(e.load(place), e.load(at)), place)
            loop.next([e.at(at, lanes * e.size), e.at(place, lanes * e.size)])
        at, place = loop.values
        tail, done = (b.append_basic_block(n) for n in ("tail", "done"))
        b.cbranch(b.icmp_signed(">", left, e.i64(0)), tail, done)
        b.position_at_end(tail)
        total = e.add(e.load_masked(place, some), e.load_masked(at, some))
        e.store_masked(total, place, some)
        b.branch(done)
        b.position_at_end(done)
        rows.next([b.add(row, source_pitch), b.add(target, to_pitch)])


def spreader(step: int, dtype: np.dtype[Any]) -> int:
    """Return the address of the function that writes rows to every `step`-th element.

    It is called with (count, length, source, source_pitch, step, to, to_pitch), the inverse of
    `mover`: nothing between the elements is written.
    """
    kind = step if 2 <= step <= _LARGEST_SPREAD else 0
    lanes = min(isa.host().lanes(dtype), _MOST_LANES)
    return link.address(_emit_spread, kind, lanes, dtype_code(dtype))


@link.native(7)
def _emit_spread(b: Any, values: list[Any], kind: int, lanes: int, code: int) -> None:
    count, length, source, source_pitch, step, to, to_pitch = values
    e = Emitter(b, code, lanes)
    apart = b.mul(step, e.i64(e.size)) if kind == 0 else e.i64(kind * e.size)
    width = lanes if kind else 1
    further = b.mul(apart, e.i64(width))
    with e.loop(count, [source, to], "rows") as rows:
        row, target = rows.values
        with e.loop(b.sdiv(length, e.i64(width)), [row, target], "vectors") as loop:
            at, place = loop.values
            if kind:
                every = ir.Constant(ir.VectorType(I1, lanes), [1] * lanes)
                e.store_every(e.load(at), place, kind, every)
            else:
                e.store(e.load_element(at), place)
            loop.next([e.at(at, width * e.size), b.add(place, further)])
        at, place = loop.values
        if kind:
            some = e.mask(0, b.srem(length, e.i64(lanes)))
            e.store_every(e.load_masked(at, some), place, kind, some)
        rows.next([b.add(row, source_pitch), b.add(target, to_pitch)])


_LANES = 16
_FLOAT = dtype_code(np.dtype(np.float32))


def available() -> bool:
    """Return whether the CPU has such instructions; LLVM would call a library for each element."""
    triple, _, features = cpu_target.target_context.codegen().magic_tuple()
    if str(triple).startswith(("aarch64", "arm64")):
        return True
    return not {"+f16c", "+avx512f"}.isdisjoint(str(features).split(","))


def widener() -> int:
    """Return the address of the function that converts float16 to float32.

    It is called with (to, x, count).
    """
    return link.address(_emit_halves, min(_LANES, isa.host().nbytes // 4), 1)


def narrower() -> int:
    """Return the address of the function that rounds float32 to float16: to nearest, ties to even.

    It is called with (to, x, count).
    """
    return link.address(_emit_halves, min(_LANES, isa.host().nbytes // 4), 0)


@link.native(3)
def _emit_halves(b: Any, values: list[Any], lanes: int, widen: int) -> None:
    to, x, count = values

    def convert(e: Emitter, to: Any, x: Any) -> None:
        halves = ir.VectorType(ir.HalfType(), e.lanes)
        bits = ir.VectorType(I16, e.lanes)
        if widen:
            taken = b.load(b.inttoptr(x, bits.as_pointer()))
            taken.align = 2
            e.store(b.fpext(b.bitcast(taken, halves), e.vector), to)
        else:
            found = b.bitcast(b.fptrunc(e.load(x), halves), bits)
            done = b.store(found, b.inttoptr(to, bits.as_pointer()))
            done.align = 2

    from_bytes, to_bytes = (2, 4) if widen else (4, 2)
    done = Emitter(b, _FLOAT, lanes).i64(0)
    for width in (lanes, 1):
        e = Emitter(b, _FLOAT, width)
        left = b.sub(count, done)
        with e.loop(b.sdiv(left, e.i64(width)), [], "run") as loop:
            at = b.add(done, b.mul(loop.index, e.i64(width)))
            convert(
                e, b.add(to, b.mul(at, e.i64(to_bytes))), b.add(x, b.mul(at, e.i64(from_bytes)))
            )
            loop.next([])
        done = b.add(done, b.mul(b.sdiv(left, e.i64(width)), e.i64(width)))
