"""What kernels call to share work with a team, and how such kernels are compiled and run.

A team kernel is an ordinary compiled function whose first argument is the team: the address of a
`numbaconv.teams.pool.Pool`, or 0 for the calling thread alone. It prepares what is shared, and
calls `fork_join` as often as it has to. One machine code serves both, where Numba's ``prange`` is
compiled once more for threads.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numba
from llvmlite import ir
from numba.core import cgutils, types
from numba.core.imputils import lower_constant
from numba.extending import intrinsic, models, overload, register_model, typeof_impl

from numbaconv.kernels import recording, threads
from numbaconv.kernels.cache import KernelCache
from numbaconv.kernels.jit import OPTIONS, device, named
from numbaconv.native.emit import I64
from numbaconv.teams import pool


@dataclass(frozen=True)
class TeamKernel:
    """A compiled function of a team, the address of `run`, and its own arguments."""

    entry: Callable[..., None]


def team_kernel(function: Callable[..., None]) -> TeamKernel:
    """Compile a kernel ``(team, workers, ...)``, with a place in the package's cache."""
    dispatcher = numba.jit(**OPTIONS)(function)
    if not numba.config.DISABLE_JIT:
        dispatcher._cache = KernelCache(function, OPTIONS)
    return TeamKernel(dispatcher)


def tasks_kernel(function: Callable[..., None]) -> TeamKernel:
    """Compile what is done in a task, ``function(index, worker, begin, *arguments)``, to a kernel.

    The kernel's arguments are (team, workers, begin, end, *arguments); it calls the function for
    each index below ``end - begin``.
    """
    arguments = ", ".join(list(inspect.signature(function).parameters)[3:])
    names: dict[str, Any] = {"fork_tasks": fork_tasks, "part": team_part(function)}
    exec(
        f"def tasks(team, workers, begin, end, {arguments}):\n"
        f"    fork_tasks(team, workers, end - begin, part, (begin, {arguments}))",
        names,
    )
    named(names["tasks"], function)
    return team_kernel(names["tasks"])


class Part:
    """A compiled function that threads of a team run, as kernels name it for `fork_join`.

    A dispatcher itself would be a value of the process, and no kernel that holds one is cached.
    """

    def __init__(self, function: Callable[..., None]) -> None:
        self.function = device(function)
        self.name = f"{function.__module__}.{function.__qualname__}"

    def __call__(self, *args: Any) -> None:
        """Run it in Python."""
        self.function(*args)


def team_part(function: Callable[..., None]) -> Part:
    """Compile what a team's threads run of a kernel; it is cached as a part of it."""
    return Part(function)


class _PartType(types.Opaque):
    def __init__(self, value: Part) -> None:
        self.dispatcher: Any = value.function
        super().__init__(f"part({value.name})")


register_model(_PartType)(models.OpaqueModel)


@typeof_impl.register(Part)  # type: ignore[untyped-decorator]
def _type_of(value: Part, context: Any) -> _PartType:
    return _PartType(value)


@lower_constant(_PartType)  # type: ignore[untyped-decorator]
def _constant(context: Any, builder: Any, kind: Any, value: Any) -> Any:
    return context.get_dummy_value()


def team_size(tasks: int, *, work: int, parallel: bool) -> int:
    """Return how many members a team for so many tasks may have.

    `work` counts the multiplications, or the elements moved.
    """
    if numba.config.DISABLE_JIT:
        return 1
    return threads.sharing(tasks, work=work, parallel=parallel)


def run(kernel: TeamKernel, workers: int, *args: Any) -> None:
    """Run a kernel with so many workers; the calling thread is one of them."""
    team = 0
    if workers > 1:
        found = pool.current(workers)
        team = found.address
        if recording.active:
            recording.keep(constants=(found.words,))
    kernel.entry(team, workers, *args)
    if recording.active:
        recording.launched(kernel.entry, (team, workers, *args))


def fork_join(team: int, workers: int, work: Part, args: tuple[Any, ...]) -> None:
    """Call ``work(worker, *args)`` for each worker below `workers`; return when all are done.

    They are called by whoever is there, in any order and at any time, so one must not wait for
    another.
    """
    for worker in range(workers):
        work(worker, *args)


def fork_tasks(team: int, workers: int, tasks: int, work: Part, args: tuple[Any, ...]) -> None:
    """Call ``work(task, worker, *args)`` for each task; no two at once have the same worker."""
    for task in range(tasks):
        work(task, 0, *args)


