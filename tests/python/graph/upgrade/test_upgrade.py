"""Raising a whole model: what stays, names over all scopes, functions, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from graph_helpers import conv_weight, model, op, run, store, vector
from onnx import TensorProto, helper
from opset_cases import assert_upgrade_keeps
from opset_network import network

from alcs_onnx.errors import UnsupportedError
from alcs_onnx.graph.upgrade import NEWEST, TARGET, upgrade
from alcs_onnx.graph.upgrade.registry import upgrades

Rng = np.random.Generator
SHAPE = (2, 3, 6, 6)


def _feed(rng: Rng) -> dict[str, np.ndarray]:
    return {"x": rng.standard_normal(SHAPE).astype(np.float32)}


@pytest.mark.parametrize("opset", [TARGET, TARGET + 1, onnx.defs.onnx_opset_version()])
def test_newer_models_are_left_as_they_are(opset: int) -> None:
    proto = model([op("Relu", "x", "y")], {}, opset=opset)
    assert upgrade(proto) is proto


def test_other_nodes_stay_message_for_message(rng: Rng) -> None:
    """Texts, unknown operators and the order of attributes included."""
    nodes = [
        op("Conv", "x w", "a", "conv", strides=[1, 1], kernel_shape=[3, 3]),
        op("Clip", "a", "b", "clip", min=0.0, max=6.0),
        op("Softmax", "b", "c", axis=1),
        op("LeakyRelu", "c", "y", alpha=0.5),
    ]
    nodes[0].doc_string = "the first one"
    nodes[1].doc_string = "the changed one"
    proto = model(nodes, {"w": conv_weight(rng, 4, 3, 3, 3)}, SHAPE, opset=9)
    proto.producer_name, proto.doc_string = "somebody", "text"
    helper.set_model_props(proto, {"key": "value"})
    proto.graph.value_info.append(helper.make_tensor_value_info("b", TensorProto.FLOAT, None))
    upgraded = assert_upgrade_keeps(proto, _feed(rng), 1e-6, TARGET)
    by_output = {node.output[0]: node for node in upgraded.graph.node}
    for node in (nodes[0], nodes[2], nodes[3]):
        assert by_output[node.output[0]] == node
    clip = by_output["b"]
    assert (clip.name, clip.doc_string, list(clip.attribute)) == ("clip", "the changed one", [])
    without_nodes = [onnx.ModelProto(), onnx.ModelProto()]
    for copy, source in zip(without_nodes, (proto, upgraded), strict=True):
        copy.CopyFrom(source)
        del copy.graph.node[:], copy.opset_import[:]
    assert without_nodes[0] == without_nodes[1]


def test_a_mask_that_nobody_reads_is_left_out(rng: Rng) -> None:
    """Old exporters declare it, and of a type that it does not have any more."""
    proto = model([op("Dropout", "x", "d mask"), op("Relu", "d", "y")], {}, SHAPE, opset=7)
    mask = helper.make_tensor_value_info("mask", TensorProto.FLOAT, SHAPE)
    proto.graph.value_info.append(mask)
    upgraded = assert_upgrade_keeps(proto, _feed(rng))
    assert [node.op_type for node in upgraded.graph.node] == ["Dropout", "Relu"]


def _branch(name: str, *nodes: onnx.NodeProto) -> onnx.GraphProto:
    return helper.make_graph(nodes, name, [], [onnx.ValueInfoProto(name=nodes[-1].output[0])])


def test_nested_branches_and_names_over_all_scopes(rng: Rng) -> None:
    """New tensors have names that are free in the graph and in every branch."""
    inner = op("If", "flag", "u", "inner",
               then_branch=_branch("p", op("Clip", "x", "p0", "clip", min=0.5)),
               else_branch=_branch("q", op("Pad", "x", "q0", "clip", pads=[0] * 8)))  # fmt: skip
    outer = op("If", "flag", "v", "outer",
               then_branch=_branch("t", inner, op("Clip", "u", "t0", "clip", max=0.7)),
               else_branch=_branch("e", op("Identity", "x", "clip_max")))  # fmt: skip
    nodes = [op("Clip", "x", "clip_min", "clip", min=-0.25), outer, op("Add", "v clip_min", "y")]
    proto = model(nodes, {}, opset=8, inputs={"x": SHAPE, "flag": ()})
    proto.graph.input[1].type.tensor_type.elem_type = TensorProto.BOOL
    for flag in (True, False):
        upgraded = assert_upgrade_keeps(proto, {**_feed(rng), "flag": np.array(flag)})
    made: list[str] = []

    def collect(graph: onnx.GraphProto) -> None:
        for node in graph.node:
            made.extend(node.output)
            for attribute in node.attribute:
                if attribute.HasField("g"):
                    collect(attribute.g)

    collect(upgraded.graph)
    assert len(made) == len(set(made))


def test_local_functions_with_attributes_of_the_caller(rng: Rng) -> None:
    """An attribute that the caller gives becomes a constant that the caller gives."""
    nodes = [op("Clip", "a", "b"), op("Slice", "b", "c", axes=[2, 3]), op("TopK", "c", "d i")]
    references = [(0, "max", "top", "FLOAT"), (1, "starts", "begin", "INTS"),
                  (1, "ends", "end", "INTS"), (2, "k", "count", "INT")]  # fmt: skip
    for index, name, reference, kind in references:
        nodes[index].attribute.append(
            onnx.AttributeProto(name=name, ref_attr_name=reference, type=kind)
        )
    names = [reference for _, _, reference, _ in references]
    imports = [helper.make_opsetid("", 9)]
    function = helper.make_function("own", "Cut", ["a"], ["d"], nodes, imports, names)
    call = op("Cut", "x", "y", domain="own", top=0.5, begin=[1, 0], end=[5, 4], count=2)
    proto = model([call], {}, SHAPE, opset=9, domains={"own": 1})
    proto.functions.append(function)
    for target in (TARGET, NEWEST):
        upgraded = assert_upgrade_keeps(proto, _feed(rng), target=target)
        assert [o.version for o in upgraded.functions[0].opset_import] == [target]


def test_a_function_of_a_newer_opset_stays(rng: Rng) -> None:
    imports = [helper.make_opsetid("", 13)]
    function = helper.make_function("own", "F", ["a"], ["b"], [op("Relu", "a", "b")], imports)
    proto = model([op("F", "x", "c", domain="own"), op("Clip", "c", "y", max=0.5)], {}, SHAPE,
                  opset=10, domains={"own": 1})  # fmt: skip
    proto.functions.append(function)
    assert upgrade(proto).functions[0] == function


def test_scales_that_round_between_float_and_double(rng: Rng) -> None:
    """5 * 2.6 is 13 in float32 and below it in double; the runtime computes in float32."""
    for opset, name in ((9, "Upsample"), (10, "Resize")):
        weights = {"s": np.array([1, 1, 2.6, 2.6], np.float32)}
        proto = model([op(name, "x s", "y")], weights, ("N", 3, "H", "W"), opset=opset)
        feeds = {"x": rng.standard_normal((2, 3, 5, 5)).astype(np.float32)}
        expected = run(proto.SerializeToString(), feeds)
        assert expected[0].shape == (2, 3, 13, 13)
        np.testing.assert_array_equal(run(upgrade(proto).SerializeToString(), feeds), expected)


def test_constants_hidden_by_a_branch_are_not_taken_for_known(rng: Rng) -> None:
    """Scales of the same name in a branch are others, which only the run tells."""

    def branch(name: str, factor: float) -> onnx.GraphProto:
        two = np.array([1, 1, factor, factor], np.float32)
        return helper.make_graph(
            [op("Mul", "half h", f"s_{name}"), op("Resize", f"x s_{name}", f"o_{name}")], name,
            [], [onnx.ValueInfoProto(name=f"o_{name}")], [onnx.numpy_helper.from_array(two, "h")],
        )  # fmt: skip

    choice = op("If", "flag", "y", then_branch=branch("t", 0.8), else_branch=branch("e", 3.5))
    proto = model([choice], {"half": np.array([1, 1, 0.5, 0.5], np.float32)}, opset=10,
                  inputs={"x": SHAPE, "flag": ()})  # fmt: skip
    proto.graph.input[1].type.tensor_type.elem_type = TensorProto.BOOL
    for flag in (True, False):
        assert_upgrade_keeps(proto, {**_feed(rng), "flag": np.array(flag)})


@pytest.mark.parametrize("opset", range(1, 7))
def test_opsets_before_the_oldest_are_converted_first(rng: Rng, opset: int) -> None:
    """ONNX Runtime does not promise these any more; this network means the same in it as in 7."""

    def network(old: bool) -> onnx.ModelProto:
        extra = {"broadcast": 1} if old else {}
        nodes = [
            op("Conv", "x w", "a", "conv", kernel_shape=[3, 3]),
            op("Add", "a b", "c", "add", **extra),
            op("Relu", "c", "d"),
            op("Dropout", "d", "e", "drop", **({"is_test": 1} if old else {})),
            op("MaxPool", "e", "y", kernel_shape=[2, 2]),
        ]
        weights = {"w": weight, "b": bias}
        proto = model(nodes, weights, SHAPE, opset=opset if old else 7)
        helper.set_model_props(proto, {"key": "value"})
        return proto

    weight, bias = conv_weight(rng, 4, 3, 3, 3), vector(rng, 64).reshape(4, 4, 4)
    feeds = _feed(rng)
    upgraded = upgrade(network(old=True))
    np.testing.assert_array_equal(
        run(upgraded.SerializeToString(), feeds),
        run(network(old=False).SerializeToString(), feeds),
    )
    assert [entry.value for entry in upgraded.metadata_props] == ["value"]


def test_what_cannot_be_raised_is_named() -> None:
    def refusal(node: onnx.NodeProto, opset: int, *more: str) -> str:
        proto = model([node], {name: np.ones(3, np.float32) for name in more}, SHAPE, opset=opset)
        with pytest.raises(UnsupportedError) as error:
            upgrade(proto)
        assert "\n" not in str(error.value)
        return str(error.value)

    assert refusal(op("Cast", "x", "y", "turn", to="FLOAT"), 5) == (
        "opset 5 cannot be raised to 7, the oldest that is read: node 'turn' (Cast) has no "
        "conversion; export the model again"
    )
    added = op("Add", "x s", "y", "bias", broadcast=1, axis=1)
    assert "node 'bias' (Add) has no conversion" in refusal(added, 6, "s")
    norm = op("BatchNormalization", "x s s s s", "y m v", "norm", spatial=0)
    assert refusal(norm, 7, "s").startswith("node 'norm' (BatchNormalization): spatial=0")


def test_a_rule_is_registered_once() -> None:
    with pytest.raises(ValueError, match="Clip has two upgrade rules for opsets before 11"):
        upgrades("Clip", below=11)(lambda node: None)


def test_large_external_weights_are_not_read(rng: Rng, tmp_path: Path) -> None:
    """Scales in another file cannot be seen; the node is right for any."""
    proto = model([op("Resize", "x s", "y")], {"s": np.array([1, 1, 2, 0.5], np.float32)}, SHAPE,
                  opset=10)  # fmt: skip
    feeds = _feed(rng)
    expected = run(store(proto, tmp_path, "inside.onnx"), feeds)
    path = tmp_path / "model.onnx"
    onnx.save(proto, path, save_as_external_data=True, size_threshold=0, location="weights")
    outside = onnx.load(path, load_external_data=False)
    assert outside.graph.initializer[0].external_data
    upgraded = store(upgrade(outside), tmp_path, "upgraded.onnx")
    np.testing.assert_array_equal(run(upgraded, feeds), expected)


@pytest.mark.parametrize("opset", range(7, NEWEST))
def test_a_whole_network_rises_to_the_newest(rng: Rng, opset: int) -> None:
    proto = network(opset, rng)
    upgraded = assert_upgrade_keeps(
        proto, {"x": rng.standard_normal((2, 3, 12, 12)).astype(np.float32)}, 1e-5
    )
    assert upgraded.opset_import[0].version == NEWEST
