"""How a caller and workers share a job: functions of shared words, compiled to machine code.

A job is a function, the address of what it works on, and a number of parts. Its *ticket* is one
word, in which are packed: the job's number, how many threads have joined it, which part is next,
and how many there are. Whoever wants a part replaces the ticket by one whose next part is one
further, and has it only if nobody else changed the word meanwhile. So a worker who comes late finds
no part of a job that is over: the number in the ticket is another one.

A job stands at a *desk* of the pool, of which there are a few, so that several Python threads may
have one. Its caller takes parts like everybody else; then it waits until all are done, which are at
most those that others have begun: for a moment it spins, then it sleeps, and who finishes the last
part wakes it. A worker that finds nothing spins for a while, too, and sleeps until a caller wakes
it.

Nobody takes part in a job while as many threads are at work as may be (`LIMIT`): callers count. And
nobody is asked for a while after a caller has waited for long, compared to its own work: others
have the processors then, and workers who lose theirs in the middle of a part would be waited for
again.

All functions here are also run by a model checker, word by word, which tries every order in which
threads may take turns (``tests/test_teams.py``). So they use nothing but `atomics`, the two
functions below, ints and plain loops.
"""

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import types

from numbaconv.kernels.jit import device
from numbaconv.native import link
from numbaconv.native.atomics import add, clock, exchange, load, pause, replace, store
from numbaconv.native.emit import I32, I64

#: Words of the pool: addresses of `run` and of the two functions of locks, how often to look before
#: sleeping, how many threads may be at work, whether workers are to end, how many there are, how
#: many of them have not ended, and until when jobs are not shared (see above); then, each in cache
#: lines of its own, how many threads are at work, and the desks.
RUN, ACQUIRE, RELEASE, PATIENCE, LIMIT, STOP, WORKERS, LIVING, ALONE_UNTIL = (
    8 * i for i in range(9)
)
BUSY = 128
DESKS = 256
#: Their number, and the bytes of one.
DESK_COUNT, DESK = 4, 512
#: Of a desk: its ticket, the parts that are done, whether its caller sleeps, whether it is taken;
#: the job's function and its argument, indices and members; the caller's lock.
TICKET, DONE, SLEEPS, TAKEN = 0, 128, 256, 264
FUNCTION, ARGUMENT, INDICES, MEMBERS, DESK_LOCK = (384 + 8 * i for i in range(5))
#: Where workers begin, the bytes of one; of a worker: what it does, and its lock.
FIRST_WORKER = DESKS + DESK_COUNT * DESK
WORKER = 128
STATE, WORKER_LOCK = 0, 8
# A caller who waits more than so many times as long as it has worked goes alone for so many times
# as long again.
_LATE, _ALONE = 2, 32
# What a worker does.
WORKING, SLEEPING, LOOKING = 0, 1, 2
# The ticket's bits, from below: 16 for the parts, 16 for the next one, 12 for the members who have
# joined, 19 for the number of the job.
NEXT, JOINED, NUMBER = 16, 32, 44
PART_MASK, MEMBER_MASK, NUMBER_MASK = (1 << 16) - 1, (1 << 12) - 1, (1 << 19) - 1
MOST_MEMBERS = 4000
# Parts for each member, at most: of consecutive indices, which are often neighbours in memory.
_PARTS = 16


