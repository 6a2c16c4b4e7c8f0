"""Where the changed nodes of a model meet what else a file may have."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from coupling_helpers import random_keep
from graph_helpers import assert_same, conv_weight, feed, model, op, run, store, vector
from onnx import TensorProto, helper, numpy_helper
from reporters import Recorder
from users_file import changed_constants, changes, new_nodes

from alcs_onnx import coupling
from alcs_onnx.errors import ModelError
from alcs_onnx.graph import Model, load_model, save_model, serialize
from alcs_onnx.graph.file_graph import node_reads
from alcs_onnx.graph.sorting import stable_order
from alcs_onnx.rewrite import compile_sparse, masked, random_model, shrink
from alcs_onnx.sparse_format import OP_DOMAIN

Rng = np.random.Generator
SHAPE = ("N", 3, 8, 8)


def written(loaded: Model) -> onnx.ModelProto:
    return onnx.load_from_string(serialize(loaded))


def compiled(proto: onnx.ModelProto, folder: Path, rng: Rng) -> onnx.ModelProto:
    """What is written of `proto` compiled, after it was found to compute and be the same."""
    path = store(proto, folder)
    data = serialize(compile_sparse(load_model(path)).model)
    x = feed((2, *SHAPE[1:]), rng)
    assert_same(run(data, x), run(path, x, optimise=False))
    result = onnx.load_from_string(data)
    onnx.checker.check_model(result, full_check=True)
    assert not changes(proto, result)
    return result


def smaller(proto: onnx.ModelProto, folder: Path, rng: Rng) -> onnx.ModelProto:
    """What is written of `proto` with fewer channels, after the same."""
    loaded = load_model(store(proto, folder))
    analysed = coupling.analyse(loaded)
    keep = random_keep(analysed, rng)
    assert keep
    small = shrink(loaded, analysed, keep)
    x = feed((2, *SHAPE[1:]), rng)
    data = serialize(small)
    assert_same(run(data, x), run(serialize(masked(loaded, analysed, keep)), x))
    result = onnx.load_from_string(data)
    onnx.checker.check_model(result, full_check=True)
    assert not changes(proto, result, changed_constants(small))
    return result


def ops(graph: onnx.GraphProto) -> list[str]:
    return [node.op_type for node in graph.node]


def two_results(rng: Rng, *calls: onnx.NodeProto, outputs: str) -> onnx.ModelProto:
    """A file with a function that has a convolution inside and two results, `u` and of it `v`."""
    body = [op("Conv", "a w", "c"), op("Relu", "c", "u"), op("Sigmoid", "u", "v")]
    plain = [op("Exp", "a", "u"), op("Neg", "u", "v")]
    proto = model(calls, {"w": conv_weight(rng, 4, 3, 1, 1)}, SHAPE, outputs=outputs,
                  domains={"mine": 1})  # fmt: skip
    imports = [helper.make_opsetid("", 17)]
    for name, inputs, nodes in (("layer", ["a", "w"], body), ("plain", ["a"], plain)):
        proto.functions.append(
            helper.make_function("mine", name, inputs, ["u", "v"], nodes, imports)
        )
    return proto


def test_call_without_layers_stays(tmp_path: Path, rng: Rng) -> None:
    calls = [op("plain", "x", "p q", domain="mine"), op("Conv", "p w", "y"), op("Abs", "q", "z")]
    result = compiled(two_results(rng, *calls, outputs="y z"), tmp_path, rng)
    assert ops(result.graph) == ["plain", "SimdSparseConv", "Abs"]
    # Nothing called the other function before, either.
    assert [f.name for f in result.functions if f.domain == "mine"] == ["layer", "plain"]


@pytest.mark.parametrize("outputs", ["y z", "y v", "u z"])
def test_call_with_layers_is_inlined_as_a_whole(tmp_path: Path, rng: Rng, outputs: str) -> None:
    """Its other result is not computed of the old weights; where outputs bypass nodes, either."""
    nodes = [
        op("layer", "x w", "u v", domain="mine"),
        op("Identity", "u", "y", "hand on"),
        op("Abs", "v", "z"),
    ]
    loaded = load_model(store(two_results(rng, *nodes, outputs=outputs), tmp_path))
    pruned = random_model(loaded, {loaded.nodes[0].name: 0.5}, 1, seed=0).model
    told = Recorder()
    save_model(pruned, tmp_path / "out.onnx", told)
    assert told.notes == [
        "function 'layer' is written out where it is called: layers changed in it"
    ]
    result = onnx.load(tmp_path / "out.onnx")
    assert "layer" not in ops(result.graph)
    assert not [f for f in result.functions if f.name == "layer"]
    x = feed((1, *SHAPE[1:]), rng)
    assert_same(run(serialize(pruned), x), run(serialize(pruned.detached()), x))
    assert_same(
        run(serialize(pruned), {"x": x["x"][:1]}), [y[:1] for y in run(serialize(pruned), x)]
    )


def test_nodes_that_nothing_needs_go_with_what_they_read(tmp_path: Path, rng: Rng) -> None:
    nodes = [
        op("Conv", "x w", "c", "conv"),
        op("Relu", "c", "y"),
        op("Neg", "c", "idle"),
        op("Neg", "idle", "idler"),
        op("Neg", "y", "kept"),
    ]
    result = compiled(model(nodes, {"w": conv_weight(rng, 4, 3, 3, 3)}, SHAPE), tmp_path, rng)
    assert ops(result.graph) == ["SimdSparseConv", "Neg"]


def test_nodes_that_nothing_needs_go_where_shapes_change(tmp_path: Path, rng: Rng) -> None:
    """Else the runtime refuses the file for what it does not even compute."""
    nodes = [
        op("Conv", "x w", "c", "conv"),
        op("Add", "c eight", "idle"),
        op("Conv", "c v", "y", "last"),
    ]
    weights = {"w": conv_weight(rng, 8, 3, 3, 3), "v": conv_weight(rng, 4, 8, 1, 1),
               "eight": vector(rng, 8).reshape(8, 1, 1)}  # fmt: skip
    assert ops(smaller(model(nodes, weights, SHAPE), tmp_path, rng).graph) == ["Conv", "Conv"]


def test_nodes_that_stay_keep_their_order(tmp_path: Path, rng: Rng) -> None:
    """Where a convolution takes the place of a node that stands far behind it."""
    nodes = [
        op("Conv", "x w", "c", "conv"),
        op("Neg", "c", "n"),
        op("Abs", "x", "a"),
        op("Identity", "c", "y"),
        op("Add", "a x", "z"),
    ]
    proto = model(nodes, {"w": conv_weight(rng, 3, 3, 1, 1)}, SHAPE, outputs="y n z")
    assert ops(compiled(proto, tmp_path, rng).graph) == ["SimdSparseConv", "Neg", "Abs", "Add"]


def test_order() -> None:
    nodes = [op("A", "t", "a"), op("B", "", "b"), op("C", "b", "t"), op("D", "a", "d")]
    ranked = [((float(number), 0), node) for number, node in enumerate(nodes)]
    assert [n.op_type for n in stable_order(ranked, node_reads, lambda node: node.output)] == [
        "B",
        "C",
        "A",
        "D",
    ]
    nodes[1].input[:] = ["a"]
    with pytest.raises(ModelError, match="part of a cycle"):
        stable_order(ranked, node_reads, lambda node: node.output)


def test_declarations_of_what_stays_stay(tmp_path: Path, rng: Rng) -> None:
    """Those of initializers, too; one that is wrong now is gone, behind an Identity as well."""
    nodes = [
        op("Conv", "x w", "c", "conv"),
        op("Identity", "c", "i"),
        op("Dropout", "i", "d"),
        op("Conv", "d v", "y", "last"),
    ]
    weights = {"w": conv_weight(rng, 8, 3, 1, 1), "v": conv_weight(rng, 4, 8, 1, 1)}
    proto = model(nodes, weights, SHAPE)
    shapes = {"w": (8, 3, 1, 1), "x_like": (1,), "c": ("N", 8, 8, 8), "i": ("N", 8, 8, 8)}
    proto.graph.value_info.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, s) for name, s in shapes.items()
    )
    declared = [info.name for info in written(load_model(store(proto, tmp_path))).graph.value_info]
    assert declared == list(shapes)
    declared = [info.name for info in smaller(proto, tmp_path, rng).graph.value_info]
    assert declared == ["x_like"]


def test_sizes_behind_nodes_that_do_nothing(tmp_path: Path, rng: Rng) -> None:
    """How many channels there are stays what it was, whatever is between."""
    nodes = [
        op("Conv", "x w", "c", "conv"),
        op("Identity", "c", "i"),
        op("Conv", "i v", "y", "last"),
        op("Shape", "i", "s"),
        op("Gather", "s one", "count"),
        op("Cast", "count", "z", to=TensorProto.FLOAT),
    ]
    weights = {"w": conv_weight(rng, 8, 3, 1, 1), "v": conv_weight(rng, 4, 8, 1, 1),
               "one": np.array([1])}  # fmt: skip
    proto = model(nodes, weights, SHAPE, outputs="y z")
    result = smaller(proto, tmp_path, rng)
    assert run(result.SerializeToString(), feed((1, 3, 8, 8), rng))[1] == [8]


def test_initializers_stay_as_they_are(tmp_path: Path, rng: Rng) -> None:
    """Sparse ones sparse, documented ones documented."""
    proto = model(
        [op("Conv", "x w", "c", "conv"), op("Mul", "c s", "m"), op("Add", "m b", "y")],
        {"w": conv_weight(rng, 8, 3, 1, 1), "b": vector(rng, 8)},
        SHAPE,
    )
    values = helper.make_tensor("s", TensorProto.FLOAT, [2], [1.5, 2.5])
    places = helper.make_tensor("s_indices", TensorProto.INT64, [2], [1, 6])
    proto.graph.sparse_initializer.append(helper.make_sparse_tensor(values, places, [8]))
    proto.graph.initializer[1].doc_string = "what it is"
    proto.graph.initializer[1].metadata_props.add(key="from", value="somewhere")
    result = written(load_model(store(proto, tmp_path)))
    assert not changes(proto, result)
    assert result.graph.sparse_initializer == proto.graph.sparse_initializer
    x = feed((2, 3, 8, 8), rng)
    assert_same(run(result.SerializeToString(), x), run(proto.SerializeToString(), x))


def test_new_nodes_say_where_they_come_from(tmp_path: Path, rng: Rng) -> None:
    proto = model([op("Conv", "x w", "y")], {"w": conv_weight(rng, 4, 3, 1, 1)}, SHAPE)
    proto.graph.node[0].doc_string = "the stem"
    proto.graph.node[0].metadata_props.add(key="namespace", value="net/stem")
    (node,) = compiled(proto, tmp_path, rng).graph.node
    assert node.domain == OP_DOMAIN
    assert (node.doc_string, node.metadata_props[0].value) == ("the stem", "net/stem")


def test_ir_version_rises_for_weights_that_are_no_inputs(tmp_path: Path, rng: Rng) -> None:
    proto = model([op("Conv", "x w", "y")], {"w": conv_weight(rng, 4, 3, 1, 1)}, SHAPE, opset=12)
    proto.ir_version = 3
    proto.graph.input.append(helper.make_tensor_value_info("w", TensorProto.FLOAT, (4, 3, 1, 1)))
    result = written(load_model(store(proto, tmp_path)))
    onnx.checker.check_model(result, full_check=True)
    assert result.ir_version == 4


def test_folded_weights_do_not_take_names_of_the_file(tmp_path: Path, rng: Rng) -> None:
    """A weight that is folded twice is not called like the file's, which has other values."""
    nodes = [
        op("Conv", "x conv.weight conv.bias", "a", "conv"),
        op("BatchNormalization", "a s b m v", "n"),
        op("Mul", "n two", "y"),
    ]
    weights = {"conv.weight": conv_weight(rng, 4, 3, 1, 1), "conv.bias": vector(rng, 4),
               "two": np.float32(2)}  # fmt: skip
    weights |= {name: vector(rng, 4, 0.5, 1.5) for name in "sbmv"}
    path = store(model(nodes, weights, SHAPE), tmp_path)
    loaded = load_model(path)
    for name in loaded.initializers.keys() & weights.keys():
        np.testing.assert_array_equal(loaded.initializers[name], weights[name])
    # A layer that is left alone with masked weights reads the folded bias.
    pruned = random_model(loaded, {"conv": 0.5}, 1, 0, excluded=["conv"]).model
    x = feed((1, 3, 8, 8), rng)
    assert_same(run(serialize(pruned), x), run(serialize(pruned.detached()), x))


