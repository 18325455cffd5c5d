"""Runs the protocol of teams in every order in which its threads may take turns.

The functions of `numbaconv.teams.protocol` are taken as they stand, and made automata that stop
before every access to shared memory (see `automata`). A state is that memory and where each thread
stands; from each state every thread that can go on does. It is an error if a part of a job is
done twice, or never, or after its caller has gone on; if two threads are the same member of a job;
and if nobody can go on though not all have ended.
"""

import functools

from automata import Automaton, stepping

from numbaconv.teams import protocol

#: What touches shared memory, or waits; the last four are this checker's own.
_STEPS = {
    "load", "store", "exchange", "add", "replace", "pause", "lock", "lock_free",
    "begin", "end", "open", "close",
}  # fmt: skip
_HELPERS = [
    "take_desk", "wake", "take_parts", "finish_part", "await_others", "join_any", "is_wanted",
    "has_room",
]  # fmt: skip
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


def _invoke(function, index, member, job):
    yield "begin", job, member
    yield "end", job, index, member


@functools.cache
def functions(constants, changed):
    """Return the protocol's functions as generators, with constants and source replaced."""
    space = vars(protocol) | dict(constants) | {"invoke": _invoke, "clock": int}
    made = [getattr(protocol, name).py_func for name in _HELPERS]
    made += [protocol.run_function(), protocol.live_function(), protocol.stop_function()]
    stepping(made, _STEPS, {*_HELPERS, "invoke"}, space, changed)
    return space


class WrongTurnError(Exception):
    """An order of turns that ends badly."""


class Machine:
    """Threads and their memory. A state is a tuple of words and a tuple of stands.

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
        space = functions(tuple(constants.items()), changed)
        memory = {
            POOL + protocol.PATIENCE: patience, POOL + protocol.LIMIT: limit,
            POOL + protocol.WORKERS: workers, POOL + protocol.LIVING: workers,
            "callers left": len(callers),
        }  # fmt: skip
        self.fixed = set(_FIXED)
        if not ending:
            self.fixed |= {POOL + protocol.STOP, POOL + protocol.LIMIT}
        for desk in range(space["DESK_COUNT"]):
            at = POOL + protocol.DESKS + desk * protocol.DESK
            memory[at + protocol.DESK_LOCK] = at + protocol.DESK_LOCK
            # These lie beside the job's argument, and are written and read together with it.
            self.fixed |= {at + w for w in (protocol.FUNCTION, protocol.INDICES)}
        places = []
        for worker in range(workers):
            at = POOL + protocol.FIRST_WORKER + worker * protocol.WORKER
            memory[at + protocol.WORKER_LOCK] = at + protocol.WORKER_LOCK
            places.append(at)
        self.fixed |= {at + protocol.WORKER_LOCK for at in places}
        self.indices = {}
        begins = [self._caller(space, number, jobs) for number, jobs in enumerate(callers)]
        begins += [functools.partial(space["live"], POOL, at) for at in places]
        self.threads = [Automaton(begin) for begin in begins]
        self._slots = {name: slot for slot, name in enumerate(memory)}
        stands = [0] * len(self.threads)
        words = list(memory.values()) + [0] * (_MOST_WORDS - len(memory))
        for thread in range(len(stands)):
            self._skip_fixed(words, stands, thread)
        #: The first state.
        self.start = tuple(words), tuple(stands)

    def _caller(self, space, number, jobs):
        plan = []
        for count, (indices, members) in enumerate(jobs):
            plan.append((1000 * (number + 1) + count, indices, members))
            self.indices[plan[-1][0]] = indices
        return functools.partial(_call, space, tuple(plan), self.ending)

    def able(self, state):
        """Return the threads that can take a step."""
        words, stands = state
        found = []
        for thread, stand in enumerate(stands):
            if stand is None:
                continue
            step = self.threads[thread].steps[stand]
            if step[0] != "lock" or words[self._slot(("lock", step[2]))] > 0:
                found.append(thread)
        return found

    def is_over(self, state):
        """Return whether all have ended who must."""
        stands = state[1] if self.ending else state[1][: self.callers]
        return all(stand is None for stand in stands)

    def go_on(self, state, thread):
        """Return the state after a thread's step."""
        words, stands = list(state[0]), list(state[1])
        self._step(words, stands, thread)
        self._skip_fixed(words, stands, thread)
        return tuple(words), tuple(stands)

    def _skip_fixed(self, words, stands, thread):
        while stands[thread] is not None:
            step = self.threads[thread].steps[stands[thread]]
            if step[0] not in ("load", "store") or step[1] not in self.fixed:
                break
            self._step(words, stands, thread)

    def _step(self, words, stands, thread):
        automaton = self.threads[thread]
        name, *values = automaton.steps[stands[thread]]
        answer = getattr(self, f"_{name}")(words, *values)
        stands[thread] = automaton.after(stands[thread], answer)

    def _slot(self, name):
        return self._slots.setdefault(name, len(self._slots))

    def _load(self, words, address):
        return words[self._slot(address)]

    def _store(self, words, address, value):
        words[self._slot(address)] = value

    def _exchange(self, words, address, value):
        found = self._load(words, address)
        self._store(words, address, value)
        return found

    def _add(self, words, address, value):
        return self._exchange(words, address, self._load(words, address) + value)

    def _replace(self, words, address, old, new):
        if self._load(words, address) != old:
            return 0
        self._store(words, address, new)
        return 1

    def _pause(self, words):
        pass

    def _lock(self, words, function, lock):
        self._add(words, ("lock", lock), -1)

    def _lock_free(self, words, function, lock):
        if self._add(words, ("lock", lock), 1) > 0:
            raise WrongTurnError("a lock is freed twice")

    def _open(self, words, job):
        self._store(words, ("live", job), 1)

    def _close(self, words, job, is_last):
        self._store(words, ("live", job), 0)
        done = [self._exchange(words, ("done", job, i), 0) for i in range(self.indices[job])]
        if done != [1] * len(done):
            raise WrongTurnError(f"not every part of a job was done once: {done}")
        return self._add(words, "callers left", -is_last) - is_last

    def _begin(self, words, job, member):
        if not self._load(words, ("live", job)):
            raise WrongTurnError(f"a part of job {job} begins after its end")
        if self._exchange(words, ("member", job, member), 1):
            raise WrongTurnError(f"two threads are member {member} of job {job}")

    def _end(self, words, job, index, member):
        if not self._load(words, ("live", job)):
            raise WrongTurnError(f"a part of job {job} ends after the job")
        self._store(words, ("member", job, member), 0)
        self._add(words, ("done", job, index), 1)