def run_function() -> Callable[..., None]:
    """Return the function of callers."""

    def run(pool: int, function: int, argument: int, indices: int, members: int) -> None:
        """Call ``function(index, member, argument)`` for all indices; return when all are done."""
        busy = add(pool + BUSY, 1) + 1
        desk = 0
        start = clock()
        shared = members > 1 and indices > 1
        if shared and busy < load(pool + LIMIT) and start >= load(pool + ALONE_UNTIL):
            desk = take_desk(pool)
        if desk == 0:
            for index in range(indices):
                invoke(function, index, 0, argument)
            add(pool + BUSY, -1)
            return
        number = ((load(desk + TICKET) >> NUMBER) + 1) & NUMBER_MASK
        parts = min(indices, _PARTS * members)
        store(desk + FUNCTION, function)
        store(desk + ARGUMENT, argument)
        store(desk + INDICES, indices)
        store(desk + MEMBERS, members)
        store(desk + DONE, 0)
        store(desk + TICKET, (number << NUMBER) + (1 << JOINED) + parts)
        wake(pool, min(members, parts) - 1)
        own = 0 * members  # a literal would be compiled for itself
        take_parts(pool, desk, number, own)
        finished = clock()
        await_others(pool, desk, parts)
        waited = clock() - finished
        if waited > _LATE * (finished - start):
            # Somebody lost the processor in the middle of a part: there is other work to do here.
            store(pool + ALONE_UNTIL, finished + _ALONE * waited)
        store(desk + TAKEN, 0)
        add(pool + BUSY, -1)

    return run


def live_function() -> Callable[..., None]:
    """Return the function of workers."""

    def live(pool: int, worker: int) -> None:
        """Take part in jobs until the pool ends."""
        looked = 0
        store(worker + STATE, LOOKING)
        while load(pool + STOP) == 0:
            if join_any(pool, worker) != 0:
                looked = 0
            elif looked < load(pool + PATIENCE):
                looked += 1
                pause()
            else:
                # Who opens a job looks for sleepers after that; who goes to sleep looks for jobs
                # after that: so one of them sees the other.
                store(worker + STATE, SLEEPING)
                if is_wanted(pool) == 0 or replace(worker + STATE, SLEEPING, LOOKING) == 0:
                    lock(load(pool + ACQUIRE), load(worker + WORKER_LOCK))
                    store(worker + STATE, LOOKING)
                looked = 0
        store(worker + STATE, WORKING)
        add(pool + LIVING, -1)

    return live


def stop_function() -> Callable[..., None]:
    """Return the function that ends all workers."""

    def stop(pool: int) -> None:
        """Tell workers to end, and wake those who sleep; callers do all by themselves from now."""
        store(pool + LIMIT, 1)
        store(pool + STOP, 1)
        for i in range(load(pool + WORKERS)):
            worker = pool + FIRST_WORKER + i * WORKER
            if replace(worker + STATE, SLEEPING, LOOKING) != 0:
                lock_free(load(pool + RELEASE), load(worker + WORKER_LOCK))

    return stop


@device
def take_desk(pool: int) -> int:
    """Return a desk that nobody else has, or 0."""
    for i in range(DESK_COUNT):
        desk = pool + DESKS + i * DESK
        if load(desk + TAKEN) == 0 and replace(desk + TAKEN, 0, 1) != 0:
            return desk
    return 0


@device
def wake(pool: int, wanted: int) -> None:
    """Wake as many workers as are wanted; those who look for work count as well."""
    for i in range(load(pool + WORKERS)):
        if wanted <= 0:
            break
        worker = pool + FIRST_WORKER + i * WORKER
        state = load(worker + STATE)
        if state == LOOKING:
            wanted -= 1
        elif state == SLEEPING and replace(worker + STATE, SLEEPING, LOOKING) != 0:
            lock_free(load(pool + RELEASE), load(worker + WORKER_LOCK))
            wanted -= 1


