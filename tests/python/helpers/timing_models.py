"""Tiny models for the tests of timing: built here, run in milliseconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper


def _model(
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[tuple[str, int, list[Any]]],
    outputs: Sequence[tuple[str, list[Any]]],
    weights: Mapping[str, npt.NDArray[np.float32]],
) -> bytes:
    graph = helper.make_graph(
        nodes,
        "timing",
        [helper.make_tensor_value_info(n, t, s) for n, t, s in inputs],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in outputs],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    opset = [helper.make_opsetid("", 13)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=8)
    return bytes(model.SerializeToString())


def small_network() -> bytes:
    """Four convolutions (one depthwise, one with a residual) and a pooling, 16x16 inputs."""
    generator = np.random.default_rng(0)
    normal = {
        "stem.weight": generator.standard_normal((8, 3, 3, 3)),
        "first.weight": generator.standard_normal((8, 8, 3, 3)),
        "second.weight": generator.standard_normal((8, 1, 3, 3)),
        "head.weight": generator.standard_normal((10, 8, 1, 1)),
    }
    weights = {name: (array * 0.2).astype(np.float32) for name, array in normal.items()}
    weights["zero"], weights["six"] = np.array(0, np.float32), np.array(6, np.float32)
    node = helper.make_node
    return _model(
        [
            node("Conv", ["x", "stem.weight"], ["s"], "stem", pads=[1] * 4),
            node("Relu", ["s"], ["sr"], "stem_relu"),
            node("Conv", ["sr", "first.weight"], ["f"], "first", pads=[1] * 4),
            node("Add", ["f", "sr"], ["fa"], "add"),
            node("Relu", ["fa"], ["far"], "add_relu"),
            node("Conv", ["far", "second.weight"], ["d"], "second", pads=[1] * 4, group=8),
            node("Clip", ["d", "zero", "six"], ["dc"], "clip"),
            node("Conv", ["dc", "head.weight"], ["h"], "head"),
            node("GlobalAveragePool", ["h"], ["y"], "pool"),
        ],
        [("x", TensorProto.FLOAT, [1, 3, 16, 16])],
        [("y", [1, 10, 1, 1])],
        weights,
    )


def one_convolution(out_channels: int, in_channels: int) -> bytes:
    """A 1x1 convolution named `only` on a [1, in_channels, 4, 4] input."""
    weight = np.ones((out_channels, in_channels, 1, 1), np.float32)
    return _model(
        [helper.make_node("Conv", ["x", "w"], ["y"], "only")],
        [("x", TensorProto.FLOAT, [1, in_channels, 4, 4])],
        [("y", [1, out_channels, 4, 4])],
        {"w": weight},
    )


def chain(length: int = 3, side: int = 32) -> bytes:
    """`length` Sigmoid nodes named n0, n1, ... on a [1, 4, side, side] input."""
    nodes = [helper.make_node("Sigmoid", [f"t{i}"], [f"t{i + 1}"], f"n{i}") for i in range(length)]
    shape = [1, 4, side, side]
    return _model(nodes, [("t0", TensorProto.FLOAT, shape)], [(f"t{length}", shape)], {})


def with_inputs(*inputs: tuple[str, int, list[Any]]) -> bytes:
    """A model that sums its inputs, cast to float, element by element (shapes must agree)."""
    nodes = [
        helper.make_node("Cast", [name], [f"{name}_f"], to=TensorProto.FLOAT)
        for name, _, _ in inputs
    ]
    nodes.append(helper.make_node("Sum", [f"{name}_f" for name, _, _ in inputs], ["y"]))
    return _model(nodes, inputs, [("y", inputs[0][2])], {})


def unknown_operator() -> bytes:
    """A valid file with an operator that no runtime has."""
    node = helper.make_node("NoSuchOperator", ["x"], ["y"], "odd")
    return _model([node], [("x", TensorProto.FLOAT, [1])], [("y", [1])], {})