def branch(name: str, *nodes: onnx.NodeProto) -> onnx.GraphProto:
    return helper.make_graph(nodes, name, [], [onnx.ValueInfoProto(name=nodes[-1].output[0])])


def constant_if(rng: Rng, then: Sequence[onnx.NodeProto], **more: Any) -> onnx.ModelProto:
    nodes = [
        op("Conv", "x w", "c", "conv"),
        op("If", "yes", "b", "choice", then_branch=branch("then", *then),
           else_branch=branch("else", op("Add", "c eight", "e"))),
        op("Conv", "b v", "y", "last"),
    ]  # fmt: skip
    weights = {"w": conv_weight(rng, 8, 3, 1, 1), "v": conv_weight(rng, 4, 8, 1, 1),
               "eight": vector(rng, 8).reshape(8, 1, 1), "yes": np.array(True)}  # fmt: skip
    return model(nodes, {**weights, **more}, SHAPE)


def test_branch_that_is_not_taken_need_not_fit(tmp_path: Path, rng: Rng) -> None:
    """An If on a constant is replaced where channels that its branches read are gone."""
    proto = constant_if(rng, [op("Relu", "c", "t")])
    assert ops(smaller(proto, tmp_path, rng).graph) == ["Conv", "Relu", "Conv"]
    assert ops(written(load_model(store(proto, tmp_path))).graph) == ["Conv", "If", "Conv"]