@overload(fork_join, jit_options=OPTIONS)  # type: ignore[untyped-decorator]
def _fork_join(team: Any, workers: Any, work: Any, args: Any) -> Any:
    def impl(team: Any, workers: Any, work: Any, args: Any) -> None:
        if _share(team, workers, workers, work, False, args) != 0:
            raise RuntimeError("a kernel failed in a thread of its team")

    return impl


@overload(fork_tasks, jit_options=OPTIONS)  # type: ignore[untyped-decorator]
def _fork_tasks(team: Any, workers: Any, tasks: Any, work: Any, args: Any) -> Any:
    def impl(team: Any, workers: Any, tasks: Any, work: Any, args: Any) -> None:
        if _share(team, workers, tasks, work, True, args) != 0:
            raise RuntimeError("a kernel failed in a thread of its team")

    return impl


@intrinsic(prefer_literal=True)  # type: ignore[untyped-decorator]
def _share(
    typing: Any, team: Any, workers: Any, indices: Any, work: Any, by_member: Any, args: Any
) -> Any:
    """``_share(team, workers, indices, work, by_member, args)`` runs a job; returns 1 if it failed.

    `work` is called with an index, the member if `by_member`, and `args`.
    """
    takes_member = bool(by_member.literal_value)
    kinds = (types.intp, types.intp) if takes_member else (types.intp,)
    kinds += tuple(args.types)
    work.dispatcher.get_call_template(kinds, {})  # compiles it
    signature = types.intp(types.intp, types.intp, types.intp, work, by_member, args)

    def codegen(context: Any, b: Any, signature: Any, values: Any) -> Any:
        team, workers, indices, _, _, args_value = values
        compiled = work.dispatcher.overloads[kinds]
        context.active_code_library.add_linking_library(compiled.library)
        body = context.declare_function(b.module, compiled.fndesc)
        # What the members of a job share: whether it failed, and the arguments.
        fields = ir.LiteralStructType([I64, args_value.type])
        shared = cgutils.alloca_once(b, fields)
        failed = cgutils.gep_inbounds(b, shared, 0, 0)
        b.store(ir.Constant(I64, 0), failed)
        b.store(args_value, cgutils.gep_inbounds(b, shared, 0, 1))
        part = _part(context, b.module, fields, kinds, args, body, compiled, takes_member)
        target, argument = b.ptrtoint(part, I64), b.ptrtoint(shared, I64)
        alone = b.icmp_signed("==", team, ir.Constant(I64, 0))
        with b.if_else(alone) as (by_itself, together):
            with by_itself, cgutils.for_range(b, indices) as loop:
                # An exception leaves the kernel as it is: bounds checks tell what they found.
                passed = [loop.index, ir.Constant(I64, 0)] if takes_member else [loop.index]
                passed += cgutils.unpack_tuple(b, args_value, len(args.types))
                status, _ = context.call_conv.call_function(b, body, types.none, kinds, passed)
                with b.if_then(status.is_error, likely=False):
                    context.call_conv.return_status_propagate(b, status)
            with together:
                kind = ir.FunctionType(ir.VoidType(), [I64] * 5)
                run = b.load(b.inttoptr(team, I64.as_pointer()))
                b.call(
                    b.inttoptr(run, kind.as_pointer()), [team, target, argument, indices, workers]
                )
        return b.load(failed)

    return signature, codegen


def _part(
    context: Any, module: Any, fields: Any, kinds: Any, args: Any, body: Any, compiled: Any,
    takes_member: bool,
) -> Any:  # fmt: skip
    """Return the function of (index, member, shared) that calls a compiled body."""
    kind = ir.FunctionType(ir.VoidType(), [I64] * 3)
    part = ir.Function(module, kind, module.get_unique_name("part_of_a_job"))
    part.linkage = "internal"
    b = ir.IRBuilder(part.append_basic_block("entry"))
    index, member, address = part.args
    shared = b.inttoptr(address, fields.as_pointer())
    loaded = b.load(cgutils.gep_inbounds(b, shared, 0, 1))
    passed = [index, member] if takes_member else [index]
    passed += cgutils.unpack_tuple(b, loaded, len(args.types))
    status, _ = context.call_conv.call_function(b, body, types.none, kinds, passed)
    with b.if_then(status.is_error):
        b.store(ir.Constant(I64, 1), cgutils.gep_inbounds(b, shared, 0, 0))
    b.ret_void()
    return part
