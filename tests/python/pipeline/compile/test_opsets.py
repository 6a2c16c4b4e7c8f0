"""Files of every opset, compiled: what is written computes what the original does."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from graph_helpers import assert_same, conv_weight, feed, model, op, run, store, vector
from onnx import TensorProto, helper
from opset_network import OPSETS, network

import alcs_onnx
from alcs_onnx.graph.upgrade import TARGET

Rng = np.random.Generator
SHAPE = ("N", 3, 12, 12)


def _compiled(path: Path, feeds: Mapping[str, Any], opset: int) -> onnx.ModelProto:
    """The file that `compile` writes, after it gave what the original gives."""
    out = path.with_name("compiled.onnx")
    alcs_onnx.compile_model(path, out)
    assert_same(run(out, feeds), run(path, feeds, optimise=False))
    written = onnx.load(out)
    onnx.checker.check_model(written, full_check=True)
    versions = {entry.domain: entry.version for entry in written.opset_import}
    assert versions[""] == max(opset, TARGET)
    assert any(node.op_type == "SimdSparseConv" for node in written.graph.node)
    return written


@pytest.mark.parametrize("opset", OPSETS)
def test_every_opset_compiles(tmp_path: Path, rng: Rng, opset: int) -> None:
    _compiled(store(network(opset, rng), tmp_path), feed((2, 3, 12, 12), rng), opset)


def _branch(name: str, *nodes: onnx.NodeProto) -> onnx.GraphProto:
    return helper.make_graph(nodes, name, [], [onnx.ValueInfoProto(name=nodes[-1].output[0])])


def _scales(*values: float) -> dict[str, Any]:
    return {"s": np.array([1, 1, *values], np.float32)}


def _softmax_in_branches() -> list[onnx.NodeProto]:
    choice = op("If", "flag", "y", then_branch=_branch("t", op("Softmax", "a", "p", axis=1)),
                else_branch=_branch("e", op("Hardmax", "a", "q", axis=2)))  # fmt: skip
    return [op("ReduceSum", "a", "sum", keepdims=0), op("Greater", "sum zero", "flag"), choice]


#: Nodes that read `a` of [N, 4, 12, 12], and give `y`, in an opset where they mean something else.
CHANGED: dict[str, tuple[int, list[onnx.NodeProto], dict[str, Any]]] = {
    "upsample": (8, [op("Upsample", "a", "y", scales=[1.0, 1, 1.5, 2])], {}),
    "upsample linear": (9, [op("Upsample", "a s", "y", mode="linear")], _scales(2, 1.5)),
    "resize down": (10, [op("Resize", "a s", "y", mode="nearest")], _scales(0.7, 0.7)),
    "resize both ways": (10, [op("Resize", "a s", "y", mode="nearest")], _scales(0.6, 1.4)),
    "softmax": (11, [op("Softmax", "a", "y")], {}),
    "softmax of newer files too": (12, [op("Softmax", "a", "y", axis=2)], {}),
    "hardmax": (11, [op("Hardmax", "a", "y", axis=1)], {}),
    "log softmax": (7, [op("LogSoftmax", "a", "y", axis=1)], {}),
    "branches": (11, _softmax_in_branches(), {"zero": np.float32(0)}),
    "clip in front": (10, [op("Clip", "a", "y", min=-0.5, max=0.5)], {}),
    "mask": (7, [op("Dropout", "a", "d m"), op("Add", "d m", "y")], {}),
}


@pytest.mark.parametrize("kind", CHANGED)
def test_operators_that_changed_keep_what_they_mean(tmp_path: Path, rng: Rng, kind: str) -> None:
    opset, nodes, weights = CHANGED[kind]
    conv = op("Conv", "x w b", "a", "conv", pads=[1, 1, 1, 1])
    weights = {"w": conv_weight(rng, 4, 3, 3, 3), "b": vector(rng, 4), **weights}
    path = store(model([conv, *nodes], weights, SHAPE, opset=opset), tmp_path)
    _compiled(path, feed((2, 3, 12, 12), rng), opset)


@pytest.mark.parametrize("opset", [7, 8])
def test_normalisation_of_each_position(tmp_path: Path, rng: Rng, opset: int) -> None:
    """spatial=0: a mean and a variance for each position, weights listed as inputs."""
    nodes = [
        op("Conv", "x w", "a", "conv", pads=[1, 1, 1, 1]),
        op("BatchNormalization", "a scale bias mean var", "y", spatial=0, epsilon=1e-3),
    ]
    sizes = {"scale": (0.5, 1), "bias": (-1, 1), "mean": (-1, 1), "var": (0.5, 2)}
    weights = {name: vector(rng, 4 * 144, *ends).reshape(4, 12, 12) for name, ends in sizes.items()}
    proto = model(nodes, {"w": conv_weight(rng, 4, 3, 3, 3), **weights}, SHAPE, opset=opset)
    proto.ir_version = 3
    proto.graph.input.extend(
        helper.make_tensor_value_info(tensor.name, TensorProto.FLOAT, tensor.dims)
        for tensor in proto.graph.initializer
    )
    _compiled(store(proto, tmp_path), feed((2, 3, 12, 12), rng), opset)


@pytest.mark.parametrize(
    "name",
    [
        "WRONG_opset10_resize_nearest_downscale",
        "WRONG_opset11_hardmax_axis1",
        "refused_opset7_batchnorm_spatial0",
        "refused_opset11_softmax_inside_If_branches_shape_inference",
    ],
)
def test_models_that_went_wrong(shared: Path, tmp_path: Path, rng: Rng, name: str) -> None:
    source = shared / "cases" / f"{name}.onnx"
    if not source.exists():
        pytest.skip(f"no {source.name} in the shared folder")
    proto = onnx.load(source)
    opset = proto.opset_import[0].version
    _compiled(store(proto, tmp_path), feed((1, 3, 24, 24), rng), opset)
