"""Passes that simplify the graph: constants, shape arithmetic, identities, unused nodes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from graph_helpers import (
    FLOAT,
    assert_same,
    conv_weight,
    feed,
    load,
    model,
    op,
    op_types,
    run,
    store,
)
from onnx import helper, numpy_helper

from alcs_onnx.graph import (
    Opaque,
    conv_layer,
    conv_layers,
    serialize,
    skipped_convs,
)
from alcs_onnx.rewrite import compile_sparse

Rng = np.random.Generator


def test_constant_nodes_become_initializers(tmp_path: Path, rng: Rng) -> None:
    weight = conv_weight(rng, 4, 3, 3, 3)
    nodes = [
        op("Constant", "", "w", value=numpy_helper.from_array(weight)),
        op("Conv", "x w", "a", "conv"),
        op("Constant", "", "low", value_float=-0.25),
        op("Constant", "", "high", value=numpy_helper.from_array(np.array(0.5, np.float32))),
        op("Clip", "a low high", "b"),
        op("Constant", "", "axes", value_ints=[2, 3]),
        op("ReduceMean", "b axes", "y", keepdims=0),
    ]
    proto = model(nodes, {}, opset=18)
    loaded = load(proto, tmp_path)
    assert op_types(loaded) == ["Conv", "Clip", "ReduceMean"]
    assert conv_layer(loaded, "conv").weight == "w"
    x = feed((1, 3, 8, 8), rng)
    assert_same(run(serialize(loaded), x), run(store(proto, tmp_path), x))


def test_shape_arithmetic_is_folded(tmp_path: Path, rng: Rng) -> None:
    """What exporters write for x.view(x.size(0), -1)."""
    nodes = [
        op("Conv", "x w", "a", "conv"),
        op("Shape", "a", "s"),
        op("Gather", "s zero", "n"),
        op("Unsqueeze", "n axis", "n1"),
        op("Concat", "n1 minus", "target", axis=0),
        op("Reshape", "a target", "y"),
    ]
    weights = {"w": conv_weight(rng, 4, 3, 3, 3), "zero": np.int64(0), "axis": np.array([0]),
               "minus": np.array([-1])}  # fmt: skip
    loaded = load(model(nodes, weights, ("N", 3, 8, 8)), tmp_path)
    assert op_types(loaded) == ["Conv", "Reshape"]
    target = loaded.initializers[loaded.nodes[-1].inputs[1]]
    assert target.tolist() == [0, -1]


def test_old_exporter_pad_chain_is_folded(tmp_path: Path, rng: Rng) -> None:
    """Pads computed at run time through ConstantOfShape, Reshape, Slice and Transpose."""
    nodes = [
        op("ConstantOfShape", "four", "zeros", value=numpy_helper.from_array(np.array([0]))),
        op("Concat", "some zeros", "all", axis=0),
        op("Reshape", "all rows", "matrix"),
        op("Slice", "matrix minus1 low axis0 minus1", "flipped"),
        op("Transpose", "flipped", "turned", perm=[1, 0]),
        op("Reshape", "turned flat", "pads64"),
        op("Cast", "pads64", "pads", to=onnx.TensorProto.INT64),
        op("Pad", "x pads zero", "a"),
        op("Conv", "a w", "y", "conv", strides=[2, 2]),
    ]
    weights = {
        "four": np.array([4]), "some": np.array([0, 1, 0, 1]), "rows": np.array([-1, 2]),
        "minus1": np.array([-1]), "low": np.array([-(2**31)]), "axis0": np.array([0]),
        "flat": np.array([-1]), "zero": np.float32(0), "w": conv_weight(rng, 4, 3, 3, 3),
    }  # fmt: skip
    proto = model(nodes, weights)
    loaded = load(proto, tmp_path)
    assert op_types(loaded) == ["Conv"]
    assert conv_layer(loaded, "conv").pads == (0, 0, 1, 1)
    x = feed((1, 3, 8, 8), rng)
    assert_same(run(serialize(loaded), x), run(store(proto, tmp_path), x))


def test_zeros_like_what_a_layer_reads_are_folded(tmp_path: Path, rng: Rng) -> None:
    """How torch's exporter writes a convolution without bias; values are not read, only types."""
    nodes = [
        op("CastLike", "zero x", "typed"),
        op("Shape", "w", "channels", end=1),
        op("Expand", "typed channels", "bias"),
        op("Conv", "x w bias", "a", "conv"),
        op("CastLike", "a x", "b"),
        op("CastLike", "b four", "y"),
    ]
    weights = {"w": conv_weight(rng, 4, 3, 3, 3), "zero": np.int32(0), "four": np.int64(4)}
    proto = model(nodes, weights)
    proto.graph.output[0].type.tensor_type.elem_type = onnx.TensorProto.INT64
    loaded = load(proto, tmp_path)
    assert op_types(loaded) == ["Conv", "Cast"]
    assert conv_layer(loaded, "conv").bias == "bias"
    assert loaded.initializers["bias"].dtype == np.float32
    x = {"x": 100 * feed((1, 3, 8, 8), rng)["x"]}
    expected = run(store(proto, tmp_path), x, optimise=False)
    assert_same(run(serialize(loaded.detached()), x, optimise=False), expected)
    sparse = compile_sparse(loaded).model
    (written,) = run(serialize(sparse), x, optimise=False)
    assert np.abs(written - expected[0]).max() <= 1  # whole numbers, of sums in another order
    types = [node.op_type for node in onnx.load_from_string(serialize(sparse)).graph.node]
    assert types == ["SimdSparseConv", "CastLike", "CastLike"]