@device
def take_parts(pool: int, desk: int, number: int, member: int) -> None:
    """Take parts of a job and do them, until none is left."""
    while True:
        ticket = load(desk + TICKET)
        parts, part = ticket & PART_MASK, (ticket >> NEXT) & PART_MASK
        if ticket >> NUMBER != number or part >= parts:
            break
        if replace(desk + TICKET, ticket, ticket + (1 << NEXT)) == 0:
            continue
        # The job cannot end before this part does, so all that follows is still its own.
        function, argument = load(desk + FUNCTION), load(desk + ARGUMENT)
        indices = load(desk + INDICES)
        for index in range(part * indices // parts, (part + 1) * indices // parts):
            invoke(function, index, member, argument)
        finish_part(pool, desk, parts)


@device
def finish_part(pool: int, desk: int, parts: int) -> None:
    """Count a part; after the last one wake the caller."""
    if add(desk + DONE, 1) + 1 == parts and exchange(desk + SLEEPS, 0) != 0:
        lock_free(load(pool + RELEASE), load(desk + DESK_LOCK))


@device
def await_others(pool: int, desk: int, parts: int) -> None:
    """Return when all parts are done."""
    looked = 0
    while load(desk + DONE) != parts:
        if looked < load(pool + PATIENCE):
            looked += 1
            pause()
            continue
        # As above: one of us sees the other. A worker that is late with an earlier job of this desk
        # may wake us in vain, so all is looked at again.
        store(desk + SLEEPS, 1)
        if load(desk + DONE) != parts or exchange(desk + SLEEPS, 0) == 0:
            lock(load(pool + ACQUIRE), load(desk + DESK_LOCK))


@device
def join_any(pool: int, worker: int) -> int:
    """Take part in a job that wants somebody; return 1 if there was one."""
    found = 0
    for i in range(DESK_COUNT):
        desk = pool + DESKS + i * DESK
        ticket = load(desk + TICKET)
        if has_room(desk, ticket) == 0:
            continue
        if add(pool + BUSY, 1) < load(pool + LIMIT):
            if replace(desk + TICKET, ticket, ticket + (1 << JOINED)) != 0:
                store(worker + STATE, WORKING)
                take_parts(pool, desk, ticket >> NUMBER, (ticket >> JOINED) & MEMBER_MASK)
                store(worker + STATE, LOOKING)
            found = 1
        add(pool + BUSY, -1)
    return found


@device
def is_wanted(pool: int) -> int:
    """Return 1 if a worker should not go to sleep."""
    if load(pool + STOP) != 0:
        return 1
    if load(pool + BUSY) < load(pool + LIMIT):
        for i in range(DESK_COUNT):
            desk = pool + DESKS + i * DESK
            if has_room(desk, load(desk + TICKET)) != 0:
                return 1
    return 0


@device
def has_room(desk: int, ticket: int) -> int:
    """Return 1 if a job has parts that nobody took, and may have one more member."""
    if (ticket >> NEXT) & PART_MASK >= ticket & PART_MASK:
        return 0
    return 1 if (ticket >> JOINED) & MEMBER_MASK < load(desk + MEMBERS) else 0


@link.specialised
def invoke(context: Any, function: Any, index: Any, member: Any, argument: Any) -> Any:
    """``invoke(function, index, member, argument)`` calls a job's function."""

    def codegen(context: Any, b: Any, signature: Any, values: Any) -> Any:
        kind = ir.FunctionType(ir.VoidType(), [I64] * 3)
        b.call(b.inttoptr(values[0], kind.as_pointer()), values[1:])
        return context.get_dummy_value()

    return types.void(*[types.intp] * 4), codegen


@link.specialised
def lock(context: Any, function: Any, lock: Any) -> Any:
    """``lock(function, lock)`` sleeps until a lock is free, and takes it."""

    def codegen(context: Any, b: Any, signature: Any, values: Any) -> Any:
        kind = ir.FunctionType(I32, [I64, I32])
        function = b.inttoptr(values[0], kind.as_pointer())
        b.call(function, [values[1], ir.Constant(I32, 1)])
        return context.get_dummy_value()

    return types.void(types.intp, types.intp), codegen


@link.specialised
def lock_free(context: Any, function: Any, lock: Any) -> Any:
    """``lock_free(function, lock)`` frees a lock."""

    def codegen(context: Any, b: Any, signature: Any, values: Any) -> Any:
        kind = ir.FunctionType(ir.VoidType(), [I64])
        b.call(b.inttoptr(values[0], kind.as_pointer()), [values[1]])
        return context.get_dummy_value()

    return types.void(types.intp, types.intp), codegen
