"""What our operators share as nodes of an evaluator: names in errors, types that NumPy lacks."""

from typing import Any

import numpy as np
from onnx.reference.op_run import OpRun

from numbaconv.problem.arrays import Array

# What is raised again with the node's name. NumPy has errors of its own below these.
_ERRORS = (TypeError, ValueError, MemoryError, ArithmeticError)


def wide(x: Any) -> Any:
    """Return bfloat16 and its like as float32, which they are computed in."""
    return x if x is None or x.dtype.kind != "V" else x.astype(np.float32)


class Node(OpRun):  # type: ignore[misc]
    """An operator of ONNX's standard domain."""

    op_domain = ""

    def compute(self, attributes: dict[str, Any], *inputs: Any) -> tuple[Array, ...]:
        """Return the outputs; results in float32 are rounded to what the first input was."""
        raise NotImplementedError

    def _run(self, *inputs: Any, **attributes: Any) -> tuple[Array, ...]:
        arrays = [None if x is None else np.asarray(x) for x in inputs]
        results = self.compute(attributes, *arrays)
        small = arrays[0].dtype if arrays[0] is not None else None
        if small is None or small.kind != "V":
            return results
        return tuple(y.astype(small) if y.dtype == np.float32 else y for y in results)

    def run(self, *inputs: Any, **keywords: Any) -> tuple[Array, ...]:
        """Return the outputs; errors name the node."""
        try:
            results: tuple[Array, ...] = super().run(*inputs, **keywords)
        except _ERRORS as error:
            # The evaluator puts a TypeError of its own before ours.
            cause = error.__cause__
            first = cause if isinstance(cause, TypeError | AttributeError) else error
            kind = next((k for k in _ERRORS if isinstance(first, k)), TypeError)
            node = self.onnx_node
            name = f" {node.name!r}" if node.name else ""
            output = f", output {node.output[0]!r}" if node.output else ""
            raise kind(f"node{name} ({node.op_type}{output}): {first}") from error
        return results
