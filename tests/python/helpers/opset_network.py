"""One network written in the operators of every opset from 7 on."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from graph_helpers import conv_weight, model, op, run, vector
from onnxruntime.capi.onnxruntime_pybind11_state import Fail

Rng = np.random.Generator


def _newest() -> int:
    """What both the onnx package and the runtime know: the runtime follows a little later."""
    for opset in range(onnx.defs.onnx_opset_version(), 13, -1):
        try:
            run(model([op("Relu", "x", "y")], {}, (1,), opset=opset).SerializeToString(),
                {"x": np.zeros(1, np.float32)})  # fmt: skip
        except Fail:
            continue
        return opset
    raise AssertionError("the runtime knows no opset")


OPSETS = range(7, _newest() + 1)


class Writer:
    """Writes operators the way a given opset wants them: attributes or inputs."""

    def __init__(self, opset: int):
        self.opset = opset
        self.nodes: list[onnx.NodeProto] = []
        self.weights: dict[str, np.ndarray] = {}
        self.tensor = "x"

    def constant(self, value: object) -> str:
        name = f"const_{len(self.weights)}"
        self.weights[name] = np.asarray(value)
        return name

    def add(
        self, op_type: str, *constants: str, name: str | None = None, **attributes: Any
    ) -> None:
        output = f"{op_type}_{len(self.nodes)}"
        inputs = " ".join([self.tensor, *constants])
        self.nodes.append(op(op_type, inputs, output, name, **attributes))
        self.tensor = output

    def choose(
        self, since: int, op_type: str, values: dict[str, object], **attributes: Any
    ) -> None:
        """Attributes before opset `since`, inputs in that order from it on."""
        if self.opset < since:
            plain = {k: np.asarray(v).tolist() for k, v in values.items()}
            self.add(op_type, **plain, **attributes)
        else:
            self.add(op_type, *(self.constant(v) for v in values.values()), **attributes)

    def upsample(self) -> None:
        scales = np.array([1, 1, 2, 2], np.float32)
        if self.opset < 9:
            self.add("Upsample", scales=scales.tolist(), mode="nearest")
        elif self.opset == 9:
            self.add("Upsample", self.constant(scales), mode="nearest")
        elif self.opset == 10:
            self.add("Resize", self.constant(scales), mode="nearest")
        else:
            extra = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
            roi = "-" if self.opset >= 13 else self.constant(np.zeros(0, np.float32))
            self.add("Resize", roi, self.constant(scales), mode="nearest", **extra)

    def slice(self) -> None:
        if self.opset < 10:
            self.add("Slice", starts=[1, 0], ends=[9, 8], axes=[2, 3])
        else:
            bounds = ([1, 0], [9, 8], [2, 3])
            self.add("Slice", *(self.constant(np.array(v)) for v in bounds))


def network(opset: int, rng: Rng) -> onnx.ModelProto:
    w = Writer(opset)
    w.choose(11, "Pad", {"pads": np.array([0, 0, 1, 1, 0, 0, 1, 1])}, mode="constant")
    w.add("Conv", w.constant(conv_weight(rng, 8, 3, 3, 3)), name="stem", kernel_shape=[3, 3])
    norm = [vector(rng, 8, 0.5, 2), vector(rng, 8), vector(rng, 8), vector(rng, 8, 0.2, 2)]
    spatial: dict[str, Any] = {"spatial": 1} if opset < 9 else {}
    w.add("BatchNormalization", *map(w.constant, norm), epsilon=1e-4, **spatial)
    w.choose(11, "Clip", {"min": np.float32(0), "max": np.float32(6)})
    w.choose(12, "Dropout", {"ratio": np.float32(0.5)})
    w.add("Conv", w.constant(conv_weight(rng, 8, 1, 3, 3)), name="depthwise", group=8,
          strides=[2, 2], pads=[1, 1, 1, 1])  # fmt: skip
    w.add("LeakyRelu", alpha=0.1)
    w.upsample()
    w.slice()
    shortcut = w.tensor
    w.add("Conv", w.constant(conv_weight(rng, 8, 8, 3, 3)), name="residual", auto_pad="SAME_UPPER")
    w.add("Add", shortcut)
    w.add("Relu")
    w.add("AveragePool", kernel_shape=[2, 2], strides=[2, 2], pads=[1, 0, 0, 1],
          count_include_pad=1)  # fmt: skip
    w.choose(13, "Unsqueeze", {"axes": np.array([4])})
    w.choose(13, "Squeeze", {"axes": np.array([4])})
    w.choose(18, "ReduceMean", {"axes": np.array([2, 3])}, keepdims=1)
    w.add("Flatten")
    w.add("Gemm", w.constant(conv_weight(rng, 5, 8)), w.constant(vector(rng, 5)), transB=1)
    w.add("Softmax", axis=1)
    w.nodes[-1].output[0] = "y"
    return model(w.nodes, w.weights, ("N", 3, 12, 12), opset=opset)
