"""What our operators share as nodes of an evaluator: names in errors, types that NumPy lacks."""

from typing import Any

import numpy as np
from onnx.reference.op_run import OpRun

from numbaconv.problem.arrays import Array


class Node(OpRun):  # type: ignore[misc]
    """An operator of ONNX's standard domain."""

    op_domain = ""

    def compute(self, attributes: dict[str, Any], *inputs: Any) -> tuple[Array, ...]:
        """Return the outputs."""
        raise NotImplementedError

    def _run(self, *inputs: Any, **attributes: Any) -> tuple[Array, ...]:
        # bfloat16 and its like are computed in float32 and rounded once.
        small = [x.dtype for x in inputs if x is not None and x.dtype.kind == "V"]
        if not small:
            return self.compute(attributes, *inputs)
        wide = (
            x if x is None or x.dtype.kind != "V" else x.astype(np.float32) for x in inputs
        )  # fmt: skip
        results = self.compute(attributes, *wide)
        return tuple(y.astype(small[0]) if y.dtype == np.float32 else y for y in results)

    def run(self, *inputs: Any, **keywords: Any) -> tuple[Array, ...]:
        """Return the outputs; errors name the node."""
        try:
            results: tuple[Array, ...] = super().run(*inputs, **keywords)
        except (TypeError, ValueError, MemoryError) as error:
            # The evaluator puts a TypeError of its own before ours.
            cause = error.__cause__
            first = cause if isinstance(cause, TypeError | AttributeError) else error
            node = self.onnx_node
            name = f" {node.name!r}" if node.name else ""
            message = f"node{name} ({node.op_type}, output {node.output[0]!r}): {first}"
            raise type(first)(message) from error
        return results
