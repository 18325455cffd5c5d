"""One engine in a process of its own: reads a layer's name a line, answers with its times.

Run by `numbaconv.bench.compare` as ``python -m numbaconv.bench.engine ENGINE``. A line is ``NAME
BATCH SECONDS``; the answer is a line of JSON: the least and the median time of a call in seconds,
or null where the engine cannot run the layer. Every engine computes in float32 with lower
precisions off (or in the layer's own dtype), from a NumPy array in channels-first layout to another
one, with 2 threads.
"""

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from numbaconv.bench import kinds
from numbaconv.bench.layers import Layer
from numbaconv.problem.arrays import Array
from numbaconv.problem.types import Algorithm

THREADS = 2

Call = Callable[[], Any]


def _prepared(algorithm: Algorithm) -> Callable[[Layer, Array, Array], Call]:
    """Return what makes a call of numbaconv with prepared weights."""

    def make(layer: Layer, x: Array, weight: Array) -> Call:
        import numbaconv as nbc

        kind = {1: nbc.Conv1d, 2: nbc.Conv2d, 3: nbc.Conv3d}[layer.ndim]
        prepared = kind(weight, algorithm=algorithm, **layer.keywords)
        return lambda: prepared(x)

    return make


def numbaconv_plain(layer: Layer, x: Array, weight: Array) -> Call | None:
    """Return a call of numbaconv's function, which packs the weights in each call."""
    import numbaconv as nbc

    function = {1: nbc.conv1d, 2: nbc.conv2d, 3: nbc.conv3d}[layer.ndim]
    keywords = layer.keywords
    return lambda: function(x, weight, **keywords)


def torch(layer: Layer, x: Array, weight: Array) -> Call | None:
    """Return a call of PyTorch's eager function."""
    import torch

    if not layer.is_symmetric:  # its functions take one number for both sides
        return None
    torch.set_num_threads(THREADS)
    torch.set_grad_enabled(False)
    functional = torch.nn.functional
    function = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}[layer.ndim]
    a, b = torch.from_numpy(x), torch.from_numpy(weight)
    keywords = layer.keywords
    return lambda: function(a, b, **keywords)


def onnxruntime(layer: Layer, x: Array, weight: Array) -> Call | None:
    """Return a call of ONNX Runtime's CPU provider."""
    import onnx
    import onnxruntime as ort
    from onnx import helper

    if x.dtype != "float32":
        return None
    lows, highs = zip(*layer.pads, strict=True)
    node = helper.make_node(
        "Conv", ["x", "w"], ["y"], strides=layer.stride, group=layer.groups,
        pads=[*lows, *highs], dilations=layer.dilation,
    )  # fmt: skip
    float32 = onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        [node], "layer", [helper.make_tensor_value_info("x", float32, x.shape)],
        [helper.make_tensor_value_info("y", float32, None)],
        [onnx.numpy_helper.from_array(weight, "w")],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    options = ort.SessionOptions()
    options.intra_op_num_threads = THREADS
    options.log_severity_level = 3
    session = ort.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return lambda: session.run(None, {"x": x})


def openvino(layer: Layer, x: Array, weight: Array) -> Call | None:
    """Return a call of OpenVINO's CPU plugin, in float32."""
    import openvino as ov
    from openvino import opset8

    if x.dtype != "float32":
        return None
    data = opset8.parameter(x.shape, ov.Type.f32)
    lows, highs = zip(*layer.pads, strict=True)
    window = tuple(list(axes) for axes in (layer.stride, lows, highs, layer.dilation))
    if layer.groups > 1:
        shape = (layer.groups, layer.outputs // layer.groups, *weight.shape[1:])
        node = opset8.group_convolution(data, opset8.constant(weight.reshape(shape)), *window)
    else:
        node = opset8.convolution(data, opset8.constant(weight), *window)
    compiled = ov.Core().compile_model(
        ov.Model([node], [data]), "CPU",
        {"INFERENCE_NUM_THREADS": THREADS, "INFERENCE_PRECISION_HINT": "f32",
         "PERFORMANCE_HINT": "LATENCY"},
    )  # fmt: skip
    request = compiled.create_infer_request()
    return lambda: request.infer({0: x}, share_inputs=True, share_outputs=True)


def ncnn(layer: Layer, x: Array, weight: Array) -> Call | None:
    """Return a call of ncnn, image by image, lower precisions off."""
    import ncnn
    import numpy as np

    if x.dtype != "float32" or layer.ndim != 2 or not layer.is_symmetric:
        return None
    depthwise = layer.groups > 1
    kind = "ConvolutionDepthWise" if depthwise else "Convolution"
    options = {
        0: layer.outputs, 5: 0, 6: weight.size,
        1: layer.kernel[1], 2: layer.dilation[1], 3: layer.stride[1], 4: layer.padding[1],
        11: layer.kernel[0], 12: layer.dilation[0], 13: layer.stride[0], 14: layer.padding[0],
    }  # fmt: skip
    if depthwise:
        options[7] = layer.groups
    values = " ".join(f"{k}={v}" for k, v in options.items())
    param = f"7767517\n2 2\nInput in 0 1 x\n{kind} conv 1 1 x y {values}\n"
    net = ncnn.Net()
    net.opt.num_threads = THREADS
    net.opt.use_vulkan_compute = False
    for name in ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic",
                 "use_bf16_storage", "use_int8_inference"):  # fmt: skip
        if hasattr(net.opt, name):
            setattr(net.opt, name, False)
    folder = Path(tempfile.mkdtemp())
    (folder / "layer.param").write_text(param)
    # A tag of four zero bytes says that the weights follow as float32.
    (folder / "layer.bin").write_bytes(b"\0\0\0\0" + weight.tobytes())
    net.load_param(str(folder / "layer.param"))
    net.load_model(str(folder / "layer.bin"))

    def call() -> Any:
        results = []
        for image in x:
            extractor = net.create_extractor()
            extractor.input("x", ncnn.Mat(image))
            results.append(np.array(extractor.extract("y")[1]))
        return results[0][None] if len(results) == 1 else np.stack(results)

    return call


ENGINES = {
    "numbaconv": _prepared("auto"), "numbaconv plain": numbaconv_plain,
    "numbaconv im2col": _prepared("im2col"), "numbaconv direct": _prepared("direct"),
    "torch": torch, "onnxruntime": onnxruntime,
    "openvino": openvino, "ncnn": ncnn,
}  # fmt: skip


def measure(call: Call, seconds: float) -> tuple[float, float]:
    """Return the least and the median time of a call."""
    call()
    call()
    times: list[float] = []
    begin = time.perf_counter()
    while len(times) < 3 or time.perf_counter() - begin < seconds:
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return min(times), statistics.median(times)


def main() -> None:
    """Answer until the input ends."""
    make = ENGINES[sys.argv[1]]
    calls: dict[tuple[str, str], Call | None] = {}
    for line in sys.stdin:
        name, batch, seconds = line.rstrip("\n").rsplit(" ", 2)
        key = name, batch
        if key not in calls:
            calls.clear()  # the layers before are done with
            layer = kinds.find(name)
            calls[key] = make(layer, *layer.arrays(int(batch)))
        call = calls[key]
        print(json.dumps(None if call is None else measure(call, float(seconds))), flush=True)


if __name__ == "__main__":
    main()
