"""What compiled call sites share in a process: how a program is found, and how it is run.

All of it is machine code that takes addresses. A site's block begins with the address of this
process's runtime block: the functions, then slots of memory that programs borrow and give back.
"""

import ctypes
import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types

from numbaconv.kernels import held, threads
from numbaconv.kernels.jit import device
from numbaconv.native import link
from numbaconv.native.atomics import exchange, load, replace
from numbaconv.native.emit import I8, I64

#: The words of the runtime block: two functions, one of Numba's (or 0), and the slots.
FIND, RUN, COUNT_THREADS, SLOTS = 0, 1, 2, 3
#: A launch has at most so many words of arguments.
MOST_ARGUMENTS = 160
# As many pieces of memory are kept between calls, none larger than this.
_SLOTS = 4
_LARGEST_KEPT = held.BORROWED // _SLOTS
_SMALLEST = 1 << 16
_PRIME = 0x9E3779B97F4A7C15 - (1 << 64)


def entry_words(values: int) -> int:
    """Return the words of a table's entry: program, hash, threads, values."""
    return 3 + values


def hashed(values: tuple[int, ...]) -> int:
    """Return the hash of a call's values, as `find` computes it."""
    found = 0
    for value in values:
        found = ((found ^ value) * _PRIME) & (2**64 - 1)
        found ^= found >> 29
    return found - (1 << 64) if found >> 63 else found


_block = np.zeros(SLOTS + _SLOTS, np.int64)


def block() -> Any:
    """Return the runtime block of this process."""
    if not _block[RUN]:
        _block[FIND] = link.address(_find_function)
        _block[RUN] = link.address(_run_function)
    return _block


def know_threads() -> None:
    """Let compiled code ask how many threads there are, once Numba has a threading layer."""
    if block()[COUNT_THREADS]:
        return
    import llvmlite.binding

    threads.threading_layer()

    found = llvmlite.binding.address_of_symbol("get_num_threads")
    if found:
        block()[COUNT_THREADS] = found


def held_nbytes() -> int:
    """Return the bytes that wait in the slots for a borrower."""
    if not _block[RUN]:
        return 0
    found = np.zeros(1, np.int64)
    _measure()(int(_block.ctypes.data) + 8 * SLOTS, int(found.ctypes.data))
    return int(found[0])


def release() -> None:
    """Free the memory that waits in the slots."""
    if _block[RUN]:
        _free_slots()(int(_block.ctypes.data) + 8 * SLOTS)


@functools.cache
def _free_slots() -> Callable[[int], None]:
    return ctypes.CFUNCTYPE(None, ctypes.c_int64)(link.address(_free_slots_function))


def _free_slots_function() -> Callable[..., None]:
    def free_slots(slots: int) -> None:
        for i in range(_SLOTS):
            found: int = exchange(slots + 8 * i, 0)
            if found != 0:
                _free(load(found - 56))

    return free_slots


@functools.cache
def _measure() -> Callable[[int, int], None]:
    kind = ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_int64)
    return kind(link.address(_measure_function))


def _measure_function() -> Callable[..., None]:
    def measure(slots: int, result: int) -> None:
        """Write the bytes of the memory in the slots, each of which is taken for a moment."""
        total = 0
        for i in range(_SLOTS):
            found: int = exchange(slots + 8 * i, 0)
            if found != 0:
                total += load(found - 64)
                _give_back(slots, found)
        _write(result, total)

    return measure


@functools.cache
def _publish() -> Callable[[int, int], None]:
    kind = ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_int64)
    return kind(link.address(_publish_function))


def publish(address: int, value: int) -> None:
    """Write a word such that who reads it finds all that was written before."""
    _publish()(address, value)


def _publish_function() -> Callable[..., None]:
    def publish(address: int, value: int) -> None:
        exchange(address, value)

    return publish