def test_layer_in_a_branch_on_a_constant(tmp_path: Path, rng: Rng) -> None:
    then = [op("Conv", "c inner", "t", "in branch")]
    proto = constant_if(rng, then, inner=conv_weight(rng, 8, 8, 1, 1))
    assert ops(compiled(proto, tmp_path, rng).graph) == ["SimdSparseConv"] * 3


def test_layers_in_branches_on_data_stay(tmp_path: Path, rng: Rng) -> None:
    """What the branches capture is computed for them under its name."""
    choice = op(
        "If", "flag", "y", "choice",
        then_branch=branch("then", op("Conv", "r v", "t")),
        else_branch=branch("else", op("Neg", "r", "e")),
    )  # fmt: skip
    nodes = [
        op("Conv", "x w", "c", "conv"),
        op("Relu", "c", "r"),
        op("ReduceSum", "r", "total", keepdims=0),
        op("Greater", "total zero", "flag"),
        choice,
    ]
    weights = {"w": conv_weight(rng, 4, 3, 1, 1), "v": conv_weight(rng, 4, 4, 1, 1),
               "zero": np.float32(0)}  # fmt: skip
    proto = model(nodes, weights, SHAPE)
    result = compiled(proto, tmp_path, rng)
    assert ops(result.graph) == ["SimdSparseConv", "ReduceSum", "Greater", "If"]
    assert len(new_nodes(proto, result)) == 1


