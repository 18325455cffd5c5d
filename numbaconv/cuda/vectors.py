"""Loads and stores of several elements at once, which Numba's own indexing does not make."""

import functools
from typing import Any

from llvmlite import ir
from numba.cuda import types
from numba.cuda.extending import intrinsic

from numbaconv.cuda.launch import SIMULATED

#: Bytes of the widest access.
WIDTH = 16


@functools.cache
def copier(count: int, width: int) -> Any:
    """Return ``copy(source, at, target, to)``: `count` elements, of `width` bytes in all, at once.

    Both are arrays, or pointers, of which these places are aligned to `width`.
    """
    if SIMULATED:

        def one_by_one(source: Any, at: Any, target: Any, to: Any) -> None:
            for i in range(count):
                target[to + i] = source[at + i]

        return one_by_one

    def copy_vector(typingctx: Any, source: Any, at: Any, target: Any, to: Any) -> Any:
        signature = types.void(source, at, target, to)

        def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> None:
            word = ir.IntType(32) if width % 4 == 0 else ir.IntType(8 * width)
            lanes = max(1, width // 4)
            vector = (ir.VectorType(word, lanes) if lanes > 1 else word).as_pointer()
            addresses = []
            for kind, index_kind, place, index in (
                (signature.args[0], signature.args[1], arguments[0], arguments[1]),
                (signature.args[2], signature.args[3], arguments[2], arguments[3]),
            ):
                is_pointer = isinstance(kind, types.CPointer)
                data = (
                    place if is_pointer else context.make_array(kind)(context, builder, place).data
                )
                wide = context.cast(builder, index, index_kind, types.intp)
                addresses.append(builder.bitcast(builder.gep(data, [wide]), vector))
            builder.store(builder.load(addresses[0], align=width), addresses[1], align=width)

        return signature, codegen

    return intrinsic(copy_vector)


def copy_of(work: Any) -> Any:
    """Return the copy of as many elements as the widest access holds."""
    return copier(WIDTH // work(0).itemsize, WIDTH)
