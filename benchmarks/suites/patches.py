"""im2col and col2im: both orientations, both layouts, and beside them a plain copy."""

import numpy as np
from numba import njit, prange

import numbaconv as nbc


@njit(parallel=True)
def copy(source, target):
    """Copy as many bytes as the column matrix has, the yardstick of both functions."""
    for i in prange(source.size):
        target[i] = source[i]


class Patches:
    """8x64x56x56 float32, 3x3, padding 1."""

    params = [["channels_first", "channels_last"], ["columns", "rows"]]
    param_names = ["layout", "patches"]

    def setup(self, layout, patches):
        shape = (8, 64, 56, 56) if layout == "channels_first" else (8, 56, 56, 64)
        self.x = np.random.default_rng(0).random(shape, dtype="f4")
        self.keywords = {"layout": layout, "patches": patches}
        self.cols = nbc.im2col(self.x, 3, 1, 1, **self.keywords)
        self.back = nbc.col2im(self.cols, (56, 56), 3, 1, 1, **self.keywords)
        self.flat, self.copied = self.cols.reshape(-1), np.ones(self.cols.size, "f4")
        copy(self.flat, self.copied)

    def time_im2col(self, layout, patches):
        nbc.im2col(self.x, 3, 1, 1, out=self.cols, **self.keywords)

    time_im2col.pretty_name = "im2col by layout"

    def time_col2im(self, layout, patches):
        nbc.col2im(self.cols, (56, 56), 3, 1, 1, out=self.back, **self.keywords)

    time_col2im.pretty_name = "col2im by layout"

    def time_copy(self, layout, patches):
        copy(self.flat, self.copied)

    time_copy.pretty_name = "A copy of as many bytes"


class Forms:
    """Windows that share nothing or little, in the forms that turn squares, float32."""

    shapes = {
        "2x2, stride 2": ((4, 64, 112, 112), (2, 2), {"stride": 2}),
        "16x16, stride 16": ((16, 3, 224, 224), (16, 16), {"stride": 16}),
        "7x7, stride 2": ((4, 3, 224, 224), (7, 7), {"stride": 2, "padding": 3}),
        "3x3 on 7x7": ((16, 512, 7, 7), (3, 3), {"padding": 1}),
    }
    params = [list(shapes), ["channels_first, rows", "channels_last, columns"]]
    param_names = ["shape", "form"]

    def setup(self, name, form):
        shape, self.kernel, keywords = self.shapes[name]
        layout, patches = form.split(", ")
        self.keywords = keywords | {"layout": layout, "patches": patches}
        self.x = np.random.default_rng(0).random(shape, dtype="f4")
        if layout == "channels_last":
            self.x = np.ascontiguousarray(np.moveaxis(self.x, 1, -1))
        self.cols = nbc.im2col(self.x, self.kernel, **self.keywords)
        self.size = shape[2:]
        self.back = nbc.col2im(self.cols, self.size, self.kernel, **self.keywords)

    def time_im2col(self, name, form):
        nbc.im2col(self.x, self.kernel, out=self.cols, **self.keywords)

    time_im2col.pretty_name = "im2col by form of patches"

    def time_col2im(self, name, form):
        nbc.col2im(self.cols, self.size, self.kernel, out=self.back, **self.keywords)

    time_col2im.pretty_name = "col2im by form of patches"


class Shapes:
    """One to three axes, strides and dilations, float32."""

    shapes = {
        "signal, kernel 9": ((8, 64, 4096), (9,), {"padding": 4}),
        "image, stride 2": ((8, 64, 56, 56), (3, 3), {"stride": 2, "padding": 1}),
        "image, dilation 2": ((8, 64, 56, 56), (3, 3), {"dilation": 2, "padding": 2}),
        "volume, 3x3x3": ((2, 16, 16, 28, 28), (3, 3, 3), {"padding": 1}),
    }
    params = [list(shapes)]
    param_names = ["shape"]

    def setup(self, name):
        shape, self.kernel, self.keywords = self.shapes[name]
        self.x = np.random.default_rng(0).random(shape, dtype="f4")
        self.cols = nbc.im2col(self.x, self.kernel, **self.keywords)
        self.back = nbc.col2im(self.cols, shape[2:], self.kernel, **self.keywords)

    def time_im2col(self, name):
        nbc.im2col(self.x, self.kernel, out=self.cols, **self.keywords)

    time_im2col.pretty_name = "im2col by shape"

    def time_col2im(self, name):
        nbc.col2im(self.cols, self.x.shape[2:], self.kernel, out=self.back, **self.keywords)

    time_col2im.pretty_name = "col2im by shape"
