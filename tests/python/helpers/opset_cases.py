"""Nodes of old opsets in models of their own, and whether an upgrade keeps what they compute."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from graph_helpers import run
from onnx import helper, numpy_helper

from alcs_onnx.graph.upgrade import NEWEST, upgrade

Array = np.ndarray
PLACES = ("graph", "branch", "function")


@dataclass(frozen=True)
class Case:
    """One node: `feeds` are given at run time, `constants` stand in the file.

    `inputs` are the node's, blanks between them and `-` for an absent one: by default feeds, then
    constants. It exists so from opset `since` up to `until`.
    """

    op_type: str
    since: int
    until: int
    feeds: Mapping[str, Array]
    constants: Mapping[str, Array] = field(default_factory=dict)
    attributes: Mapping[str, Any] = field(default_factory=dict)
    inputs: str = ""
    outputs: int = 1
    relative: float = 0.0

    @property
    def opsets(self) -> range:
        return range(max(7, self.since), self.until + 1)

    @property
    def is_not_float32(self) -> bool:
        return any(value.dtype in (np.float16, np.float64) for value in self.feeds.values())

    @property
    def output_names(self) -> list[str]:
        return [f"y{index}" for index in range(self.outputs)]

    def node(self) -> onnx.NodeProto:
        names = self.inputs.split() or [*self.feeds, *self.constants]
        inputs = ["" if name == "-" else name for name in names]
        return helper.make_node(
            self.op_type, inputs, self.output_names, f"a_{self.op_type}", **self.attributes
        )


def model_of(case: Case, opset: int, place: str = "graph") -> onnx.ModelProto:
    """The case as a model of `opset`: its node in the graph, an If branch or a local function."""
    constants = [numpy_helper.from_array(value, name) for name, value in case.constants.items()]
    nodes, feeds = [case.node()], dict(case.feeds)
    functions: list[onnx.FunctionProto] = []
    imports = [helper.make_opsetid("", opset)]
    if place == "branch":
        nodes = [_branches(nodes, case.output_names, constants)]
        constants, feeds = [], {**feeds, "condition": np.array(True)}
    elif place == "function":
        names = [*case.feeds, *case.constants]
        functions = [
            helper.make_function("test", "Inner", names, case.output_names, nodes, imports)
        ]
        nodes = [helper.make_node("Inner", names, case.output_names, "call", domain="test")]
        imports = [*imports, helper.make_opsetid("test", 1)]
    return _model(nodes, feeds, case.output_names, constants, imports, functions)


def _branches(
    nodes: Sequence[onnx.NodeProto], names: Sequence[str], constants: Sequence[onnx.TensorProto]
) -> onnx.NodeProto:
    """An If whose branches are both `nodes`, under names of their own."""
    graphs = []
    for branch in ("then", "else"):
        renamed = []
        for node in nodes:
            copy = onnx.NodeProto()
            copy.CopyFrom(node)
            copy.output[:] = [f"{branch}_{name}" for name in node.output]
            renamed.append(copy)
        outputs = [onnx.ValueInfoProto(name=f"{branch}_{name}") for name in names]
        graphs.append(helper.make_graph(renamed, branch, [], outputs, constants))
    return helper.make_node(
        "If", ["condition"], list(names), "choice", then_branch=graphs[0], else_branch=graphs[1]
    )


def _model(
    nodes: Sequence[onnx.NodeProto],
    feeds: Mapping[str, Array],
    names: Sequence[str],
    constants: Sequence[onnx.TensorProto],
    imports: Sequence[onnx.OperatorSetIdProto],
    functions: Sequence[onnx.FunctionProto],
) -> onnx.ModelProto:
    inputs = [
        helper.make_tensor_value_info(
            name, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape
        )
        for name, value in feeds.items()
    ]
    outputs = [onnx.ValueInfoProto(name=name) for name in names]
    graph = helper.make_graph(nodes, "test", inputs, outputs, constants)
    return helper.make_model(graph, opset_imports=imports, functions=functions, ir_version=8)


def feeds_of(case: Case, place: str) -> dict[str, Array]:
    return {**case.feeds, **({"condition": np.array(True)} if place == "branch" else {})}


def assert_upgrade_keeps(
    proto: onnx.ModelProto, feeds: Mapping[str, Array], relative: float = 0.0, target: int = NEWEST
) -> onnx.ModelProto:
    """Original and upgraded model give the same in ONNX Runtime; the upgraded one is returned."""
    expected = run(proto.SerializeToString(), feeds, optimise=False)
    before = proto.SerializeToString(deterministic=True)
    upgraded = upgrade(proto, target)
    assert proto.SerializeToString(deterministic=True) == before
    assert {o.domain: o.version for o in upgraded.opset_import}[""] == target
    declared = onnx.ModelProto()
    declared.CopyFrom(upgraded)
    for info, value in zip(declared.graph.output, expected, strict=True):
        info.CopyFrom(
            helper.make_tensor_value_info(
                info.name, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape
            )
        )
    onnx.checker.check_model(declared, full_check=True)
    for optimise in (False, True):
        actual = run(upgraded.SerializeToString(), feeds, optimise)
        for got, wanted in zip(actual, expected, strict=True):
            assert got.dtype == wanted.dtype
            assert got.shape == wanted.shape
            np.testing.assert_allclose(got, wanted, rtol=relative, atol=relative)
    return upgraded
