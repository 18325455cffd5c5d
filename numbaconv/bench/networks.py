"""The convolutions of an ONNX network: what it runs on an input of given shapes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
from onnx import helper

from numbaconv.bench.kinds import find, named
from numbaconv.bench.layers import Ints, Layer
from numbaconv.onnx import evaluator
from numbaconv.onnx.convolutions import Conv, layer_options
from numbaconv.problem.arrays import Array


class Convolution(NamedTuple):
    """A layer of a network.

    Attributes
    ----------
    layer : Layer
        What it computes.
    batch : int
        Of how many images.
    nodes : tuple of str
        The outputs of the nodes that compute the same, in the network's order.
    """

    layer: Layer
    batch: int
    nodes: tuple[str, ...]


def convolutions(path: Path, shapes: Mapping[str, Ints]) -> list[Convolution]:
    """Run a network once on random numbers; return its convolutions in float32.

    Parameters
    ----------
    path : Path
        The model.
    shapes : mapping of str to tuple of int
        Shapes of inputs whose own are open.

    Raises
    ------
    ValueError
        A shape is open, or an input has no such name.
    """
    model = onnx.load(path)
    found: dict[tuple[str, int], list[str]] = {}

    def record(node: Conv, attributes: dict[str, Any], *inputs: Any) -> tuple[Array, ...]:
        x, weight = inputs[:2]
        if x.dtype == np.float32:
            options = layer_options(attributes, x.shape, weight.shape)
            layer = named(
                "conv", x.shape[1], x.shape[2:], len(weight), weight.shape[2:],
                options["stride"], options["padding"], options["groups"], options["dilation"],
            )  # fmt: skip
            found.setdefault((layer.name, len(x)), []).append(node.output[0])
        return Conv.compute(node, attributes, *inputs)

    # The evaluator finds an operator by the name of its class.
    recorder = type("Conv", (Conv,), {"compute": record})
    evaluator(model, new_ops=[recorder]).run(None, _feeds(model.graph, shapes))
    return [Convolution(find(name), batch, tuple(nodes)) for (name, batch), nodes in found.items()]


def _feeds(graph: Any, shapes: Mapping[str, Ints]) -> dict[str, Array]:
    """Return random numbers for the inputs of a network."""
    constants = {tensor.name for tensor in graph.initializer}
    inputs = {value.name: value for value in graph.input if value.name not in constants}
    for name in shapes:
        if name not in inputs:
            raise ValueError(f"the network has no input {name!r}, but {', '.join(inputs)}")
    rng = np.random.default_rng(0)
    feeds = {}
    for name, value in inputs.items():
        kind = value.type.tensor_type
        own = [axis.dim_value or axis.dim_param for axis in kind.shape.dim]
        shape = shapes.get(name, own)
        if not all(isinstance(n, int) and n > 0 for n in shape):
            raise ValueError(f"input {name!r} has the open shape {own}: give it by --shape")
        dtype = helper.tensor_dtype_to_np_dtype(kind.elem_type)
        if dtype.kind == "f":
            feeds[name] = rng.standard_normal(shape, "float32").astype(dtype)
        else:
            feeds[name] = np.zeros(shape, dtype)
    return feeds
