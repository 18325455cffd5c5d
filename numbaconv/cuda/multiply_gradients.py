"""The tiled product of gradients and patches, summed over all positions of the batch.

As `numbaconv.cuda.multiply`, with positions as the summed dimension: a thread loads one position of
each panel, for rows of gradients and elements of patches that stay the same, so that it works out
once how far those elements lie from a patch's first.
"""

from typing import Any

from numba import cuda

from numbaconv.cuda import operands, tiles
from numbaconv.cuda.launch import bounded, factory
from numbaconv.cuda.multiply import panel_of
from numbaconv.cuda.tiles import ALIGNMENT, MOST, Tile, wider

#: The ints of `weight_sums`, in order.
NAMES = (
    # The product of each group: outputs, elements of a patch, positions, of which a block sums a
    # part; groups and the input channels of each.
    "rows", "columns", "summed", "part", "groups", "channels",
    # The input: where it begins, strides, sizes.
    "x_base", "x_image", "x_channel", "x_d", "x_h", "x_w", "depth", "height", "width",
    # The window: positions, taps, strides, dilation and low padding along each axis.
    "out_d", "out_h", "out_w", "taps_d", "taps_h", "taps_w", "stride_d", "stride_h", "stride_w",
    "dilation_d", "dilation_h", "dilation_w", "low_d", "low_h", "low_w",
    # The gradients: where they begin, strides.
    "y_base", "y_image", "y_channel", "y_d", "y_h", "y_w",
    # How far a thread's next position is, in digits of (image, d, h, w).
    "next_image", "next_d", "next_h", "next_w",
)  # fmt: skip


def may_be_flat(tile: Tile, masked: bool) -> bool:
    """Return whether `weight_sums` may leave an axis out: ptxas 13 then needs more registers."""
    return not masked or tile.rows != tile.columns