_MOST_WORDS = 100


def _call(space, jobs, ending):
    for at, (job, indices, members) in enumerate(jobs):
        yield "open", job
        yield from space["run"](POOL, 7, job, indices, members)
        is_last = int(at == len(jobs) - 1)
        left = yield "close", job, is_last
    if left == 0 and ending:
        yield from space["stop"](POOL)


def explore(machine, most=10**9):
    """Try every order of turns; return how many states there are."""
    seen, ahead = {hash(machine.start)}, [(machine.start, ())]
    while ahead and len(seen) < most:
        state, order = ahead.pop()
        if machine.is_over(state):
            continue
        able = machine.able(state)
        if not able:
            raise AssertionError(f"nobody can go on, after turns of {_turns(order)}")
        for thread in able:
            try:
                after = machine.go_on(state, thread)
            except WrongTurnError as failure:
                raise AssertionError(f"{failure}, after turns of {_turns(order)}") from None
            number = hash(after)
            if number not in seen:
                seen.add(number)
                ahead.append((after, (thread, order)))
    return len(seen)


def _turns(order):
    found = []
    while order:
        thread, order = order
        found.append(thread)
    return found[::-1]


def wander(machine, rng):
    """Take turns at random until all have ended: some threads often, others seldom."""
    weights, state = rng.random(len(machine.threads)) ** 2 + 0.02, machine.start
    while not machine.is_over(state):
        able = machine.able(state)
        if not able:
            raise AssertionError("nobody can go on")
        chances = weights[able] / weights[able].sum()
        state = machine.go_on(state, int(rng.choice(able, p=chances)))