def _find_function() -> Callable[..., None]:
    def find(site: int, values: int, count: int, result: int) -> None:
        """Write the address of the program for these values to `result`, or 0."""
        _write(result, 0)
        code = 0
        for i in range(count):
            code = (code ^ load(values + 8 * i)) * _PRIME
            code ^= (code >> 29) & 0x7FFFFFFFF
        table = load(site + 8)
        mask = load(table)
        at = code & mask
        while True:
            entry = table + 8 + at * (3 + count) * 8
            program = load(entry)
            if program == 0:
                break
            same = load(entry + 8) == code
            i = 0
            while same and i < count:
                same = load(entry + 24 + 8 * i) == load(values + 8 * i)
                i += 1
            if same:
                workers = load(entry + 16)
                if workers == 0 or workers == _threads(load(load(site) + 8 * COUNT_THREADS)):
                    _write(result, program)
                    break
            at = (at + 1) & mask

    return find


def _run_function() -> Callable[..., None]:
    def run(program: int, block: int, result: int) -> None:
        """Run a program for a call's block; write 0 to `result`, or 1 if Python has to do it."""
        slots = load(block)
        slots = load(slots) + 8 * SLOTS
        nbytes = load(program)
        memory = 0
        if nbytes > 0:
            memory = _take(slots, nbytes)
            if memory == 0:
                _write(result, 1)
                return
        clears = program + 8 * load(program + 24)
        for i in range(load(clears)):
            _clear(memory + load(clears + 8 + 16 * i), load(clears + 16 + 16 * i))
        at = program + 8 * load(program + 8)
        failed = 0
        launches = load(at)
        at += 8
        for _ in range(launches):
            count, moves = load(at + 8), load(at + 16)
            moved = at + 24 + 8 * count
            if _launch(load(at), at + 24, count, moved, moves, block, memory) != 0:
                failed = 1
            at += 24 + 8 * count + 24 * moves
        checks = program + 8 * load(program + 16)
        for i in range(load(checks)):
            if load(memory + load(checks + 8 + 8 * i)) != 0:
                failed = 1
        if nbytes > 0:
            _give_back(slots, memory)
        _write(result, failed)

    return run


@link.specialised
def _write(context: Any, address: Any, value: Any) -> Any:
    """``_write(address, value)`` stores an int64 that no other thread reads meanwhile."""

    def codegen(context: Any, b: Any, signature: Any, values: Any) -> Any:
        b.store(values[1], b.inttoptr(values[0], I64.as_pointer()))
        return context.get_dummy_value()

    return types.void(types.intp, types.int64), codegen


@link.specialised
def _clear(context: Any, address: Any, nbytes: Any) -> Any:
    """``_clear(address, nbytes)`` writes zeros."""

    def codegen(context: Any, b: Any, signature: Any, values: Any) -> Any:
        pointer = b.inttoptr(values[0], I8.as_pointer())
        cgutils.memset(b, pointer, values[1], 0)
        return context.get_dummy_value()

    return types.void(types.intp, types.intp), codegen


@link.specialised
def _threads(context: Any, function: Any) -> Any:
    """``_threads(address)`` returns what Numba's get_num_threads there says, or 0 without one."""

    def codegen(context: Any, b: Any, signature: Any, values: Any) -> Any:
        result = cgutils.alloca_once_value(b, ir.Constant(I64, 0))
        with b.if_then(b.icmp_signed("!=", values[0], ir.Constant(I64, 0))):
            kind = ir.FunctionType(I64, [])
            b.store(b.call(b.inttoptr(values[0], kind.as_pointer()), []), result)
        return b.load(result)

    return types.int64(types.intp), codegen


@link.specialised
def _allocate(context: Any, nbytes: Any) -> Any:
    """``_allocate(nbytes)`` returns the address of fresh memory, from Numba's own allocator."""

    def codegen(context: Any, b: Any, signature: Any, values: Any) -> Any:
        kind = ir.FunctionType(I8.as_pointer(), [I64])
        function = cgutils.get_or_insert_function(b.module, kind, "NRT_Allocate")
        return b.ptrtoint(b.call(function, [values[0]]), I64)

    return types.int64(types.intp), codegen