def test_new_nodes_have_names_of_their_own(tmp_path: Path, rng: Rng) -> None:
    """A node without a name is given one; a node that the model lacks may have it in the file."""
    nodes = [
        op("Conv", "x w", "a"),
        op("Identity", "a", "b", "Conv_0_1"),
        op("Abs", "b", "y", "Conv_0"),
    ]
    proto = model(nodes, {"w": conv_weight(rng, 4, 3, 1, 1)}, SHAPE)
    names = [node.name for node in compiled(proto, tmp_path, rng).graph.node]
    assert len(set(names)) == len(names)


def test_large_texts_stay_in_the_file(tmp_path: Path, rng: Rng, monkeypatch: Any) -> None:
    """They have no raw form that could lie beside it."""
    texts = np.array([f"text {number}" for number in range(2000)], object)
    nodes = [op("Conv", "x w", "y", "conv"), op("Identity", "texts", "t")]
    proto = model(nodes, {"w": conv_weight(rng, 8, 200, 1, 1)}, ("N", 200, 8, 8))
    proto.graph.initializer.append(numpy_helper.from_array(texts, "texts"))
    proto.graph.output.add(name="t")
    proto.graph.output[1].type.tensor_type.elem_type = TensorProto.STRING
    monkeypatch.setattr("alcs_onnx.graph.save._LIMIT", 1000)
    save_model(load_model(store(proto, tmp_path)), tmp_path / "out.onnx")
    _, found = run(tmp_path / "out.onnx", feed((2, 200, 8, 8), rng))
    assert found.tolist() == texts.tolist()
    assert (tmp_path / "out.onnx.data").stat().st_size == 8 * 200 * 4