def test_large_and_random_results_are_not_folded(tmp_path: Path, rng: Rng) -> None:
    nodes = [
        op("Conv", "x w", "a", "conv"),
        op("Expand", "one size", "large"),
        op("RandomNormalLike", "one", "noise"),
        op("Add", "a noise", "b"),
        op("ReduceSum", "large", "total"),
        op("Add", "b total", "y"),
    ]
    weights = {"w": conv_weight(rng, 4, 3, 3, 3), "one": np.ones(1, np.float32),
               "size": np.array([1024, 1024])}  # fmt: skip
    loaded = load(model(nodes, weights), tmp_path)
    assert {"Expand", "RandomNormalLike"} <= set(op_types(loaded))


def test_quantized_weights_stay_quantized(tmp_path: Path, rng: Rng) -> None:
    nodes = [op("DequantizeLinear", "q scale", "w"), op("Conv", "x w", "y", "conv")]
    weights = {"q": rng.integers(-127, 127, (4, 3, 3, 3), np.int8), "scale": np.float32(0.01)}
    loaded = load(model(nodes, weights), tmp_path)
    assert op_types(loaded) == ["DequantizeLinear", "Conv"]
    assert conv_layers(loaded) == ()
    assert "quantized (DequantizeLinear)" in skipped_convs(loaded)["conv"]


def test_identities_are_removed(tmp_path: Path, rng: Rng) -> None:
    nodes = [
        op("Identity", "x", "i"),
        op("Cast", "i", "c", to=FLOAT),
        op("Dropout", "c ratio off", "d mask"),
        op("Conv", "d w", "a", "conv"),
        op("Transpose", "a", "t", perm=[0, 1, 2, 3]),
        op("Concat", "t", "k", axis=1),
        op("Pad", "k nothing", "p"),
        op("Identity", "p", "y"),
    ]
    weights = {
        "w": conv_weight(rng, 4, 3, 3, 3), "ratio": np.float32(0.5), "off": np.bool_(False),
        "nothing": np.zeros(8, np.int64),
    }  # fmt: skip
    proto = model(nodes, weights)
    loaded = load(proto, tmp_path)
    assert op_types(loaded) == ["Conv"]
    assert [info.name for info in loaded.outputs] == ["y"]
    x = feed((1, 3, 8, 8), rng)
    assert_same(run(serialize(loaded), x), run(store(proto, tmp_path), x))


def test_identities_that_carry_a_name_stay(tmp_path: Path, rng: Rng) -> None:
    """Between two graph outputs, and from a graph input to an output."""
    nodes = [
        op("Conv", "x w", "y", "conv"),
        op("Identity", "y", "copy"),
        op("Identity", "x", "through"),
    ]
    proto = model(nodes, {"w": conv_weight(rng, 4, 3, 3, 3)}, outputs="y copy through")
    loaded = load(proto, tmp_path)
    assert op_types(loaded).count("Identity") == 2
    x = feed((1, 3, 8, 8), rng)
    assert_same(run(serialize(loaded), x), run(store(proto, tmp_path), x))


def test_dropout_whose_mask_is_used_stays(tmp_path: Path, rng: Rng) -> None:
    nodes = [
        op("Conv", "x w", "a", "conv"),
        op("Dropout", "a", "b mask"),
        op("Where", "mask b a", "y"),
    ]
    loaded = load(model(nodes, {"w": conv_weight(rng, 4, 3, 3, 3)}), tmp_path)
    assert "Dropout" in op_types(loaded)