@factory
def weight_sums(
    tile: Tile,
    index: Any,
    work: Any,
    masked: bool,
    flat: bool,
    conjugated: str,
    long: bool = False,
) -> Any:
    """Return the kernel of gradients (M x K) times patches (K x N), K the output positions.

    The sums over each part of K are kept as ``(split, group, M, N)``, N the elements of a patch.
    `masked` says whether patches may reach into padding, which is of zeros; `flat` whether the
    first of three axes is of one position, one tap and no padding; `conjugated` which operand is:
    ``"x"``, ``"grad"`` or neither; `long` whether a part has too many terms for one sum of them.
    """
    rows, columns, depth = tile.rows, tile.columns, tile.depth
    own_rows, own_columns, threads = tile.thread_rows, tile.thread_columns, tile.threads
    vector = tiles.WIDTH // work(0).itemsize
    row_parts, column_parts = own_rows // vector, own_columns // vector
    row_step, column_step = rows // row_parts, columns // column_parts
    # Lanes that write one column of a panel fall into different banks of a pitch that is no
    # multiple of 128 bytes.
    a_pitch, b_pitch = rows + vector, columns + vector
    a_size, b_size = 2 * depth * a_pitch, 2 * depth * b_pitch
    a_loads, b_loads = rows * depth // threads, columns * depth // threads
    skip = threads // depth
    sums = own_rows * own_columns
    zero = work(0)
    wide = wider(work)
    nothing = wide(0)
    kept = sums if long else 1
    flip_x, flip_grad = conjugated == "x", conjugated == "grad"
    down, across = tile.warp
    lanes = columns // own_columns
    warps = lanes // across
    at = operands.functions(index, 0)
    quotient, split, inside = at.quotient, at.split, at.inside
    panel = panel_of(tile, a_pitch, b_pitch, work)

    def tiled_weight_sums(a: Any, b: Any, out: Any, p: Any) -> None:
        (
            m_count, n_count, k_count, part, groups, channels,
            x_base, x_image, x_channel, x_d, x_h, x_w, size_d, size_h, size_w,
            out_d, out_h, out_w, taps_d, taps_h, taps_w, stride_d, stride_h, stride_w,
            dilation_d, dilation_h, dilation_w, low_d, low_h, low_w,
            y_base, y_image, y_channel, y_d, y_h, y_w, next_image, next_d, next_h, next_w,
        ) = p  # fmt: skip
        a_shared = cuda.shared.array(a_size, work, alignment=ALIGNMENT)
        b_shared = cuda.shared.array(b_size, work, alignment=ALIGNMENT)
        total = cuda.local.array(sums, work)
        whole = cuda.local.array(kept, wide)
        a_own = cuda.local.array(own_rows, work, alignment=ALIGNMENT)
        b_own = cuda.local.array(own_columns, work, alignment=ALIGNMENT)
        a_next = cuda.local.array(a_loads, work)
        b_next = cuda.local.array(b_loads, work)
        far = cuda.local.array(b_loads, index)
        far_d = cuda.local.array(b_loads, index)
        far_h = cuda.local.array(b_loads, index)
        far_w = cuda.local.array(b_loads, index)
        for i in range(sums):
            total[i] = zero
            if long:
                whole[i] = nothing

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

        # What this thread loads: one position of each panel, for every skip-th row and column.
        t = index(cuda.threadIdx.x)
        own_k, line = index(t % index(depth)), index(t // index(depth))
        for i in range(b_loads):
            # Where there is no column any more, the last one is read again.
            n = index(min(n0 + line + i * skip, n_count - 1))
            c, kd, kh, kw = split(n, taps_d, taps_h, taps_w)
            dd, dh, dw = index(kd * dilation_d), index(kh * dilation_h), index(kw * dilation_w)
            far[i] = index(
                x_base + (group * channels + c) * x_channel + dd * x_d + dh * x_h + dw * x_w
            )
            if not flat:
                far_d[i] = dd
            far_h[i], far_w[i] = dh, dw
        # Where there is no row any more, the last one is read again.
        most = index(m_count - 1)
        row_place = index(y_base + group * m_count * y_channel)
        image, od, oh, ow = split(index(k0 + own_k), out_d, out_h, out_w)

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
            if k < k1:
                inside_k = index(k + own_k) < k1
                d0 = index(0) if flat else index(od * stride_d - low_d)
                h0 = index(oh * stride_h - low_h)
                w0 = index(ow * stride_w - low_w)
                place = index(row_place + image * y_image + oh * y_h + ow * y_w)
                first = index(image * x_image + h0 * x_h + w0 * x_w)
                if not flat:
                    place = index(place + od * y_d)
                    first = index(first + d0 * x_d)
                for i in range(a_loads):
                    a_next[i] = zero
                    if inside_k:
                        m = index(min(m0 + line + i * skip, most))
                        element = work(a[index(place + m * y_channel)])
                        if flip_grad:
                            element = element.conjugate()
                        a_next[i] = element
                for i in range(b_loads):
                    b_next[i] = zero
                    meets = inside_k
                    if masked:
                        meets = (
                            inside_k
                            and (flat or inside(index(d0 + far_d[i]), size_d))
                            and inside(index(h0 + far_h[i]), size_h)
                            and inside(index(w0 + far_w[i]), size_w)
                        )
                    if meets:
                        element = work(b[index(first + far[i])])
                        if flip_x:
                            element = element.conjugate()
                        b_next[i] = element
                ow = index(ow + next_w)
                oh = index(oh + next_h)
                image = index(image + next_image)
                if not flat:
                    od = index(od + next_d)
                if ow >= out_w:
                    ow = index(ow - out_w)
                    oh = index(oh + 1)
                if oh >= out_h:
                    oh = index(oh - out_h)
                    if flat:
                        image = index(image + 1)
                    else:
                        od = index(od + 1)
                if not flat and od >= out_d:
                    od = index(od - out_d)
                    image = index(image + 1)
            if k > k0:
                last = index((buffer ^ 1) * depth)
                panel(
                    a_shared, index(last * a_pitch + ty), b_shared, index(last * b_pitch + tx),
                    a_own, b_own, total,
                )  # fmt: skip
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

        first = index((split_number * groups + group) * m_count)
        for i in range(own_rows):
            m = index(m0 + i // vector * row_step + ty + i % vector)
            if m < m_count:
                for h in range(own_columns):
                    n = index(n0 + h // vector * column_step + tx + h % vector)
                    if n < n_count:
                        out[index((first + m) * n_count + n)] = total[i * own_columns + h]

    return bounded(tiled_weight_sums, tile.bounds)
