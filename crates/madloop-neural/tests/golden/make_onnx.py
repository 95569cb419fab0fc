"""Writes pooled.onnx and unpooled.onnx, two tiny networks, and onnx.json: what onnxruntime makes of an image, for tests/vision.rs.

    pip install onnx onnxruntime numpy pillow
    python make_onnx.py
"""

import json
from importlib.metadata import version

import numpy as np
import onnx
import onnxruntime
from make_vision import image, pil, units
from onnx import TensorProto, helper, numpy_helper

SIDE = 24


def network(name, pooled):
    weights = numpy_helper.from_array(units(1, 5 * 3 * 3 * 3).astype(np.float32).reshape(5, 3, 3, 3), "w")
    bias = numpy_helper.from_array(units(2, 5).astype(np.float32), "b")
    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["c"], strides=[2, 2], pads=[1, 1, 1, 1], dilations=[1, 1], kernel_shape=[3, 3]),
        helper.make_node("Relu", ["c"], ["r"]),
    ]
    if pooled:
        nodes += [helper.make_node("GlobalAveragePool", ["r"], ["p"]), helper.make_node("Flatten", ["p"], ["y"], axis=1)]
        out = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 5])
    else:
        nodes[-1].output[0] = "y"
        out = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 5, SIDE // 2, SIDE // 2])
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, SIDE, SIDE])
    graph = helper.make_graph(nodes, name, [x], [out], [weights, bias])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, f"{name}.onnx")


network("pooled", True)
network("unpooled", False)
mean, deviation = np.array([0.485, 0.456, 0.406]) * 255, np.array([0.229, 0.224, 0.225]) * 255
x = (pil(image(0, 64, 64), SIDE) - mean[:, None, None]) / deviation[:, None, None]
y = onnxruntime.InferenceSession("pooled.onnx").run(None, {"x": x.astype(np.float32)})[0]
versions = {name: version(name) for name in ("onnx", "onnxruntime")}
with open("onnx.json", "w") as to:
    json.dump({"versions": versions, "features": [float(f"{v:.9g}") for v in y[0]]}, to)
    to.write("\n")
