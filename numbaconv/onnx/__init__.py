"""ONNX networks on NumPy: operators for `onnx.reference.ReferenceEvaluator` on our kernels.

The evaluator of the ONNX project runs a model node by node in NumPy, which is how models are
debugged and tested without a framework; with `OPS` its convolutions and pools are ours. Needs the
extra ``[onnx]``.

Examples
--------
>>> import numpy as np
>>> import onnx.parser
>>> import numbaconv.onnx
>>> model = onnx.parser.parse_model('''
...     <ir_version: 8, opset_import: ["": 17]>
...     blur (float[1, 1, h, w] x) => (float[1, 1, h, w] y)
...     <float[1, 1, 3, 3] weight = {1, 2, 1, 2, 4, 2, 1, 2, 1}>
...     { y = Conv<pads = [1, 1, 1, 1]>(x, weight) }''')
>>> network = numbaconv.onnx.evaluator(model)
>>> network.run(None, {"x": np.ones((1, 1, 3, 4), "float32")})[0]
array([[[[ 9., 12., 12.,  9.],
         [12., 16., 16., 12.],
         [ 9., 12., 12.,  9.]]]], dtype=float32)

The same by the evaluator's own way:

>>> from onnx.reference import ReferenceEvaluator
>>> network = ReferenceEvaluator(model, new_ops=numbaconv.onnx.OPS)
"""

from collections.abc import Iterable
from typing import Any

from onnx.reference import ReferenceEvaluator

from numbaconv.onnx.convolutions import Col2Im, Conv, ConvInteger, ConvTranspose, QLinearConv
from numbaconv.onnx.pools import (
    AveragePool,
    GlobalAveragePool,
    GlobalMaxPool,
    LpPool,
    MaxPool,
    MaxUnpool,
)

__all__ = ["OPS", "evaluator"]

#: The operators, of every version of the standard.
OPS = (
    Conv, ConvInteger, QLinearConv, ConvTranspose, Col2Im, MaxPool, AveragePool, GlobalMaxPool,
    GlobalAveragePool, LpPool, MaxUnpool,
)  # fmt: skip


def evaluator(model: Any, *, new_ops: Iterable[type] = (), **options: Any) -> Any:
    """Return ONNX's reference evaluator of a model, with our operators in it.

    Parameters
    ----------
    model : onnx.ModelProto, str, bytes or other
        What `onnx.reference.ReferenceEvaluator` takes: a model, its serialization or its path.
    new_ops : iterable of type, optional
        Further operators, before ours where both have one.
    **options
        Further arguments of `ReferenceEvaluator`, as ``verbose=1``.

    Returns
    -------
    onnx.reference.ReferenceEvaluator
        Its ``run(None, {name: array, ...})`` returns the outputs. A node whose weights stay the
        same array prepares them once.

    See Also
    --------
    OPS : The operators alone.
    """
    return _Evaluator(model, new_ops=[*new_ops], **options)


class _Evaluator(ReferenceEvaluator):  # type: ignore[misc]
    """The reference evaluator with our operators, in functions of the model and subgraphs, too."""

    def __init__(self, proto: Any, *arguments: Any, new_ops: Any = None, **options: Any) -> None:
        # An evaluator makes those of functions as its own class does, without `new_ops`.
        super().__init__(proto, *arguments, new_ops=[*(new_ops or ()), *OPS], **options)
