"""Time on the device, apart from the time that Python takes to ask for it."""

import time

import numpy as np
from numba import cuda

_CALLS, _ROUNDS = 10, 3


@cuda.jit
def _idle(milliseconds):
    """Keep a stream busy, and the device free."""
    for _ in range(milliseconds):
        cuda.nanosleep(np.uint32(1_000_000))


def _wait(milliseconds):
    # Numba warns of fewer blocks than a GPU holds; these only wait.
    _idle[128, 1](milliseconds)


def seconds(call, rounds=_ROUNDS, calls=_CALLS):
    """Return (on the device, on the host): the least seconds of a call in some rounds.

    The device is kept waiting while the calls are enqueued, so that it then runs them without a
    gap. The host's time is that of enqueueing.
    """
    call()
    call()
    cuda.synchronize()
    begin = time.perf_counter()
    for _ in range(calls):
        call()
    pause = 2 + int(2e3 * (time.perf_counter() - begin))
    best, host = float("inf"), float("inf")
    done = 0
    while done < rounds:
        cuda.synchronize()
        first, last = cuda.event(), cuda.event()
        _wait(pause)
        first.record()
        begin = time.perf_counter()
        for _ in range(calls):
            call()
        asked = time.perf_counter() - begin
        late = first.query()
        last.record()
        last.synchronize()
        if late and pause < 500:
            pause *= 2
            continue
        best = min(best, cuda.event_elapsed_time(first, last) / 1e3 / calls)
        host = min(host, asked / calls)
        done += 1
    return best, host


def copy_rate(elements=1 << 28):
    """Return the bytes a second of a copy on the device, read and written."""
    source, target = (cuda.device_array(elements, np.float32) for _ in range(2))
    return 8 * elements / seconds(lambda: target.copy_to_device(source))[0]


def fma_rate():
    """Return the float32 FLOPs a second of independent multiply-adds."""
    from numbaconv.cuda.launch import unrolled

    chains, steps, rounds = 16, 16, 256

    def step(number):
        def add(sums, a, b):
            for i in range(chains):
                sums[i] = sums[i] * a + b

        return add

    all_steps = unrolled(steps, step)

    @cuda.jit
    def multiply_add(out, a, b):
        sums = cuda.local.array(chains, np.float32)
        for i in range(chains):
            sums[i] = np.float32(cuda.threadIdx.x + i)
        for _ in range(rounds):
            all_steps(sums, a, b)
        total = np.float32(0)
        for i in range(chains):
            total += sums[i]
        out[cuda.grid(1)] = total

    blocks = 8 * cuda.get_current_device().MULTIPROCESSOR_COUNT
    out = cuda.device_array(256 * blocks, np.float32)
    a, b = np.float32(1.0001), np.float32(1e-7)
    taken, _ = seconds(lambda: multiply_add[blocks, 256](out, a, b))
    return 2 * chains * steps * rounds * 256 * blocks / taken
