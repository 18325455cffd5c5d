"""Runs what writes to indices: the backward pass of max pooling, and max unpooling."""

from typing import Any

import numpy as np

from numbaconv.kernels import recording, threads, workspace
from numbaconv.kernels.long_sums import LONGEST
from numbaconv.native.scatter import scatterer
from numbaconv.pooling import loops
from numbaconv.pooling.forward import require_machine_code
from numbaconv.problem.arrays import Array, address, as_batch, native, writeable
from numbaconv.problem.geometry import Ints, join_shape, split_shape
from numbaconv.running import call, results
from numbaconv.teams import jobs

# What a worker keeps beside the elements whose sums are long.
_BAND_BYTES = 1 << 22
_SUITABLE: Any = ("C_CONTIGUOUS", "ALIGNED")


def scattered(
    values: Array,
    indices: Array,
    ndim: int,
    size: Ints,
    channels_last: bool,
    out: Any,
    parallel: bool,
    *,
    add: bool,
) -> Array:
    """Return zeros of spatial `size` to which each plane's values are added, or written."""
    require_machine_code()
    batched, batch, channels, own = split_shape(values.shape, ndim, channels_last, "the values")
    dtype = native(values.dtype)
    shape = join_shape(batched, batch, channels, size, channels_last)

    def compute(target: Array) -> None:
        if not values.size:
            target[...] = 0
            return
        _run(
            as_batch(values, batched), as_batch(indices, batched), as_batch(target, batched),
            channels, int(np.prod(own)), int(np.prod(size)), channels_last, parallel, add=add,
        )  # fmt: skip

    return results.into(out, shape, dtype, (values, indices), compute)


def _run(
    values: Array,
    indices: Array,
    out: Array,
    channels: int,
    positions: int,
    size: int,
    channels_last: bool,
    parallel: bool,
    *,
    add: bool,
) -> None:
    """Scatter all images at once, or one by one through suitable copies."""
    if out.dtype.kind == "c":
        for part in ("real", "imag"):
            _run(
                getattr(values, part), indices, getattr(out, part), channels, positions, size,
                channels_last, parallel, add=add,
            )  # fmt: skip
        return
    work = call.work_dtype(out.dtype)
    values, out = call.as_signed(values, work), call.as_signed(out, work)
    suitable = all(a.dtype == work and a.flags.carray for a in (values, out))
    suitable = suitable and indices.dtype == np.int64 and indices.flags.c_contiguous
    step = len(values) if suitable and indices.flags.aligned else 1
    for n in range(0, len(values), step):
        source = np.require(values[n : n + step], work, _SUITABLE)
        places = np.require(indices[n : n + step], np.int64, _SUITABLE)
        target = out[n : n + step]
        fresh = target
        if not (target.dtype == work and target.flags.carray):
            fresh = np.empty(target.shape, work)
        tasks, among = (len(source), channels) if channels_last else (len(source) * channels, 1)
        workers = jobs.team_size(tasks, work=source.size * 4, parallel=parallel)
        wrong = threads.tables(workers, 1)
        native = scatterer(work, add=add, dense=not channels_last)
        many = add and positions > LONGEST and work.kind == "f"
        space = None
        more: tuple[Array, ...] = ()
        if many:
            band = min(size * among, max(_BAND_BYTES // work.itemsize, among))
            space = workspace.take(workers * band * work.itemsize)
            more = (
                threads.tables(workers, 4, -(-positions // loops.GROUP)),
                space.view(work, (workers, band)),
            )
        for begin, end in threads.ranges(tasks, source.size, threads.MOST_MOVED // 4):
            if many:
                jobs.run(
                    loops.scatter_many, workers, begin, end, size, positions, among,
                    fresh.reshape(-1), writeable(source).reshape(-1),
                    writeable(places).reshape(-1), native, wrong, *more,
                )  # fmt: skip
            else:
                jobs.run(
                    loops.scatter, workers, begin, end, size, positions, among,
                    work.itemsize, fresh.reshape(-1).view(np.uint8), address(source),
                    address(places), native, wrong,
                )  # fmt: skip
        if space is not None:
            workspace.give_back(space)
        if recording.active:
            for flag in wrong:
                recording.keep(check=flag)
            if fresh is target and step == len(values):
                recording.approve()
        if wrong.any():
            raise ValueError(
                f"indices must be from 0 to {size - 1}, the positions of one channel (or -1, for "
                f"none), got {_range(places)}"
            )
        if fresh is not target:
            target[...] = fresh


def _range(places: Array) -> str:
    low, high = int(places.min()), int(places.max())
    return str(low) if low == high else f"{low} to {high}"
