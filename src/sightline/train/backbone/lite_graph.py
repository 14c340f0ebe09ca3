"""EfficientNet-Lite as ONNX, written from the published weights without torch.

Batch norms are folded into the convolutions before them, as `models.efficientnet_lite` and torch's exporter do.
"""

from __future__ import annotations

import math

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from sightline.models.pretrained import (
    NORM_EPS,
    PIXEL_GAIN,
    PIXEL_MEAN,
    STAGES,
    TAPS,
    VARIANTS,
    Weights,
    lite_weights,
    scale_width,
)

OPSET = 18


class _Writer:
    """Nodes and numbers, in the order in which they are computed."""

    def __init__(self, weights: Weights) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.numbers: list[onnx.TensorProto] = []
        self._weights = weights

    def node(self, kind: str, inputs: list[str], name: str, **settings: object) -> str:
        self.nodes.append(helper.make_node(kind, inputs, [name], name, **settings))
        return name

    def number(self, name: str, values: NDArray[np.generic]) -> str:
        self.numbers.append(numpy_helper.from_array(values, name))
        return name

    def convolution(self, x: str, name: str, stride: int = 1, act: bool = True) -> str:
        """Convolution, batch norm and, where `act` is true, ReLU6."""
        kernel, bias = self._folded(name)
        size = kernel.shape[2]
        total = size - stride if stride > 1 else size - 1  # TensorFlow's SAME: the odd pixel right and below
        before, after = total // 2, total - total // 2
        inputs = [x, self.number(f"{name}.weight", kernel), self.number(f"{name}.bias", bias)]
        group = len(kernel) if name.endswith("depthwise") else 1
        pads, strides = [before, before, after, after], [stride, stride]
        y = self.node("Conv", inputs, name, group=group, kernel_shape=[size, size], pads=pads, strides=strides)
        return self.node("Clip", [y, "relu_least", "relu_most"], f"{name}.act") if act else y

    def _folded(self, name: str) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        norm = {key: self._weights[f"{name}.norm.{key}"] for key in ("weight", "bias", "running_mean", "running_var")}
        gain = norm["weight"] / np.sqrt(norm["running_var"] + np.float32(NORM_EPS))
        kernel = self._weights[f"{name}.conv.weight"] * gain[:, None, None, None]
        return kernel.astype(np.float32), (norm["bias"] - norm["running_mean"] * gain).astype(np.float32)

    def block(self, x: str, name: str, kernel_stride: int, expansion: int, skip: bool) -> str:
        """Inverted residual: expand 1x1, depthwise, project 1x1, with a skip where the shape is kept."""
        y = self.convolution(x, f"{name}.expand") if expansion > 1 else x
        y = self.convolution(y, f"{name}.depthwise", kernel_stride)
        y = self.convolution(y, f"{name}.project", act=False)
        return self.node("Add", [x, y], f"{name}.sum") if skip else y


def lite_onnx(variant: str) -> bytes:
    """Input `image` (N, H, W, 3) uint8, H and W multiples of 32; outputs `stride_4` to `stride_32`, (N, C, h, w)
    float32. Raises MissingExtraError or WeightsError where the weights are not at hand.
    """
    width, depth, _ = VARIANTS[variant]
    graph = _Writer(lite_weights(variant))
    limits = {"relu_least": 0.0, "relu_most": 6.0, "pixel_mean": PIXEL_MEAN, "pixel_gain": PIXEL_GAIN}
    for name, value in limits.items():
        graph.number(name, np.array(value, np.float32))
    x = graph.node("Transpose", ["image"], "planes", perm=[0, 3, 1, 2])
    x = graph.node("Cast", [x], "floats", to=TensorProto.FLOAT)
    x = graph.node("Sub", [x, "pixel_mean"], "centred")
    x = graph.node("Mul", [x, "pixel_gain"], "scaled")
    x = graph.convolution(x, "stem", 2)
    number, channels, outputs = 0, 32, []
    for index, (repeats, _, stride, expansion, base) in enumerate(STAGES):
        count = repeats if index in (0, len(STAGES) - 1) else math.ceil(repeats * depth)
        wanted = scale_width(base, width)
        for turn in range(count):
            step = stride if turn == 0 else 1
            x = graph.block(x, f"blocks.{number}", step, expansion, step == 1 and channels == wanted)
            number, channels = number + 1, wanted
        if index in TAPS:
            name = graph.node("Identity", [x], f"stride_{TAPS[index]}")
            shape = ["N", channels, f"{name}_h", f"{name}_w"]
            outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", "H", "W", 3])
    written = helper.make_graph(graph.nodes, variant, [image], outputs, graph.numbers)
    model = helper.make_model(written, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())
