"""The tiled product of weights and patches, which are gathered as they are multiplied.

A thread keeps ``rows x columns`` sums in registers and reads both operands in vectors of 16 bytes.
While a block multiplies one panel, the elements of the next are on their way from device memory.
Where an element of a patch lies is a sum of two numbers: one for its position, which a thread works
out once, and one for its channel and tap, from a table that the packing of the weights makes.
Whether it lies in the padding is a matter of bits: one for each place along each axis of the
kernel, which the table has for a tap, and a thread for the places that are outside.

M. Dukhan, "The indirect convolution algorithm", arXiv:1907.02129, has the idea of multiplying
without a column matrix.
"""

from typing import Any

from numba import cuda

from numbaconv.cuda import operands, tiles
from numbaconv.cuda.launch import bounded, factory, unrolled
from numbaconv.cuda.tiles import ALIGNMENT, Tile

#: The ints of `forward`, in order.
NAMES = (
    # The product of each group: rows of weights (and the pitch of packed ones), positions of the
    # batch, elements of a patch (packed), of which a block sums a part; groups.
    "rows", "pitch", "positions", "summed", "part", "groups",
    # The input: where it begins, strides of images and groups, and of a step of the window along
    # each axis; sizes.
    "x_base", "x_image", "x_group", "step_d", "step_h", "step_w", "depth", "height", "width",
    # The window: positions, strides, dilation, low padding and taps along each axis.
    "out_d", "out_h", "out_w", "stride_d", "stride_h", "stride_w",
    "dilation_d", "dilation_h", "dilation_w", "low_d", "low_h", "low_w",
    "taps_d", "taps_h", "taps_w",
    # The output: where it begins, its strides; whether there is a bias.
    "y_base", "y_image", "y_channel", "y_d", "y_h", "y_w", "biased",
)  # fmt: skip


def panel_of(tile: Tile, a_pitch: int, b_pitch: int, work: Any) -> Any:
    """Return the product of two panels in shared memory, added to a thread's sums."""
    own_rows, own_columns = tile.thread_rows, tile.thread_columns
    vector = tiles.WIDTH // work(0).itemsize
    row_parts, column_parts = own_rows // vector, own_columns // vector
    row_step, column_step = tile.rows // row_parts, tile.columns // column_parts
    copy = tiles.copy_of(work)

    def outer_product(j: int) -> Any:
        a_line, b_line = j * a_pitch, j * b_pitch

        def add(a: Any, a_at: Any, b: Any, b_at: Any, a_own: Any, b_own: Any, total: Any) -> None:
            for q in range(row_parts):
                copy(a, a_at + a_line + q * row_step, a_own, q * vector)
            for q in range(column_parts):
                copy(b, b_at + b_line + q * column_step, b_own, q * vector)
            for i in range(own_rows):
                for h in range(own_columns):
                    total[i * own_columns + h] = work(
                        total[i * own_columns + h] + a_own[i] * b_own[h]
                    )

        return add

    return unrolled(tile.depth, outer_product)


