"""Nothing of a file is lost on its way through onnx-graphsurgeon."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_graphsurgeon as gs
import pytest
from graph_helpers import conv_weight, model, op, store, vector
from onnx import TensorProto, helper, numpy_helper
from zoo import NETWORKS
from zoo.handmade import GRAPHS

from alcs_onnx.errors import ModelError
from alcs_onnx.graph import GraphEditor, Model, constant, load_model
from alcs_onnx.graph.surgeon import as_value, export_model, import_model, write_node

Rng = np.random.Generator
Kind = onnx.AttributeProto


def said(node: onnx.NodeProto) -> onnx.NodeProto:
    """What a runtime reads of `node`, in one way to write it."""
    plain = onnx.NodeProto(
        name=node.name,
        op_type=node.op_type,
        domain="" if node.domain == "ai.onnx" else node.domain,
        input=node.input,
        output=node.output,
    )
    for attribute in sorted(node.attribute, key=lambda a: a.name):
        copy = plain.attribute.add()
        copy.CopyFrom(attribute)
        if attribute.type in (onnx.AttributeProto.TENSOR,):
            copy.doc_string = ""
            copy.t.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(attribute.t)))
    return plain


def assert_lossless(proto: onnx.ModelProto) -> None:
    """Message for message as it is; and node for node if all were written anew."""
    before = proto.SerializeToString(deterministic=True)
    graph = import_model(proto)
    assert export_model(graph).SerializeToString(deterministic=True) == before
    assert proto.SerializeToString(deterministic=True) == before, "the file itself was changed"
    for node, message in zip(graph.nodes, proto.graph.node, strict=True):
        rewritten = write_node(replace(as_value(node)))
        assert rewritten is not message
        assert said(rewritten) == said(message)


def without_weights(path: Path) -> onnx.ModelProto:
    return onnx.load(path, load_external_data=False)


def test_real_models(shared: Path) -> None:
    files = sorted([*(shared / "models").glob("*.onnx"), *(shared / "cases").glob("*.onnx")])
    assert len(files) > 40
    for path in files:
        assert_lossless(without_weights(path))


@pytest.mark.parametrize("name", GRAPHS)
def test_zoo(name: str) -> None:
    assert_lossless(GRAPHS[name]())


@pytest.mark.parametrize("name", NETWORKS)
def test_torch_networks(name: str, torch_network: Callable[..., bytes]) -> None:
    assert_lossless(onnx.load_from_string(torch_network(name)))


def body(output: str, *nodes: onnx.NodeProto) -> onnx.GraphProto:
    """A subgraph with all that graphsurgeon would forget of one; its result has four axes."""
    graph = helper.make_graph(
        list(nodes),
        "body",
        [],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, ["N", None, 8, "W"])],
        doc_string="a branch",
        value_info=[helper.make_tensor_value_info("nobody", TensorProto.FLOAT8E4M3FN, ["M"])],
    )
    graph.metadata_props.add(key="where", value="inside")
    return graph


def sparse(name: str, index_shape: tuple[int, ...] = (2,)) -> onnx.SparseTensorProto:
    values = numpy_helper.from_array(np.array([1, 2], np.float16), name)
    places = np.arange(np.prod(index_shape)).reshape(index_shape)
    return helper.make_sparse_tensor(values, numpy_helper.from_array(places), [4, 4])


def attribute(name: str, kind: Kind.AttributeType, **fields: Any) -> onnx.AttributeProto:
    return onnx.AttributeProto(name=name, type=kind, **fields)


TEXTS = np.array(["ä", ""], object)
INT4 = helper.make_tensor("", TensorProto.INT4, [3], [-8, 7, 1])
#: Attributes of every kind, and those that are easily lost.
ATTRIBUTES = {
    "float": helper.make_attribute("a", 0.1),
    "int": helper.make_attribute("a", -(2**40)),
    "string": helper.make_attribute("a", "größer"),
    "no text": attribute("a", Kind.STRING, s=b"\xff\xfe"),
    "empty string": attribute("a", Kind.STRING, s=b""),
    "floats": helper.make_attribute("a", [0.1, float("inf")]),
    "ints": helper.make_attribute("a", [1, -1]),
    "strings": helper.make_attribute("a", ["x", ""]),
    "no texts": attribute("a", Kind.STRINGS, strings=[b"x", b"\x80"]),
    "empty ints": attribute("a", Kind.INTS),
    "tensor": helper.make_attribute("a", numpy_helper.from_array(np.ones((0, 2), np.int8))),
    "strings tensor": helper.make_attribute("a", numpy_helper.from_array(TEXTS)),
    "int4 tensor": helper.make_attribute("a", INT4),
    "bfloat16": helper.make_attribute("a", helper.make_tensor("", 16, [2], [1.5, -2.0])),
    "float8": helper.make_attribute("a", helper.make_tensor("", 18, [1], [0.5])),
    "tensors": attribute("a", Kind.TENSORS, tensors=[INT4, INT4]),
    "graph": helper.make_attribute("a", body("q", op("Neg", "x", "q"))),
    "graphs": attribute("a", Kind.GRAPHS, graphs=[body("q", op("Neg", "x", "q"))]),
    "sparse": attribute("a", Kind.SPARSE_TENSOR, sparse_tensor=sparse("v")),
    "sparse tensors": attribute("a", Kind.SPARSE_TENSORS, sparse_tensors=[sparse("v")]),
    "type": helper.make_attribute("a", helper.make_tensor_type_proto(1, ["N", None])),
    "types": attribute("a", Kind.TYPE_PROTOS, type_protos=[helper.make_tensor_type_proto(1, [])]),
    "reference": attribute("a", Kind.INTS, ref_attr_name="pads"),
}


@pytest.mark.parametrize("kind", ATTRIBUTES)
def test_attributes(kind: str) -> None:
    node = op("Odd", "x -", "- y", "odd")
    node.domain = "other"
    node.attribute.append(ATTRIBUTES[kind])
    assert_lossless(model([node], {}, domains={"other": 1}))


def test_lists_of_unknown_type_take_that_of_the_operator() -> None:
    """An empty list does not show what it is a list of."""
    graph = import_model(model([op("Reverse", "x", "y")], {}))
    empty = attribute("value_floats", Kind.FLOATS)
    graph = import_model(model([onnx.NodeProto(op_type="Constant", attribute=[empty])], {}))
    written = write_node(replace(as_value(graph.nodes[0])))
    assert written.attribute[0].type == Kind.FLOATS


@pytest.mark.parametrize(
    "tensor",
    [
        TensorProto(dims=[1], data_type=99, raw_data=b"\0"),
        TensorProto(dims=[2], data_type=TensorProto.FLOAT, raw_data=b"\0"),
    ],
    ids=["unknown type", "too short"],
)
def test_a_node_that_cannot_be_read_is_named(tensor: TensorProto, tmp_path: Path) -> None:
    proto = model([op("Relu", "x", "a", "fine"), op("Constant", "", "c", "odd")], {}, outputs="a c")
    proto.graph.node[1].attribute.append(attribute("value", Kind.TENSOR, t=tensor))
    with pytest.raises(ModelError, match=r"node 'odd' \(Constant\): a tensor in its attributes"):
        load_model(store(proto, tmp_path), needs_conv=False)


def test_changes_of_an_imported_graph_are_written() -> None:
    graph = import_model(model([op("Softmax", "x", "y", "soft", axis=1)], {}))
    graph.nodes[0].attrs["axis"] = 2
    written = export_model(graph).graph.node[0]
    assert [a.i for a in written.attribute] == [2]


def nasty(rng: Rng) -> onnx.ModelProto:
    """A model with everything that graphsurgeon alone would lose."""
    choose = op("If", "c", "m", then_branch=body("p", op("Neg", "b", "p")),
                else_branch=body("q", op("Mine", "r w", "q")))  # fmt: skip
    nodes = [
        op("Conv", "x w", "r", doc_string="the first"),
        op("Relu", "r", "b", "twice"),
        choose,
        op("Mine", "m -", "- y", "twice"),
        op("Neg", "dead", "unused"),
    ]
    nodes[3].domain, nodes[1].domain = "mine", "ai.onnx"
    nodes[0].metadata_props.add(key="from", value="torch")
    nodes[0].overload = "one"
    proto = model(nodes, {"w": conv_weight(rng, 4, 3, 3, 3), "lonely": vector(rng, 3),
                          "c": np.array(True), "text": np.array(["ä"], object)},
                  domains={"mine": 3, "spare": 1})  # fmt: skip
    graph = proto.graph
    proto.producer_name, proto.producer_version, proto.model_version = "me", "1.2", 7
    proto.doc_string, proto.domain, graph.doc_string = "all", "org.me", "of it"
    proto.metadata_props.add(key="author", value="me")
    graph.metadata_props.add(key="inner", value="too")
    annotation = graph.quantization_annotation.add(tensor_name="r")
    annotation.quant_parameter_tensor_names.add(key="SCALE_TENSOR", value="lonely")
    graph.sparse_initializer.extend([sparse("s"), sparse("t", (2, 2))])
    shapes: Iterable[list[int | str | None] | None] = (["N", 3, None, 0], [], None)
    for index, shape in enumerate(shapes):
        graph.input.append(helper.make_tensor_value_info(f"in{index}", 1, shape, "why"))
        graph.value_info.append(helper.make_tensor_value_info(f"v{index}", 16, shape))
    graph.input.append(helper.make_tensor_value_info("w", 1, [4, "C", 3, 3]))  # a weight as well
    graph.input.append(helper.make_tensor_sequence_value_info("list", 1, ["N"]))
    optional = helper.make_optional_type_proto(helper.make_tensor_type_proto(1, ["N"]))
    graph.input.append(helper.make_value_info("maybe", optional))
    graph.output.append(onnx.ValueInfoProto(name="r", doc_string="untyped"))
    graph.initializer[1].doc_string = "nothing reads it"
    graph.initializer[1].external_data.add(key="location", value="elsewhere")
    graph.initializer[1].data_location = TensorProto.EXTERNAL
    imports = [helper.make_opsetid("", 17)]
    inner = [op("Relu", "a", "b"), op("LeakyRelu", "b", "c")]
    inner[1].attribute.append(attribute("alpha", Kind.FLOAT, ref_attr_name="slope"))
    function = helper.make_function("mine", "Mine", ["a"], ["c"], inner, imports, ["slope"])
    function.doc_string = "a function"
    function.value_info.append(helper.make_tensor_value_info("b", 1, ["N"]))
    proto.functions.append(function)
    return proto


def test_a_whole_nasty_model(rng: Rng, capfd: pytest.CaptureFixture[str]) -> None:
    assert_lossless(nasty(rng))
    assert capfd.readouterr() == ("", ""), "graphsurgeon printed"


def test_graphsurgeon_alone_would_lose_it(rng: Rng) -> None:
    """So that what is mended can go once the library does it."""
    proto = nasty(rng)
    proto.graph.node[2].attribute.append(ATTRIBUTES["types"])
    del proto.graph.input[-2:]  # it cannot write optional ones at all
    alone = gs.export_onnx(gs.import_onnx(proto), do_type_check=False)
    assert not alone.metadata_props
    assert not alone.graph.node[0].doc_string
    assert "lonely" not in {tensor.name for tensor in alone.graph.initializer}
    assert len(alone.graph.node[2].attribute) < len(proto.graph.node[2].attribute)


@pytest.fixture
def branched(tmp_path: Path, rng: Rng) -> Model:
    """An If that captures what a Relu computes, whose condition is only known at run time."""
    proto = model(
        [
            op("Relu", "x", "a", "first"),
            op("Identity", "a", "b", "copy"),
            op("ReduceMax", "x", "m", "most", keepdims=0),
            op("Greater", "m zero", "c", "positive"),
            op("If", "c", "y", "choose", then_branch=body("p", op("Neg", "b", "p")),
               else_branch=body("q", op("Exp", "b", "q"))),
        ],
        {"zero": np.array(0, np.float32)},
    )  # fmt: skip
    return load_model(store(proto, tmp_path), needs_conv=False)


def test_a_node_reads_what_its_subgraphs_capture(branched: Model) -> None:
    graph = GraphEditor(branched)
    choose, captured = graph.node("choose"), graph.tensor("b")
    assert graph.consumers(captured) == (choose,)
    assert captured.outputs.count(choose) == 2
    assert choose.reads(captured) == 0
    assert choose.input(1) is None
    assert not graph.bypass(graph.node("copy"), graph.tensor("a"))
    assert graph.drop_unused() == 0
    assert graph.snapshot().nodes == branched.nodes


def test_untouched_nodes_stay_the_values_that_they_were(branched: Model) -> None:
    graph = GraphEditor(branched)
    graph.node("most").attrs["keepdims"] = 1
    before = {node.name: node for node in branched.nodes}
    for node in graph.snapshot().nodes:
        assert (node is before[node.name]) == (node.name != "most")
        assert (node.message is None) == (node.name == "most")


def test_nodes_equal_themselves_only(branched: Model) -> None:
    one, other = GraphEditor(branched), GraphEditor(branched)
    assert one.node("first") != other.node("first")
    assert len({one.node("first"), other.node("first"), one.node("first")}) == 2


def test_deep_graphs_are_sorted(tmp_path: Path) -> None:
    """graphsurgeon's own sorting is recursive, and ends in an error here."""
    count = 1500
    nodes = [op("Neg", f"t{i}" if i else "x", f"t{i + 1}", f"n{i}") for i in range(count)]
    proto = model(nodes[::-1], {}, outputs=f"t{count}")
    loaded = load_model(store(proto, tmp_path), needs_conv=False)
    assert [node.name for node in loaded.nodes] == [f"n{i}" for i in range(count)]


def test_constants_are_values(tmp_path: Path, rng: Rng) -> None:
    weights = {"w": conv_weight(rng, 4, 3, 3, 3)}
    loaded = load_model(store(model([op("Conv", "x w", "y", "conv")], weights), tmp_path))
    graph = GraphEditor(loaded)
    assert constant(graph.tensor("w")) is loaded.initializers["w"]
    assert constant(graph.tensor("x")) is None
    assert graph.node("conv").constant(1) is loaded.initializers["w"]
