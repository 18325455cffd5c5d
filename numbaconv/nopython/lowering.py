"""Writes a call in jitted code: its block, the search for a program, the way to Python."""

import json
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.np import arrayobj, numpy_support

from numbaconv.nopython import FUNCTIONS, interface, positional, result_of
from numbaconv.nopython.programs import HEADER
from numbaconv.nopython.runtime import FIND, RUN

_I8, _I64 = ir.IntType(8), ir.IntType(64)
_OBJECT = _I8.as_pointer()


class _Block:
    """What a site says of a call: a description, known now, and integers, known at run time."""

    def __init__(self, context: Any, builder: Any) -> None:
        self.context, self.b = context, builder
        self.addresses: list[Any] = []
        self.values: list[Any] = []
        #: Where each array begins and ends, or None where that is not known from its shape.
        self.extents: list[Any] = []
        self.alignments: list[tuple[Any, int]] = []
        #: Whether a recorded program could do it.
        self.programmable = True

    def add(self, kind: Any, value: Any) -> Any:
        """Take an argument in; return its part of the description."""
        if kind is types.none:
            return ["none"]
        if isinstance(kind, types.Array):
            return self._add_array(kind, value)
        if isinstance(kind, types.Literal):
            return ["literal", kind.literal_value]
        if isinstance(kind, types.DType | types.NumberClass):
            inner = kind.dtype if isinstance(kind, types.DType) else kind.instance_type
            return ["dtype", numpy_support.as_dtype(inner).str]
        if isinstance(kind, types.BaseTuple):
            parts = [
                self.add(part, self.b.extract_value(value, i)) for i, part in enumerate(kind)
            ]  # fmt: skip
            return ["tuple", parts]
        if isinstance(kind, types.Boolean):
            self.values.append(self.b.zext(value, _I64))
            return ["bool"]
        self.values.append(self.context.cast(self.b, value, kind, types.int64))
        return ["int"]

    def _add_array(self, kind: Any, value: Any) -> Any:
        array = arrayobj.make_array(kind)(self.context, self.b, value)
        self.addresses.append(self.b.ptrtoint(array.data, _I64))
        self.values += cgutils.unpack_tuple(self.b, array.shape, kind.ndim)
        contiguous = kind.layout == "C"
        end = None
        if contiguous:
            nbytes = self.b.mul(array.nitems, array.itemsize)
            end = self.b.add(self.addresses[-1], nbytes)
        else:
            self.values += cgutils.unpack_tuple(self.b, array.strides, kind.ndim)
        self.extents.append((self.addresses[-1], end))
        self.programmable = self.programmable and kind.aligned
        dtype = numpy_support.as_dtype(kind.dtype)
        self.alignments.append((self.addresses[-1], dtype.alignment))
        return ["array", dtype.str, kind.ndim, contiguous, kind.mutable]

    def add_alignment(self) -> None:
        """Say whether all arrays lie at multiples of their elements' alignment."""
        amiss = ir.Constant(_I64, 0)
        for address, alignment in self.alignments:
            amiss = self.b.or_(amiss, self.b.and_(address, ir.Constant(_I64, alignment - 1)))
        self.values.append(amiss)

    def add_overlap(self, kind: Any, value: Any) -> bool:
        """Say whether `out` shares memory with an input; return False where that is not known."""
        if any(end is None for _, end in self.extents):
            return False
        b = self.b
        out = arrayobj.make_array(kind)(self.context, b, value)
        begin = b.ptrtoint(out.data, _I64)
        end = b.add(begin, b.mul(out.nitems, out.itemsize))
        # The array itself is among them.
        shared = ir.Constant(_I64, -1)
        for first, last in self.extents:
            one = b.and_(b.icmp_signed("<", first, end), b.icmp_signed("<", begin, last))
            shared = b.add(shared, b.zext(one, _I64))
        self.values.append(shared)
        return True


def lower_call(context: Any, builder: Any, name: str, sig: Any, args: Any) -> Any:
    """Write a call of a public function; return its result."""
    found = result_of(name, sig.args)
    block = _Block(context, builder)
    names = list(positional(FUNCTIONS[name][0]).parameters)
    arguments = {
        n: block.add(kind, value) for n, kind, value in zip(names, sig.args, args, strict=True)
    }  # fmt: skip
    out = names.index("out") if "out" in names else None
    given = out is not None and sig.args[out] is not types.none
    block.add_alignment()
    programmable = block.programmable
    if given:
        programmable = programmable and block.add_overlap(sig.args[out], args[out])
    fresh = found.arrays[1:] if given else found.arrays
    description = json.dumps(
        {
            "interface": interface(), "name": name, "arguments": arguments,
            "values": len(block.values), "results": [_described(kind) for kind in fresh],
        }
    )  # fmt: skip
    call = _Call(context, builder, description, block, fresh, programmable=programmable)
    arrays = call.write()
    if given:
        context.nrt.incref(builder, sig.args[out], args[out])
        arrays.insert(0, args[out])
    return _packed(context, builder, found, sig.return_type, arrays)


def _described(kind: Any) -> Any:
    """Return what a caller expects of a result: (dtype, axes), or None."""
    return None if kind is None else [numpy_support.as_dtype(kind.dtype).str, kind.ndim]