@factory
def forward(tile: Tile, index: Any, work: Any, result: Any, partial: bool, wide: bool) -> Any:
    """Return the kernel of packed weights (K x M) times gathered patches (K x N) of each group.

    Parameters
    ----------
    tile : Tile
        The cut.
    index, work, result : type
        Of indices, of the computation, and of the result.
    partial : bool
        Whether results are sums over a part of K, kept as ``(split, group, M, N)``.
    wide : bool
        Whether results are written 16 bytes at a time: they are of the computation's type,
        neighbouring positions lie side by side, and all else is a multiple of 16 bytes.
    """
    rows, columns, depth = tile.rows, tile.columns, tile.depth
    own_rows, own_columns, threads = tile.thread_rows, tile.thread_columns, tile.threads
    vector = tiles.WIDTH // work(0).itemsize
    row_parts, column_parts = own_rows // vector, own_columns // vector
    row_step, column_step = rows // row_parts, columns // column_parts
    a_size, b_size = 2 * depth * rows, 2 * depth * columns
    a_loads, b_loads = rows * depth // threads, columns * depth // threads
    # What a thread loads of the weights at once.
    a_vector = vector if a_loads % vector == 0 else 1
    a_lanes = rows // a_vector
    a_parts, a_skip = a_loads // a_vector, threads // a_lanes
    b_skip = threads // columns
    sums = own_rows * own_columns
    zero = work(0)
    outside_always = index(index(1) << index(8 * index(0).itemsize - 1))
    down, across = tile.warp
    lanes = columns // own_columns
    warps = lanes // across
    copy = tiles.copy_of(work)
    load = tiles.copier(a_vector, a_vector * zero.itemsize)
    look_up = tiles.copier(2, 2 * index(0).itemsize)
    at = operands.functions(index, 0)
    quotient, split, mask_of = at.quotient, at.split, at.mask_of

    panel = panel_of(tile, rows, columns, work)

    def tiled_forward(a: Any, table: Any, b: Any, bias: Any, out: Any, p: Any) -> None:
        (
            m_count, pitch, n_count, k_count, part, groups,
            x_base, x_image, x_group, step_d, step_h, step_w, size_d, size_h, size_w,
            out_d, out_h, out_w, stride_d, stride_h, stride_w,
            dilation_d, dilation_h, dilation_w, low_d, low_h, low_w, taps_d, taps_h, taps_w,
            y_base, y_image, y_channel, y_d, y_h, y_w, biased,
        ) = p  # fmt: skip
        a_shared = cuda.shared.array(a_size, work, alignment=ALIGNMENT)
        b_shared = cuda.shared.array(b_size, work, alignment=ALIGNMENT)
        total = cuda.local.array(sums, work)
        a_own = cuda.local.array(own_rows, work, alignment=ALIGNMENT)
        b_own = cuda.local.array(own_columns, work, alignment=ALIGNMENT)
        a_next = cuda.local.array(a_loads, work, alignment=ALIGNMENT)
        b_next = cuda.local.array(b_loads, work)
        entry = cuda.local.array(2, index, alignment=ALIGNMENT)
        places = cuda.local.array(own_columns, index)
        for i in range(sums):
            total[i] = zero

        # Which tile: rows first, so that neighbouring blocks read the same patches.
        block = index(cuda.blockIdx.x)
        row_tiles = quotient(index(m_count + rows - 1), index(rows))
        column_tiles = quotient(index(n_count + columns - 1), index(columns))
        rest = quotient(block, row_tiles)
        m0 = index((block - rest * row_tiles) * rows)
        z = quotient(rest, column_tiles)
        n0 = index((rest - z * column_tiles) * columns)
        split_number = quotient(z, groups)
        group = index(z - split_number * groups)
        k0 = index(split_number * part)
        k1 = index(min(k0 + part, k_count))

        # What this thread loads: some weights of a row, and of one position every skip-th element.
        t = index(cuda.threadIdx.x)
        a_k, a_m = index(t // index(a_lanes)), index(t % index(a_lanes) * a_vector)
        b_k, b_n = index(t // index(columns)), index(t % index(columns))
        weights = index(group * k_count * pitch + m0 + a_m)
        n = index(n0 + b_n)
        outside = index(-1)
        first = index(0)
        if n < n_count:
            image, od, oh, ow = split(n, out_d, out_h, out_w)
            first = index(
                x_base + image * x_image + group * x_group
                + od * step_d + oh * step_h + ow * step_w
            )  # fmt: skip
            d = index(od * stride_d - low_d)
            h = index(oh * stride_h - low_h)
            w = index(ow * stride_w - low_w)
            outside = index(
                outside_always
                | mask_of(d, size_d, dilation_d, taps_d, index(0))
                | mask_of(h, size_h, dilation_h, taps_h, taps_d)
                | mask_of(w, size_w, dilation_w, taps_w, index(taps_d + taps_h))
            )

        warp, lane = index(t // index(32)), index(t % index(32))
        if across < lanes or down > 1:
            ty = index((warp // index(warps) * down + lane // index(across)) * vector)
            tx = index((warp % index(warps) * across + lane % index(across)) * vector)
        else:
            ty = index(t // index(lanes) * vector)
            tx = index(t % index(lanes) * vector)
        buffer = 0
        k = k0
        while k < k1 + depth:
            # Elements of the panel at k are loaded, those of the one before are multiplied.
            if k < k1:
                for i in range(a_parts):
                    load(a, index(weights + (k + a_k + i * a_skip) * pitch), a_next, i * a_vector)
                for i in range(b_loads):
                    look_up(table, index(2 * (k + b_k + i * b_skip)), entry, 0)
                    b_next[i] = zero
                    if (entry[1] & outside) == 0:
                        b_next[i] = work(b[index(first + entry[0])])
            if k > k0:
                last = index((buffer ^ 1) * depth)
                panel(
                    a_shared, index(last * rows + ty), b_shared, index(last * columns + tx),
                    a_own, b_own, total,
                )  # fmt: skip
            if k < k1:
                for i in range(a_parts):
                    load(
                        a_next, i * a_vector,
                        a_shared, (buffer * depth + a_k + i * a_skip) * rows + a_m,
                    )  # fmt: skip
                for i in range(b_loads):
                    b_shared[(buffer * depth + b_k + i * b_skip) * columns + b_n] = b_next[i]
            cuda.syncthreads()
            buffer ^= 1
            k = index(k + depth)

        # All places first: as one nest of loops this would not be unrolled, and `total` would lie
        # in memory.
        for h in range(own_columns):
            n = index(n0 + h // vector * column_step + tx + h % vector)
            places[h] = n
            if not partial and (not wide or h % vector == 0):
                image, od, oh, ow = split(n, out_d, out_h, out_w)
                places[h] = index(y_base + image * y_image + od * y_d + oh * y_h + ow * y_w)
        for i in range(own_rows):
            m = index(m0 + i // vector * row_step + ty + i % vector)
            if m < m_count:
                o = index(group * m_count + m)
                offset = zero
                if not partial and biased != 0:
                    offset = work(result(bias[o]))
                line = index(o * y_channel)
                if partial:
                    line = index((split_number * groups * m_count + o) * n_count)
                if wide:
                    for q in range(column_parts):
                        if index(n0 + q * column_step + tx) < n_count:
                            for h in range(vector):
                                b_own[q * vector + h] = work(
                                    total[i * own_columns + q * vector + h] + offset
                                )
                            copy(b_own, q * vector, out, index(line + places[q * vector]))
                else:
                    for h in range(own_columns):
                        if index(n0 + h // vector * column_step + tx + h % vector) < n_count:
                            out[index(line + places[h])] = result(
                                work(total[i * own_columns + h] + offset)
                            )

    return bounded(tiled_forward, tile.bounds)