@link.specialised
def _free(context: Any, address: Any) -> Any:
    """``_free(address)`` frees what `_allocate` returned."""

    def codegen(context: Any, b: Any, signature: Any, values: Any) -> Any:
        kind = ir.FunctionType(ir.VoidType(), [I8.as_pointer()])
        function = cgutils.get_or_insert_function(b.module, kind, "NRT_Free")
        b.call(function, [b.inttoptr(values[0], I8.as_pointer())])
        return context.get_dummy_value()

    return types.void(types.intp), codegen


@link.specialised
def _launch(
    context: Any, function: Any, words: Any, count: Any, moves: Any, moved: Any, block: Any,
    memory: Any,
) -> Any:  # fmt: skip
    """``_launch(function, words, count, moves, moved, block, memory)`` calls a compiled kernel.

    Returns 0, or another number where the kernel ended in an exception.

    `moves` points to (index, entry, offset) triples: word `index` is `offset` behind the address
    in that entry of the block, or behind `memory` for entry -1. The kernel is called as Numba's
    functions are: a place for its result, one for its error, then its arguments, all of 64 bits.
    It is passed `MOST_ARGUMENTS` of them, of which it reads as many as it has; the caller clears
    the stack in every calling convention that is in use on 64-bit machines.
    """

    def codegen(context: Any, b: Any, signature: Any, values: Any) -> Any:
        function, words, count, moves, moved, block, memory = values
        zero = ir.Constant(I64, 0)
        kind = ir.ArrayType(I64, MOST_ARGUMENTS)
        arguments = cgutils.alloca_once(b, kind)
        result, error = (cgutils.alloca_once_value(b, zero) for _ in range(2))
        begin = b.ptrtoint(arguments, I64)

        def at(address: Any, index: Any) -> Any:
            where = b.add(address, b.mul(index, ir.Constant(I64, 8)))
            return b.inttoptr(where, I64.as_pointer())

        with cgutils.for_range(b, count) as loop:
            b.store(b.load(at(words, loop.index)), at(begin, loop.index))
        with cgutils.for_range(b, moved) as loop:
            triple = b.add(moves, b.mul(loop.index, ir.Constant(I64, 24)))
            index, entry, offset = (b.load(at(triple, ir.Constant(I64, i))) for i in range(3))
            own = b.icmp_signed("<", entry, zero)
            found = b.load(at(block, b.select(own, zero, entry)))
            b.store(b.add(b.select(own, memory, found), offset), at(begin, index))
        loaded = [b.load(at(begin, ir.Constant(I64, i))) for i in range(MOST_ARGUMENTS)]
        pointer = I8.as_pointer()
        kernel = ir.FunctionType(ir.IntType(32), [pointer, pointer] + [I64] * MOST_ARGUMENTS)
        status = b.call(
            b.inttoptr(function, kernel.as_pointer()),
            [b.bitcast(result, pointer), b.bitcast(error, pointer), *loaded],
        )
        return b.zext(status, I64)

    return types.int64(*[types.intp] * 7), codegen


@device
def _take(slots: int, nbytes: int) -> int:
    """Return the address of memory, aligned to 64 bytes, kept or fresh; 0 where there is none."""
    for i in range(_SLOTS):
        found: int = exchange(slots + 8 * i, 0)
        if found != 0:
            if load(found - 64) >= nbytes:
                return found
            _free(load(found - 56))
    size = max(nbytes, _SMALLEST)
    start = _allocate(size + 128)
    if start == 0:
        return 0
    memory: int = (start + 127) & ~63
    _write(memory - 64, size)
    _write(memory - 56, start)
    return memory


@device
def _give_back(slots: int, memory: int) -> None:
    """Keep memory for a later call, or free it."""
    if load(memory - 64) <= _LARGEST_KEPT:
        for i in range(_SLOTS):
            if replace(slots + 8 * i, 0, memory) != 0:
                return
    _free(load(memory - 56))
