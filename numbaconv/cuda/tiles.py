"""The tiled matrix product: a block of threads makes a tile of the result, from shared memory.

A thread keeps ``rows x columns`` sums in registers and reads both operands in vectors of 16 bytes.
While it multiplies one panel, the elements of the next are on their way from device memory.

V. Volkov, J. W. Demmel, "Benchmarking GPUs to tune dense linear algebra", SC 2008, section 5, has
the register blocking; M. Dukhan, "The indirect convolution algorithm", arXiv:1907.02129, the idea
of multiplying without a column matrix.
"""

from dataclasses import dataclass
from typing import Any

from numba import cuda

from numbaconv.cuda import operands, vectors
from numbaconv.cuda.launch import SIMULATED, factory
from numbaconv.cuda.parameters import INDEX
from numbaconv.cuda.wide import MOST, wider

M, N, K = INDEX["M"], INDEX["N"], INDEX["K"]
GROUPS, CHANNELS, SPLIT_K = INDEX["GROUPS"], INDEX["CHANNELS"], INDEX["SPLIT_K"]
BLOCKS = INDEX["BLOCKS"]
BASE, S_N, S_C = INDEX["BASE"], INDEX["S_N"], INDEX["S_C"]
O_BASE, O_N, O_C = INDEX["O_BASE"], INDEX["O_N"], INDEX["O_C"]
O_D, O_H, O_W = INDEX["O_D"], INDEX["O_H"], INDEX["O_W"]
OUT_D, OUT_H, OUT_W = INDEX["OUT_D"], INDEX["OUT_H"], INDEX["OUT_W"]
K_D, K_H, K_W = INDEX["K_D"], INDEX["K_H"], INDEX["K_W"]
BIASED = INDEX["BIASED"]

# The simulator knows no alignment.
ALIGNMENT = None if SIMULATED else vectors.WIDTH


@dataclass(frozen=True)
class Tile:
    """The shape of a block's work.

    Parameters
    ----------
    rows, columns, depth : int
        Of the block's tile, and of the panels that it multiplies at a time.
    thread_rows, thread_columns : int
        The sums of one thread.
    """

    rows: int
    columns: int
    depth: int
    thread_rows: int
    thread_columns: int

    @property
    def threads(self) -> int:
        """The threads of a block."""
        return self.rows // self.thread_rows * (self.columns // self.thread_columns)


