"""Runs the protocol of teams in every order in which its threads may take turns.

The functions of `numbaconv.teams.protocol` are taken as they stand, and made generators that stop
before every access to shared memory. A state is that memory and where each thread stands, with its
variables; from each state every thread that can go on does. It is an error if a part of a job is
done twice, or never, or after its caller has gone on; if two threads are the same member of a job;
and if nobody can go on though not all have ended.
"""

import ast
import functools
import inspect
import textwrap
from collections import Counter

from numbaconv.teams import protocol

#: What touches shared memory, or waits.
_STEPS = ("load", "store", "exchange", "add", "replace", "pause", "lock", "lock_free")
_HELPERS = (
    "take_desk", "wake", "take_parts", "finish_part", "await_others", "join_any", "is_wanted",
    "has_room",
)  # fmt: skip
POOL = 1 << 20
#: Words that nobody changes while threads run.
_FIXED = {
    POOL + word
    for word in (
        protocol.ACQUIRE,
        protocol.RELEASE,
        protocol.PATIENCE,
        protocol.WORKERS,
        protocol.ALONE_UNTIL,
    )
}


class _Stepping(ast.NodeTransformer):
    """Makes steps of a function's calls."""

    def visit_Call(self, node):
        self.generic_visit(node)
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        if name == "invoke":
            inner = ast.Call(ast.Name("invoke_in_steps", ast.Load()), node.args, [])
            return ast.YieldFrom(inner)
        if name in _STEPS:
            return ast.Yield(ast.Tuple([ast.Constant(name), *node.args], ast.Load()))
        if name in _HELPERS:
            return ast.YieldFrom(node)
        return node


def _invoke_in_steps(function, index, member, job):
    yield "begin", job, index, member
    yield "end", job, index, member


@functools.cache
def functions(constants, changed):
    """Return the protocol's functions as generators, with constants and source replaced."""
    space = vars(protocol) | dict(constants) | {"invoke_in_steps": _invoke_in_steps, "clock": int}
    sources = [inspect.getsource(getattr(protocol, name).py_func) for name in _HELPERS]
    made = [protocol.run_function(), protocol.live_function(), protocol.stop_function()]
    sources += [textwrap.dedent(inspect.getsource(function)) for function in made]
    for source in sources:
        for old, new in changed:
            source = source.replace(old, new)
        tree = ast.parse(source)
        tree.body[0].decorator_list = []
        tree = ast.fix_missing_locations(_Stepping().visit(tree))
        exec(compile(tree, "<protocol in steps>", "exec"), space)
    return space


class WrongTurnError(Exception):
    """An order of turns that ends badly."""


