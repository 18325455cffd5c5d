"""One 16-byte load from shared memory, which Numba's own indexing does not make."""

from typing import Any

from llvmlite import ir
from numba.cuda import types
from numba.cuda.extending import intrinsic

from numbaconv.cuda.launch import SIMULATED

#: Bytes of a vector.
WIDTH = 16


def _copy_vector(source: Any, at: int, target: Any, to: int) -> None:
    """Copy a vector's elements as the simulator does: one by one."""
    for i in range(WIDTH // target.dtype.itemsize):
        target[to + i] = source[at + i]


@intrinsic  # type: ignore[untyped-decorator]
def _load_vector(typingctx: Any, source: Any, at: Any, target: Any, to: Any) -> Any:
    """Copy the 16 bytes at ``source[at]`` to ``target[to]``, both of which are aligned to 16."""
    signature = types.void(source, at, target, to)

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> None:
        source_type, at_type, target_type, to_type = signature.args
        vector = ir.VectorType(ir.IntType(32), WIDTH // 4).as_pointer()
        addresses = []
        for array_type, index_type, array, index in (
            (source_type, at_type, arguments[0], arguments[1]),
            (target_type, to_type, arguments[2], arguments[3]),
        ):
            data = context.make_array(array_type)(context, builder, array).data
            wide = context.cast(builder, index, index_type, types.intp)
            addresses.append(builder.bitcast(builder.gep(data, [wide]), vector))
        loaded = builder.load(addresses[0], align=WIDTH)
        builder.store(loaded, addresses[1], align=WIDTH)

    return signature, codegen


#: Copies one vector from shared memory to a local array.
copy_vector = _copy_vector if SIMULATED else _load_vector