@factory
def forward(
    tile: Tile, index: Any, work: Any, result: Any, mode: int, partial: bool, long: bool = False
) -> Any:
    """Return the kernel of packed weights (M x K) times gathered patches (K x N) of each group.

    Parameters
    ----------
    tile : Tile
        The cut.
    index, work, result : type
        Of indices, of the computation, and of the result.
    mode : int
        The padding mode, one of `numbaconv.problem.formulas.PADDING_MODES`.
    partial : bool
        Whether results are sums over a part of K, kept as ``(split, group, M, N)``.
    """
    rows, columns, depth = tile.rows, tile.columns, tile.depth
    own_rows, own_columns, threads = tile.thread_rows, tile.thread_columns, tile.threads
    vector = vectors.WIDTH // work(0).itemsize
    row_parts, column_parts = own_rows // vector, own_columns // vector
    row_step, column_step = rows // row_parts, columns // column_parts
    lanes = columns // own_columns
    a_size, b_size = 2 * depth * rows, 2 * depth * columns
    a_loads, b_loads = rows * depth // threads, columns * depth // threads
    a_skip, b_skip = threads // rows, threads // columns
    sums = own_rows * own_columns
    zero = work(0)
    wide = wider(work)
    nothing = wide(0)
    kept = sums if long else 1
    copy = vectors.copy_vector
    at = operands.functions(index, mode)
    quotient, position, tap, advance = at.quotient, at.position, at.tap, at.advance
    origin, spread, source = at.origin, at.spread, at.source

    def tiled_forward(a: Any, b: Any, bias: Any, out: Any, p: Any) -> None:
        a_shared = cuda.shared.array(a_size, work, alignment=ALIGNMENT)
        b_shared = cuda.shared.array(b_size, work, alignment=ALIGNMENT)
        total = cuda.local.array(sums, work)
        whole = cuda.local.array(kept, wide)
        a_own = cuda.local.array(own_rows, work, alignment=ALIGNMENT)
        b_own = cuda.local.array(own_columns, work, alignment=ALIGNMENT)
        a_next = cuda.local.array(a_loads, work)
        b_next = cuda.local.array(b_loads, work)
        places = cuda.local.array(own_columns, index)
        for i in range(sums):
            total[i] = zero
            if long:
                whole[i] = nothing

        # Which tile: rows first, so that neighbouring blocks read the same patches.
        block = index(cuda.blockIdx.x)
        if block >= p[BLOCKS]:
            return
        row_tiles = quotient(index(p[M] + rows - 1), index(rows))
        column_tiles = quotient(index(p[N] + columns - 1), index(columns))
        rest = quotient(block, row_tiles)
        m0 = index((block - rest * row_tiles) * rows)
        z = quotient(rest, column_tiles)
        n0 = index((rest - z * column_tiles) * columns)
        split = quotient(z, p[GROUPS])
        group = index(z - split * p[GROUPS])
        k0 = index(split * p[SPLIT_K])
        k1 = index(min(k0 + p[SPLIT_K], p[K]))

        # What this thread loads: one row of weights, one column of patches, every skip-th k.
        t = index(cuda.threadIdx.x)
        a_k, a_m = index(t // index(rows)), index(t % index(rows))
        b_k, b_n = index(t // index(columns)), index(t % index(columns))
        m, n = index(m0 + a_m), index(n0 + b_n)
        inside_m, inside_n = m < p[M], n < p[N]
        weights = index(group * p[K] * p[M] + m)
        image, od, oh, ow = position(p, n)
        d0, h0, w0 = origin(p, od, oh, ow)
        first = index(p[BASE] + image * p[S_N] + group * p[CHANNELS] * p[S_C])
        digits = tap(p, index(k0 + b_k))

        ty = index(t // index(lanes) * vector)
        tx = index(t % index(lanes) * vector)
        buffer = 0
        k = k0
        while k < k1 + depth:
            # Elements of the panel at k are loaded, those of the one before are multiplied.
            if k < k1:
                for i in range(a_loads):
                    row = index(k + a_k + i * a_skip)
                    a_next[i] = zero
                    if row < k1 and inside_m:
                        a_next[i] = a[index(weights + row * p[M])]
                for i in range(b_loads):
                    row = index(k + b_k + i * b_skip)
                    b_next[i] = zero
                    if row < k1 and inside_n:
                        c, kd, kh, kw = digits
                        dd, dh, dw = spread(p, kd, kh, kw)
                        inside, offset = source(p, index(d0 + dd), index(h0 + dh), index(w0 + dw))
                        if inside:
                            b_next[i] = work(b[index(first + c * p[S_C] + offset)])
                    digits = advance(p, digits, p[K_D], p[K_H], p[K_W])
            if k > k0:
                for j in range(depth):
                    at_k = (buffer ^ 1) * depth + j
                    for q in range(row_parts):
                        copy(a_shared, at_k * rows + q * row_step + ty, a_own, q * vector)
                    for q in range(column_parts):
                        copy(b_shared, at_k * columns + q * column_step + tx, b_own, q * vector)
                    for i in range(own_rows):
                        for h in range(own_columns):
                            total[i * own_columns + h] = work(
                                total[i * own_columns + h] + a_own[i] * b_own[h]
                            )
                if long and (k - k0) & (MOST - 1) == 0:
                    for i in range(sums):
                        whole[i] = wide(whole[i] + wide(total[i]))
                        total[i] = zero
            if k < k1:
                for i in range(a_loads):
                    a_shared[(buffer * depth + a_k + i * a_skip) * rows + a_m] = a_next[i]
                for i in range(b_loads):
                    b_shared[(buffer * depth + b_k + i * b_skip) * columns + b_n] = b_next[i]
            cuda.syncthreads()
            buffer ^= 1
            k = index(k + depth)

        if long:
            for i in range(sums):
                total[i] = work(wide(whole[i] + wide(total[i])))

        # All places first: as one nest of loops this would not be unrolled, and `total` would lie
        # in memory.
        for h in range(own_columns):
            n = index(n0 + h // vector * column_step + tx + h % vector)
            places[h] = n
            if not partial:
                image, od, oh, ow = position(p, n)
                places[h] = index(
                    p[O_BASE] + image * p[O_N] + od * p[O_D] + oh * p[O_H] + ow * p[O_W]
                )
        for i in range(own_rows):
            m = index(m0 + i // vector * row_step + ty + i % vector)
            if m < p[M]:
                o = index(group * p[M] + m)
                offset = zero
                if not partial and p[BIASED] != 0:
                    offset = work(result(bias[o]))
                line = index(o * p[O_C])
                if partial:
                    line = index((split * p[GROUPS] * p[M] + o) * p[N])
                for h in range(own_columns):
                    if index(n0 + h // vector * column_step + tx + h % vector) < p[N]:
                        out[index(line + places[h])] = result(
                            work(total[i * own_columns + h] + offset)
                        )

    return tiled_forward


@factory
def weight_sums(
    tile: Tile, index: Any, work: Any, mode: int, conjugated: str, long: bool = False
) -> Any:
    """Return the kernel of gradients (M x K) times patches (K x N), K the output positions.

    The sums over each part of K are kept as ``(split, group, M, N)``, N the elements of a patch.
    `conjugated` says which operand is: ``"x"``, ``"grad"`` or neither.
    """
    rows, columns, depth = tile.rows, tile.columns, tile.depth
    own_rows, own_columns, threads = tile.thread_rows, tile.thread_columns, tile.threads
    vector = vectors.WIDTH // work(0).itemsize
    row_parts, column_parts = own_rows // vector, own_columns // vector
    row_step, column_step = rows // row_parts, columns // column_parts
    lanes = columns // own_columns
    # Lanes that write one column of a panel fall into different banks of a pitch that is no
    # multiple of 128 bytes.
    a_pitch, b_pitch = rows + vector, columns + vector
    a_size, b_size = 2 * depth * a_pitch, 2 * depth * b_pitch
    a_loads, b_loads = rows * depth // threads, columns * depth // threads
    skip = threads // depth
    sums = own_rows * own_columns
    states = 4 * b_loads
    zero = work(0)
    wide = wider(work)
    nothing = wide(0)
    kept = sums if long else 1
    flip_x, flip_grad = conjugated == "x", conjugated == "grad"
    copy = vectors.copy_vector
    at = operands.functions(index, mode)
    quotient, position, tap, advance = at.quotient, at.position, at.tap, at.advance
    origin, spread, source = at.origin, at.spread, at.source

    def tiled_weight_sums(a: Any, b: Any, out: Any, p: Any) -> None:
        a_shared = cuda.shared.array(a_size, work, alignment=ALIGNMENT)
        b_shared = cuda.shared.array(b_size, work, alignment=ALIGNMENT)
        total = cuda.local.array(sums, work)
        whole = cuda.local.array(kept, wide)
        a_own = cuda.local.array(own_rows, work, alignment=ALIGNMENT)
        b_own = cuda.local.array(own_columns, work, alignment=ALIGNMENT)
        a_next = cuda.local.array(a_loads, work)
        b_next = cuda.local.array(b_loads, work)
        taps = cuda.local.array(states, index)
        for i in range(sums):
            total[i] = zero
            if long:
                whole[i] = nothing

        block = index(cuda.blockIdx.x)
        if block >= p[BLOCKS]:
            return
        row_tiles = quotient(index(p[M] + rows - 1), index(rows))
        column_tiles = quotient(index(p[N] + columns - 1), index(columns))
        rest = quotient(block, row_tiles)
        m0 = index((block - rest * row_tiles) * rows)
        z = quotient(rest, column_tiles)
        n0 = index((rest - z * column_tiles) * columns)
        split = quotient(z, p[GROUPS])
        group = index(z - split * p[GROUPS])
        k0 = index(split * p[SPLIT_K])
        k1 = index(min(k0 + p[SPLIT_K], p[K]))

        # What this thread loads: one position of each panel, for every skip-th row and column.
        t = index(cuda.threadIdx.x)
        own_k, line = index(t % index(depth)), index(t // index(depth))
        for i in range(b_loads):
            c, kd, kh, kw = tap(p, index(n0 + line + i * skip))
            dd, dh, dw = spread(p, kd, kh, kw)
            taps[4 * i] = index((group * p[CHANNELS] + c) * p[S_C])
            taps[4 * i + 1], taps[4 * i + 2], taps[4 * i + 3] = dd, dh, dw
        digits = position(p, index(k0 + own_k))

        ty = index(t // index(lanes) * vector)
        tx = index(t % index(lanes) * vector)
        buffer = 0
        k = k0
        while k < k1 + depth:
            if k < k1:
                inside_k = index(k + own_k) < k1
                image, od, oh, ow = digits
                d0, h0, w0 = origin(p, od, oh, ow)
                place = index(p[O_BASE] + image * p[O_N] + od * p[O_D] + oh * p[O_H] + ow * p[O_W])
                first = index(p[BASE] + image * p[S_N])
                for i in range(a_loads):
                    m = index(m0 + line + i * skip)
                    a_next[i] = zero
                    if inside_k and m < p[M]:
                        element = work(a[index(place + (group * p[M] + m) * p[O_C])])
                        if flip_grad:
                            element = element.conjugate()
                        a_next[i] = element
                for i in range(b_loads):
                    n = index(n0 + line + i * skip)
                    b_next[i] = zero
                    if inside_k and n < p[N]:
                        inside, offset = source(
                            p,
                            index(d0 + taps[4 * i + 1]),
                            index(h0 + taps[4 * i + 2]),
                            index(w0 + taps[4 * i + 3]),
                        )
                        if inside:
                            element = work(b[index(first + taps[4 * i] + offset)])
                            if flip_x:
                                element = element.conjugate()
                            b_next[i] = element
                digits = advance(p, digits, p[OUT_D], p[OUT_H], p[OUT_W])
            if k > k0:
                for j in range(depth):
                    at_k = (buffer ^ 1) * depth + j
                    for q in range(row_parts):
                        copy(a_shared, at_k * a_pitch + q * row_step + ty, a_own, q * vector)
                    for q in range(column_parts):
                        copy(b_shared, at_k * b_pitch + q * column_step + tx, b_own, q * vector)
                    for i in range(own_rows):
                        for h in range(own_columns):
                            total[i * own_columns + h] = work(
                                total[i * own_columns + h] + a_own[i] * b_own[h]
                            )
                if long and (k - k0) & (MOST - 1) == 0:
                    for i in range(sums):
                        whole[i] = wide(whole[i] + wide(total[i]))
                        total[i] = zero
            if k < k1:
                for i in range(a_loads):
                    a_shared[(buffer * depth + own_k) * a_pitch + line + i * skip] = a_next[i]
                for i in range(b_loads):
                    b_shared[(buffer * depth + own_k) * b_pitch + line + i * skip] = b_next[i]
            cuda.syncthreads()
            buffer ^= 1
            k = index(k + depth)

        if long:
            for i in range(sums):
                total[i] = work(wide(whole[i] + wide(total[i])))

        first = index((split * p[GROUPS] + group) * p[M])
        for i in range(own_rows):
            m = index(m0 + i // vector * row_step + ty + i % vector)
            for h in range(own_columns):
                n = index(n0 + h // vector * column_step + tx + h % vector)
                if m < p[M] and n < p[N]:
                    out[index((first + m) * p[N] + n)] = total[i * own_columns + h]

    return tiled_weight_sums
