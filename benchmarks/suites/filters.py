"""SciPy's filters by its names, and pools, over an image."""

import numpy as np


class Filters:
    """An image of 1500x2100 through `numbaconv.ndimage`, SciPy's own beside it."""

    params = [
        ["correlate 5x5", "gaussian_filter 3", "uniform_filter 31", "maximum_filter 9"],
        ["float32", "uint8"],
        ["numbaconv", "scipy"],
    ]
    param_names = ["filter", "dtype", "library"]

    def setup(self, name, dtype, library):
        if library == "scipy":
            from scipy import ndimage
        else:
            try:
                from numbaconv import ndimage
            except ImportError:
                raise NotImplementedError("commits before SciPy's doors") from None
        rng = np.random.default_rng(0)
        x = (200 * rng.random((1500, 2100))).astype(dtype)
        weights = rng.random((5, 5))
        self.call = {
            "correlate 5x5": lambda: ndimage.correlate(x, weights),
            "gaussian_filter 3": lambda: ndimage.gaussian_filter(x, 3),
            "uniform_filter 31": lambda: ndimage.uniform_filter(x, 31),
            "maximum_filter 9": lambda: ndimage.maximum_filter(x, 9),
        }[name]
        self.call()

    def time_filter(self, name, dtype, library):
        self.call()

    time_filter.pretty_name = "SciPy's filters"


class Pools:
    """Pools over 8x64x56x56."""

    params = [["max 2", "max 3, stride 2", "max 13", "mean 3", "mean 13", "mean of all"]]
    param_names = ["pool"]

    def setup(self, name):
        import numbaconv as nbc

        x = np.random.default_rng(0).standard_normal((8, 64, 56, 56), "float32")
        self.call = {
            "max 2": lambda: nbc.max_pool2d(x, 2),
            "max 3, stride 2": lambda: nbc.max_pool2d(x, 3, 2, 1),
            "max 13": lambda: nbc.max_pool2d(x, 13, 1, 6),
            "mean 3": lambda: nbc.avg_pool2d(x, 3, 1, 1),
            "mean 13": lambda: nbc.avg_pool2d(x, 13, 1, 6),
            "mean of all": lambda: nbc.avg_pool2d(x, 56),
        }[name]
        self.call()

    def time_pool(self, name):
        self.call()

    time_pool.pretty_name = "Pools"
