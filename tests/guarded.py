"""Arrays that end, or begin, at a page without access, so that one byte too far ends the process.

Kernels made of intrinsics are invisible to Numba's bounds checks. Run as a script: it convolves
random problems by one algorithm over such arrays (or lays out and folds their matrices) and prints
how many, if the process lives.
"""

import ctypes
import mmap
import sys

import numpy as np

PAGE = mmap.PAGESIZE
_libc = ctypes.CDLL(None, use_errno=True)


def guarded(array, *, at_end):
    """Return a copy of an array whose last (or first) byte touches a page without access."""
    pages = -(-array.nbytes // PAGE) + 2
    memory = mmap.mmap(-1, pages * PAGE)
    start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    for page in (0, pages - 1):
        address = ctypes.c_void_p(start + page * PAGE)
        if _libc.mprotect(address, ctypes.c_size_t(PAGE), 0):
            raise OSError(ctypes.get_errno(), "mprotect failed")
    offset = (pages - 1) * PAGE - array.nbytes if at_end else PAGE
    view = np.frombuffer(memory, array.dtype, array.size, offset).reshape(array.shape)
    view[...] = array
    return view


def problems(algorithm, seed):
    """Yield (x_shape, weight_shape, keywords) that the algorithm is likely to take."""
    rng = np.random.default_rng(seed)
    for _ in range(40):
        kernel = tuple(int(k) for k in rng.choice([1, 3, 5], 2))
        groups, channels = 1, int(rng.choice([1, 3, 17, 40]))
        keywords = {"padding": tuple((int(a), int(b)) for a, b in rng.integers(0, 4, (2, 2)))}
        if algorithm == "depthwise":
            groups, channels = int(rng.choice([1, 5, 20])), 1
        if algorithm != "winograd":
            kernel = tuple(int(k) for k in rng.integers(1, 6, 2))
            keywords["stride"] = tuple(int(s) for s in rng.integers(1, 4, 2))
            keywords["dilation"] = tuple(int(d) for d in rng.integers(1, 3, 2))
            keywords["layout"] = str(rng.choice(["channels_first", "channels_last"]))
        size = tuple(int(n) for n in rng.integers(9, 40, 2))
        outputs = groups * int(rng.choice([1, 2, 15, 33]))
        x, weight = (2, groups * channels, *size), (outputs, channels, *kernel)
        if keywords.get("layout") == "channels_last":
            x, weight = (2, *size, groups * channels), (*kernel, channels, outputs)
        yield x, weight, keywords | {"groups": groups, "algorithm": algorithm}


def matrices(dtype, seed):
    """Gather and fold over such arrays, in every form, and return how many problems that were."""
    import numbaconv as nbc

    rng, done = np.random.default_rng(seed), 0
    for _ in range(25):
        kernel, stride = (tuple(int(n) for n in rng.choice([1, 2, 3, 4, 9], 2)) for _ in range(2))
        if rng.random() < 0.3:
            stride = kernel
        padding = tuple((int(a), int(b)) for a, b in rng.integers(0, 3, (2, 2)))
        size = tuple(int(n) for n in rng.integers(9, 40, 2))
        window = (kernel, 1, padding if rng.random() < 0.7 else 0, stride)
        channels = int(rng.choice([1, 3, 17, 40]))
        for last in (False, True):
            shape = (2, *size, channels) if last else (2, channels, *size)
            x = rng.integers(-3, 4, shape).astype(dtype)
            for patches in ("columns", "rows"):
                form = {"patches": patches, "layout": "channels_last" if last else "channels_first"}
                plain = nbc.im2col(x, *window, **form)
                sums = nbc.col2im(plain, size, *window, **form)
                for at_end in (True, False):
                    cols = guarded(np.empty_like(plain), at_end=at_end)
                    nbc.im2col(guarded(x, at_end=at_end), *window, out=cols, **form)
                    np.testing.assert_array_equal(cols, plain)
                    out = guarded(np.empty_like(sums), at_end=at_end)
                    nbc.col2im(cols, size, *window, out=out, **form)
                    np.testing.assert_array_equal(out, sums)
        done += 1
    return done


def main(algorithm, dtype, seed):
    import numbaconv as nbc

    if algorithm == "matrices":
        print(matrices(dtype, seed))
        return

    done = 0
    rng = np.random.default_rng(seed)
    for x_shape, weight_shape, keywords in problems(algorithm, seed):
        x = rng.integers(-3, 4, x_shape).astype(dtype)
        weight = rng.integers(-3, 4, weight_shape).astype(dtype)
        try:
            plain = nbc.conv2d(x, weight, **keywords)
        except ValueError:
            continue  # a kernel larger than its input, or of a size that winograd does not take
        for at_end in (True, False):
            out = guarded(np.empty_like(plain), at_end=at_end)
            nbc.conv2d(
                guarded(x, at_end=at_end), guarded(weight, at_end=at_end), out=out, **keywords
            )
            np.testing.assert_array_equal(out, plain)
        done += 1
    print(done)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