class _Call:
    """Writes one call: by a program where there is one, else through Python.

    Parameters
    ----------
    description : str
        What is known of it now.
    block : _Block
        What is known of it at run time.
    kinds : tuple of (types.Array or None)
        Of its results, which are allocated here.
    programmable : bool
        Whether programs are looked for.
    """

    def __init__(
        self, context: Any, builder: Any, description: str, block: _Block, kinds: tuple[Any, ...],
        *, programmable: bool,
    ) -> None:  # fmt: skip
        self.context, self.b, self.description, self.kinds = context, builder, description, kinds
        self.programmable = programmable
        self.addresses, self.values = len(block.addresses), len(block.values)
        entries = [*block.addresses, *block.values]
        results = sum(kind is not None for kind in kinds)
        kind = ir.ArrayType(_I64, 1 + len(entries) + results)
        self.block = cgutils.alloca_once(builder, kind)
        for i, value in enumerate(entries):
            builder.store(value, self._entry(1 + i))
        # Where this process has what was recorded here; known after the first call.
        name = builder.module.get_unique_name("numbaconv.site")
        self.site = cgutils.add_global_variable(builder.module, _I64, name)
        self.site.initializer, self.site.linkage = ir.Constant(_I64, 0), "internal"
        self.result = cgutils.alloca_once(builder, _I64)
        self.slots = [
            None if kind is None else cgutils.alloca_once(builder, context.get_value_type(kind))
            for kind in kinds
        ]

    def write(self) -> list[Any]:
        """Write everything; return the arrays."""
        b = self.b
        done = cgutils.alloca_once_value(b, ir.Constant(ir.IntType(1), 0))
        if self.programmable:
            site = b.load(self.site)
            with b.if_then(b.icmp_signed("!=", site, ir.Constant(_I64, 0))):
                program = self._find(site)
                with b.if_then(b.icmp_signed("!=", program, ir.Constant(_I64, 0))):
                    self._run(site, program, done)
        with b.if_then(b.not_(b.load(done)), likely=False):
            self._go_through_python()
        return [None if slot is None else b.load(slot) for slot in self.slots]

    def _entry(self, index: int) -> Any:
        return cgutils.gep_inbounds(self.b, self.block, 0, index)

    def _word(self, address: Any, index: int) -> Any:
        where = self.b.add(address, ir.Constant(_I64, 8 * index))
        return self.b.load(self.b.inttoptr(where, _I64.as_pointer()))

    def _native(self, site: Any, which: int, *arguments: Any) -> Any:
        """Call one of this process's functions; return what it left as its result."""
        b = self.b
        function = self._word(self._word(site, 0), which)
        words = [a if a.type == _I64 else b.ptrtoint(a, _I64) for a in (*arguments, self.result)]
        kind = ir.FunctionType(ir.VoidType(), [_I64] * len(words))
        b.call(b.inttoptr(function, kind.as_pointer()), words)
        return b.load(self.result)

    def _find(self, site: Any) -> Any:
        values = self._entry(1 + self.addresses) if self.values else self._entry(0)
        return self._native(site, FIND, site, values, ir.Constant(_I64, self.values))

    def _run(self, site: Any, program: Any, done: Any) -> None:
        """Allocate results as the program says, and run it."""
        b = self.b
        word, entry = HEADER, 1 + self.addresses + self.values
        fresh = [(k, s) for k, s in zip(self.kinds, self.slots, strict=True) if s is not None]
        for kind, slot in fresh:
            shape = [self._word(program, word + i) for i in range(kind.ndim)]
            array = arrayobj._empty_nd_impl(self.context, b, kind, shape)
            b.store(array._getvalue(), slot)
            b.store(b.ptrtoint(array.data, _I64), self._entry(entry))
            word, entry = word + kind.ndim, entry + 1
        b.store(site, self._entry(0))
        failed = self._native(site, RUN, program, self._entry(0))
        good = b.icmp_signed("==", failed, ir.Constant(_I64, 0))
        b.store(good, done)
        with b.if_then(b.not_(good), likely=False):
            for kind, slot in fresh:
                self.context.nrt.decref(b, kind, b.load(slot))

    def _go_through_python(self) -> None:
        """Call `door.call` with the GIL held, and take its arrays, or leave with its exception."""
        b, context = self.b, self.context
        pyapi = context.get_python_api(b)
        gil = pyapi.gil_ensure()

        def from_string(function: str, text: str) -> Any:
            kind = ir.FunctionType(_OBJECT, [_OBJECT])
            made = cgutils.get_or_insert_function(b.module, kind, function)
            return b.call(made, [context.insert_const_string(b.module, text)])

        module = from_string("PyImport_ImportModule", "numbaconv.nopython.door")
        result = cgutils.alloca_once(b, _OBJECT)
        b.store(ir.Constant(_OBJECT, None), result)
        with b.if_then(cgutils.is_not_null(b, module)):
            door = pyapi.object_getattr_string(module, "call")
            text = from_string("PyUnicode_FromString", self.description)
            place = pyapi.long_from_longlong(b.ptrtoint(self._entry(0), _I64))
            b.store(pyapi.call_function_objargs(door, [text, place]), result)
            for used in (module, door, text, place):
                pyapi.decref(used)
        found = b.load(result)
        with b.if_then(cgutils.is_null(b, found), likely=False):
            pyapi.gil_release(gil)
            context.call_conv.return_exc(b)
        b.store(b.load(self._entry(0)), self.site)
        for i, slot in enumerate(self.slots):
            if slot is not None:
                pyapi.nrt_adapt_ndarray_from_python(
                    pyapi.tuple_getitem(found, i), b.bitcast(slot, _OBJECT)
                )
        pyapi.decref(found)
        pyapi.gil_release(gil)


def _packed(context: Any, b: Any, found: Any, kind: Any, arrays: list[Any]) -> Any:
    """Return arrays in the form of the result."""
    if found.form == "array":
        return arrays[0]
    values = [context.get_dummy_value() if array is None else array for array in arrays]
    return context.make_tuple(b, kind, values)