class Machine:
    """Threads and their memory, from the beginning.

    Parameters
    ----------
    callers : list of list of (int, int)
        For each calling thread its jobs: how many indices, and how many members at most.
    workers, limit, patience : int
        Of the pool.
    ending : bool
        Whether the last caller ends the workers, and all must have ended then. Otherwise workers
        may be anywhere once all callers have ended.
    changed : tuple of (str, str)
        Source of the protocol to be replaced.
    constants
        Of the protocol, replaced.
    """

    def __init__(
        self, callers, workers, limit, patience=0, ending=True, changed=(), **constants
    ):  # fmt: skip
        self.ending, self.callers = ending, len(callers)
        self.space = functions(tuple(constants.items()), changed)
        self.memory = {
            POOL + protocol.PATIENCE: patience, POOL + protocol.LIMIT: limit,
            POOL + protocol.WORKERS: workers, POOL + protocol.LIVING: workers,
        }  # fmt: skip
        self.locks = Counter()
        for desk in range(self.space["DESK_COUNT"]):
            at = POOL + protocol.DESKS + desk * protocol.DESK + protocol.DESK_LOCK
            self.memory[at] = at
        self.threads = []
        places = []
        for worker in range(workers):
            at = POOL + protocol.FIRST_WORKER + worker * protocol.WORKER
            self.memory[at + protocol.WORKER_LOCK] = at + protocol.WORKER_LOCK
            places.append(at)
        self.fixed = _FIXED | {at + protocol.WORKER_LOCK for at in places}
        if not ending:
            self.fixed |= {POOL + protocol.STOP, POOL + protocol.LIMIT}
        # These lie beside the job's argument, and are written and read together with it.
        for desk in range(self.space["DESK_COUNT"]):
            at = POOL + protocol.DESKS + desk * protocol.DESK
            self.fixed |= {at + w for w in (protocol.FUNCTION, protocol.INDICES)}
        self.live, self.done, self.members = set(), Counter(), set()
        self.left = len(callers)
        for number, jobs in enumerate(callers):
            self.threads.append(self._caller(number, jobs))
        self.threads += [self.space["live"](POOL, at) for at in places]
        self.waiting = [next(thread) for thread in self.threads]
        self._skip_fixed()

    def _caller(self, number, jobs):
        for count, (indices, members) in enumerate(jobs):
            job = 1000 * (number + 1) + count
            self.live.add(job)
            yield from self.space["run"](POOL, 7, job, indices, members)
            self.live.remove(job)
            if [self.done[job, i] for i in range(indices)] != [1] * indices:
                raise WrongTurnError(f"not every part of a job was done once: {self.done}")
        self.left -= 1
        if self.left == 0 and self.ending:
            yield from self.space["stop"](POOL)

    def can_go_on(self, thread):
        """Return whether a thread has not ended, and does not wait for a lock."""
        step = self.waiting[thread]
        return step is not None and (step[0] != "lock" or self.locks[step[2]] > 0)

    @property
    def is_over(self):
        """Whether all have ended who must."""
        waited_for = self.waiting if self.ending else self.waiting[: self.callers]
        return all(step is None for step in waited_for)

    def go_on(self, thread):
        """Let a thread take its step, and stop before its next one."""
        self._step(thread)
        self._skip_fixed()

    def _skip_fixed(self):
        for thread, step in enumerate(self.waiting):
            while step is not None and step[0] in ("load", "store") and step[1] in self.fixed:
                self._step(thread)
                step = self.waiting[thread]

    def _step(self, thread):
        name, *values = self.waiting[thread]
        answer = getattr(self, f"_{name}")(*values)
        try:
            self.waiting[thread] = self.threads[thread].send(answer)
        except StopIteration:
            self.waiting[thread] = None

    def _load(self, address):
        return self.memory.get(address, 0)

    def _store(self, address, value):
        self.memory[address] = value

    def _exchange(self, address, value):
        found = self._load(address)
        self.memory[address] = value
        return found

    def _add(self, address, value):
        return self._exchange(address, self._load(address) + value)

    def _replace(self, address, old, new):
        if self._load(address) != old:
            return 0
        self.memory[address] = new
        return 1

    def _pause(self):
        pass

    def _lock(self, function, lock):
        self.locks[lock] -= 1

    def _lock_free(self, function, lock):
        self.locks[lock] += 1
        if self.locks[lock] > 1:
            raise WrongTurnError("a lock is freed twice")

    def _begin(self, job, index, member):
        if job not in self.live:
            raise WrongTurnError(f"a part of job {job} begins after its end")
        if (job, member) in self.members:
            raise WrongTurnError(f"two threads are member {member} of job {job}")
        self.members.add((job, member))

    def _end(self, job, index, member):
        if job not in self.live:
            raise WrongTurnError(f"a part of job {job} ends after the job")
        self.members.remove((job, member))
        self.done[job, index] += 1

    @property
    def state(self):
        """All that what may happen from here on depends on."""
        memory = tuple(sorted((a, v) for a, v in self.memory.items() if v))
        locks = tuple(sorted(self.locks.items()))
        parts = tuple(sorted(self.done.items())), tuple(sorted(self.members))
        return memory, locks, parts, self.left, tuple(map(self._stand, range(len(self.threads))))

    def _stand(self, thread):
        if self.waiting[thread] is None:
            return None
        found, generator = [self.waiting[thread]], self.threads[thread]
        while generator is not None:
            frame = generator.gi_frame
            names = {n: v for n, v in frame.f_locals.items() if isinstance(v, int)}
            found.append((frame.f_lasti, tuple(sorted(names.items()))))
            generator = generator.gi_yieldfrom
        return tuple(found)


def explore(make, most=10**9):
    """Try every order of turns; return how many states there are."""
    seen, orders = set(), [()]
    while orders and len(seen) < most:
        order = orders.pop()
        machine = make()
        try:
            for thread in order:
                machine.go_on(thread)
            while True:
                state = hash(machine.state)
                if state in seen:
                    break
                seen.add(state)
                if machine.is_over:
                    break
                able = [t for t in range(len(machine.threads)) if machine.can_go_on(t)]
                if not able:
                    raise WrongTurnError(f"nobody can go on: {machine.waiting}")
                orders += [(*order, t) for t in able[1:]]
                machine.go_on(able[0])
                order = (*order, able[0])
        except WrongTurnError as failure:
            raise AssertionError(f"{failure}, after turns of {order}") from None
    return len(seen)


def wander(machine, rng):
    """Take turns at random until all have ended: some threads often, others seldom."""
    weights = rng.random(len(machine.threads)) ** 2 + 0.02
    while not machine.is_over:
        able = [t for t in range(len(machine.threads)) if machine.can_go_on(t)]
        if not able:
            raise AssertionError(f"nobody can go on: {machine.waiting}")
        chances = weights[able] / weights[able].sum()
        machine.go_on(int(rng.choice(able, p=chances)))
