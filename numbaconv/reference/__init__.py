"""The method that the project is named for: input matrix, kernel matrix, one product, col2im.

An image of three channels, 3x3, and two kernels of 2x2, step by step. The *input matrix* has a
column for each of the four places where a kernel fits, with all that it covers there (`gather`):

>>> import numpy as np
>>> import numbaconv as nbc
>>> x = np.arange(27.0).reshape(1, 3, 3, 3)
>>> columns = nbc.im2col(x, 2)
>>> columns.shape
(1, 12, 4)
>>> columns[0, :4].astype(int)  # of the first channel: top left, top right, bottom left, ...
array([[0, 1, 3, 4],
       [1, 2, 4, 5],
       [3, 4, 6, 7],
       [4, 5, 7, 8]])

The *kernel matrix* has a row for each kernel, in the same order:

>>> kernels = np.ones((2, 3, 2, 2))
>>> kernels[1, :, 0, 0] = 2
>>> matrix = nbc.kernel_matrix(kernels)
>>> matrix.shape
(2, 12)

One product does all the arithmetic (`product`, by way of `numpy.dot`), and each result is a row:

>>> rows = np.dot(matrix, columns[0])
>>> rows.astype(int)
array([[132, 144, 168, 180],
       [159, 174, 204, 219]])

*col2im* (`fold`) puts columns back where their patches were. Patches of one element give the image
of the results; those of 2x2 overlap, and what meets is added, which makes it the adjoint:

>>> y = nbc.col2im(rows[None], (2, 2), 1)
>>> np.array_equal(y, nbc.conv2d(x, kernels, algorithm="im2col"))
True
>>> overlaps = nbc.col2im(np.ones_like(columns), (3, 3), 2)
>>> overlaps[0, 0].astype(int)
array([[1, 2, 1],
       [2, 4, 2],
       [1, 2, 1]])

``forward`` and ``pointwise`` are the route ``algorithm="im2col"``, which never holds the whole
input matrix but tiles of it; ``adjoint`` and ``weight_grad`` are its gradients; ``problem`` is a
geometry and its arrays as these take them, and ``blas`` keeps the library behind `numpy.dot` to one
thread where threads are shared. Imports from `problem`, `kernels`, `running` and `routes`.
"""