def test_unused_nodes_and_initializers_are_dropped(tmp_path: Path, rng: Rng) -> None:
    nodes = [
        op("Conv", "x w", "y", "conv"),
        op("Relu", "y", "unused1"),
        op("Conv", "unused1 v", "unused2", "dead"),
    ]
    weights = {"w": conv_weight(rng, 4, 3, 3, 3), "v": conv_weight(rng, 4, 4, 3, 3)}
    loaded = load(model(nodes, weights), tmp_path)
    assert op_types(loaded) == ["Conv"]
    assert set(loaded.initializers) == {"w"}


def test_nodes_get_unique_names_and_keep_good_ones(tmp_path: Path, rng: Rng) -> None:
    weights = {"w": conv_weight(rng, 3, 3, 1, 1)}
    nodes = [
        op("Conv", "x w", "a", "same"),
        op("Conv", "a w", "b", "same"),
        op("Conv", "b w", "c"),
        op("Conv", "c w", "y", "own"),
    ]
    loaded = load(model(nodes, weights), tmp_path)
    names = [layer.name for layer in conv_layers(loaded)]
    assert len(set(names)) == 4
    assert names[3] == "own"
    assert all(names)


def test_unsorted_nodes_are_sorted(tmp_path: Path, rng: Rng) -> None:
    nodes = [op("Relu", "a", "y", "relu"), op("Conv", "x w", "a", "conv")]
    loaded = load(model(nodes, {"w": conv_weight(rng, 4, 3, 3, 3)}), tmp_path)
    assert op_types(loaded) == ["Conv", "Relu"]


def test_subgraphs_keep_what_they_capture(tmp_path: Path, rng: Rng) -> None:
    def branch(name: str, node: onnx.NodeProto) -> onnx.GraphProto:
        info = helper.make_tensor_value_info(node.output[0], FLOAT, None)
        return helper.make_graph([node], name, [], [info])

    nodes = [
        op("Conv", "x w", "a", "conv"),
        op("Identity", "a", "kept"),
        op("ReduceMax", "a", "largest", keepdims=0),
        op("Greater", "largest zero", "positive"),
        op("If", "positive", "y", then_branch=branch("then", op("Mul", "kept two", "p")),
           else_branch=branch("else", op("Neg", "kept", "q"))),
    ]  # fmt: skip
    weights = {"w": conv_weight(rng, 4, 3, 3, 3), "zero": np.float32(0), "two": np.float32(2)}
    proto = model(nodes, weights)
    loaded = load(proto, tmp_path)
    branches = [v for v in loaded.nodes[-1].attributes.values() if isinstance(v, Opaque)]
    assert {name for value in branches for name in value.captures} == {"kept", "two"}
    assert "two" in loaded.initializers
    assert loaded.consumers("kept")[0].op_type == "If"
    x = feed((1, 3, 8, 8), rng)
    assert_same(run(serialize(loaded), x), run(store(proto, tmp_path), x))


def test_local_functions_are_inlined(tmp_path: Path, rng: Rng) -> None:
    body = [op("Conv", "X W", "a"), op("Relu", "a", "Y")]
    function = helper.make_function(
        "mine", "ConvRelu", ["X", "W"], ["Y"], body, [helper.make_opsetid("", 17)]
    )
    proto = model(
        [op("ConvRelu", "x w", "y", "block", domain="mine")],
        {"w": conv_weight(rng, 4, 3, 3, 3)},
        domains={"mine": 1},
    )
    proto.functions.append(function)
    loaded = load(proto, tmp_path)
    assert op_types(loaded) == ["Conv", "Relu"]
    x = feed((1, 3, 8, 8), rng)
    assert_same(run(serialize(loaded), x), run(store(proto, tmp_path), x))


def test_sparse_initializers_are_read(tmp_path: Path, rng: Rng) -> None:
    dense = np.zeros((4, 3, 1, 1), np.float32)
    dense.reshape(-1)[[1, 5, 10]] = [1, 2, 3]
    proto = model([op("Conv", "x w", "y", "conv")], {})
    proto.graph.sparse_initializer.append(
        helper.make_sparse_tensor(
            numpy_helper.from_array(np.array([1, 2, 3], np.float32), "w"),
            numpy_helper.from_array(np.array([1, 5, 10])),
            [4, 3, 1, 1],
        )
    )
    loaded = load(proto, tmp_path)
    np.testing.assert_array_equal(loaded.initializers["w"], dense)
    assert conv_layers(loaded)[0].out_channels == 4
