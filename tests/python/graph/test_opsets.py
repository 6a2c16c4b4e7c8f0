"""One network written in the operators of every opset from 7 on, loaded and compared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from graph_helpers import assert_same, conv_weight, feed, model, op, run, store, vector

from alcs_onnx.graph import conv_layers, load_model, serialize
from alcs_onnx.rewrite import rewrite

Rng = np.random.Generator
# Up to what both the onnx package and the runtime know: the runtime follows a little later.
OPSETS = range(7, min(22, onnx.defs.onnx_opset_version()) + 1)


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

    def add(self, op_type: str, *constants: str, name: str | None = None, **attributes: Any):
        output = f"{op_type}_{len(self.nodes)}"
        inputs = " ".join([self.tensor, *constants])
        self.nodes.append(op(op_type, inputs, output, name, **attributes))
        self.tensor = output

    def choose(self, since: int, op_type: str, values: dict[str, object], **attributes: Any):
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


@pytest.mark.parametrize("opset", OPSETS)
def test_every_opset_loads_and_means_the_same(tmp_path: Path, rng: Rng, opset: int) -> None:
    path = store(network(opset, rng), tmp_path)
    loaded = load_model(path)
    assert loaded.opset == max(13, opset)
    operators = [node.op_type for node in loaded.nodes]
    assert not {"BatchNormalization", "Dropout", "Pad", "Upsample"} & set(operators)
    assert [layer.name for layer in conv_layers(loaded)] == ["stem", "depthwise", "residual"]
    x = feed((1, 3, 12, 12), rng)
    expected = run(path, x, optimise=False)
    assert_same(run(serialize(loaded), x), expected)
    result = rewrite(loaded)
    assert [row.fused for row in result.layers] == [
        ("Clip",), ("LeakyRelu",), ("residual", "Relu"),
    ]  # fmt: skip
    written = serialize(result.model)
    onnx.checker.check_model(written, full_check=True)
    assert_same(run(written, x), expected)


def test_softmax_of_old_opsets_flattens(tmp_path: Path, rng: Rng) -> None:
    """Before opset 13 Softmax works on everything behind `axis` at once."""
    nodes = [op("Conv", "x w", "a", "conv"), op("Softmax", "a", "y", axis=1)]
    path = store(model(nodes, {"w": conv_weight(rng, 4, 3, 3, 3)}, opset=11), tmp_path)
    x = feed((1, 3, 8, 8), rng)
    assert_same(run(serialize(load_model(path)), x), run(path, x))


def test_large_weights_survive_the_upgrade(tmp_path: Path, rng: Rng) -> None:
    """Weights beyond what conversion sees keep their bytes."""
    weight = conv_weight(rng, 64, 3, 7, 7)
    path = store(model([op("Conv", "x w", "y", "conv")], {"w": weight}, opset=8), tmp_path)
    loaded = load_model(path)
    np.testing.assert_array_equal(loaded.initializers[conv_layers(loaded)[0].weight], weight)


def test_weights_listed_as_inputs(tmp_path: Path, rng: Rng) -> None:
    """IR version 3 demanded that; they are no inputs to anyone else."""
    proto = model([op("Conv", "x w", "y", "conv")], {"w": conv_weight(rng, 64, 3, 7, 7)}, opset=8)
    proto.ir_version = 3
    proto.graph.input.append(
        onnx.helper.make_tensor_value_info("w", onnx.TensorProto.FLOAT, [64, 3, 7, 7])
    )
    loaded = load_model(store(proto, tmp_path))
    assert [info.name for info in loaded.inputs] == ["x"]
    assert loaded.ir_version >= 8
    assert len(conv_layers(loaded)) == 1
