"""The reference route where a patch is a pixel: the input is the column matrix already.

A 1x1 convolution of stride 1 without padding multiplies the image in place and writes the product
in place, so nothing is copied. Images of other strides go through one that is contiguous: the same
products in the same order, so the result does not depend on strides.
"""

from typing import Any

import numba
import numpy as np

from numbaconv.kernels import threads
from numbaconv.kernels.jit import kernel
from numbaconv.kernels.long_sums import LONGEST
from numbaconv.problem.arguments import LARGEST
from numbaconv.problem.arrays import Array, writeable
from numbaconv.problem.geometry import ConvGeometry
from numbaconv.reference.blas import multiply
from numbaconv.reference.problem import (
    Problem,
    image_by_image,
    kernels_as_columns,
    kernels_as_rows,
)

# Positions a task where positions are rows, and the least output channels a task where they are
# columns: the BLAS packs the image again for each block of outputs.
_POSITIONS = 512
_LEAST_OUTPUTS = 32
_OUTPUT_CUTS = 8


def fits(geometry: ConvGeometry) -> bool:
    """Return whether the problem is one product of matrices an image and group."""
    return (
        geometry.window.is_pointwise
        and not (geometry.channels_last and geometry.groups > 1)
        and geometry.window.positions <= LARGEST  # the BLAS counts in 32 bits
        and geometry.patch_size <= LONGEST
    )


def run(problem: Problem, parallel: bool) -> None:
    """Write the convolution to ``problem.out``."""
    if problem.x.flags.c_contiguous and problem.out.flags.c_contiguous:
        _run_in_place(problem, parallel)
        return
    for part in image_by_image(problem, problem.dtype, lambda array: array.flags.c_contiguous):
        _run_in_place(part, parallel)


def _run_in_place(problem: Problem, parallel: bool) -> None:
    geometry = problem.geometry
    groups, images = geometry.groups, problem.images
    positions = geometry.window.positions
    x, out = writeable(problem.x), problem.out
    outputs = geometry.out_channels // groups
    channels = geometry.in_channels // groups
    if geometry.channels_last:
        block = _POSITIONS
        tasks = images * -(-positions // block)
        function, matrix = _positions_by_outputs, kernels_as_columns(geometry, problem.weight)[0]
        x = x.reshape(images, positions, channels)
        out = out.reshape(images, positions, outputs)
    else:
        block = max(_LEAST_OUTPUTS, -(-outputs // _OUTPUT_CUTS))
        tasks = images * groups * -(-outputs // block)
        function, matrix = _outputs_by_positions, kernels_as_rows(geometry, problem.weight)
        x = x.reshape(images * groups, channels, positions)
        out = out.reshape(images * groups, outputs, positions)
    bias = np.empty(0, problem.dtype) if problem.bias is None else problem.bias
    workers = threads.worker_count(tasks, work=problem.products, parallel=parallel)
    matrix = writeable(np.ascontiguousarray(matrix))
    threads.run(function, workers, x, matrix, bias, block, out)


@kernel
def _outputs_by_positions(x: Array, matrix: Array, bias: Array, block: int, out: Array) -> None:
    groups, outputs = matrix.shape[0], matrix.shape[1]
    blocks = (outputs + block - 1) // block
    for index in numba.prange(x.shape[0] * blocks):
        task: Any = np.int64(index)
        image = task // blocks
        group = image % groups
        o0 = task % blocks * block
        o1 = min(o0 + block, outputs)
        target = out[image, o0:o1]
        multiply(matrix[group, o0:o1], x[image], target)
        if bias.size:
            for o in range(o0, o1):
                row = out[image, o]
                for j in range(row.size):
                    row[j] += bias[group * outputs + o]


@kernel
def _positions_by_outputs(x: Array, matrix: Array, bias: Array, block: int, out: Array) -> None:
    positions = x.shape[1]
    blocks = (positions + block - 1) // block
    for index in numba.prange(x.shape[0] * blocks):
        task: Any = np.int64(index)
        image = task // blocks
        l0 = task % blocks * block
        l1 = min(l0 + block, positions)
        target = out[image, l0:l1]
        multiply(x[image, l0:l1], matrix, target)
        if bias.size:
            for position in range(l1 - l0):
                row = target[position]
                for o in range(row.size):
                    row[o] += bias[o]
