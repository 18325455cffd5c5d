"""SciPy's doors: convolution and correlation of `scipy.signal`, by its names, on our kernels.

``from numbaconv import signal`` instead of ``from scipy import signal`` is all that changes for
these functions. Floats are summed in float64, whole numbers wrap as SciPy's do. What our kernels
do not take is computed by SciPy itself; `route` says of a call who computes it, and the logger
``numbaconv.signal`` tells, too.

Examples
--------
>>> import numpy as np
>>> from numbaconv import signal
>>> signal.convolve2d(np.eye(3), np.ones((2, 2)), mode="same")
array([[1., 1., 0.],
       [1., 2., 1.],
       [0., 1., 2.]])
"""

from numbaconv.signal.doors import (
    choose_conv_method,
    convolve,
    convolve2d,
    correlate,
    correlate2d,
    route,
)

__all__ = ["choose_conv_method", "convolve", "convolve2d", "correlate", "correlate2d", "route"]
