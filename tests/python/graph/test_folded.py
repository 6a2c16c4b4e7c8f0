"""A file with its convolutions as the analysis has them, and raised to a newer opset."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from graph_helpers import assert_same, conv_weight, feed, model, op, run, store, vector
from onnx import helper, numpy_helper
from opset_network import network
from users_file import changes
from zoo.handmade import GRAPHS

from alcs_onnx.graph import folded, load_model, serialize
from alcs_onnx.graph.upgrade import upgrade
from alcs_onnx.rewrite import compile_sparse
from alcs_onnx.sparse_format import OP_DOMAIN

Rng = np.random.Generator


def _batch_norm(rng: Rng, channels: int) -> dict[str, np.ndarray]:
    low = {"scale": 0.5, "shift": -1.0, "mean": -1.0, "variance": 0.2}
    return {name: vector(rng, channels, start, 2) for name, start in low.items()}


def test_normalizations_and_paddings_are_taken_in_and_all_else_stays(
    tmp_path: Path, rng: Rng
) -> None:
    nodes = [
        op("Pad", "x pads", "p", "pad"),
        op("Conv", "p w", "a", "first", kernel_shape=[3, 3]),
        op("BatchNormalization", "a scale shift mean variance", "b", "norm"),
        op("Relu", "b", "c", "relu"),
        op("Transpose", "k", "kernel", perm=[0, 1, 3, 2]),
        op("Conv", "c kernel", "d", "second", kernel_shape=[1, 1]),
        op("Conv", "d w2", "e", "plain", auto_pad="SAME_UPPER"),
        op("LeakyRelu", "e", "y", "last"),
    ]
    weights = {
        "pads": np.array([0, 0, 1, 1, 0, 0, 1, 1]),
        "w": conv_weight(rng, 8, 3, 3, 3),
        "k": conv_weight(rng, 4, 8, 1, 1),
        "w2": conv_weight(rng, 4, 4, 3, 3),
        "unused": vector(rng, 3),
        **_batch_norm(rng, 8),
    }
    proto = model(nodes, weights, ("N", 3, 8, 8))
    helper.set_model_props(proto, {"key": "value"})
    proto.doc_string = "text"
    path = store(proto, tmp_path)
    written = onnx.load_from_string(serialize(folded(load_model(path))))
    assert [node.name for node in written.graph.node] == [
        "first", "relu", "second", "plain", "last",
    ]  # fmt: skip
    same = {node.name: node for node in nodes}
    for node in written.graph.node:
        assert node.name in ("first", "second") or node == same[node.name]
    assert [node.output[0] for node in written.graph.node] == ["b", "c", "d", "e", "y"]
    assert {"kernel", "w2", "unused"} <= {t.name for t in written.graph.initializer}
    assert written.graph.input == proto.graph.input
    assert (written.doc_string, written.metadata_props) == ("text", proto.metadata_props)
    onnx.checker.check_model(written, full_check=True)
    x = feed((2, 3, 8, 8), rng)
    assert_same(run(written.SerializeToString(), x), run(path, x), 1e-5)


@pytest.mark.parametrize("opset", range(7, 15))
def test_every_opset_is_folded_and_raised(tmp_path: Path, rng: Rng, opset: int) -> None:
    path = store(network(opset, rng), tmp_path)
    loaded = load_model(path)
    data = serialize(folded(loaded), 13)
    written = onnx.load_from_string(data)
    assert written.opset_import[0].version == max(13, opset)
    assert not {"BatchNormalization", "Pad"} & {node.op_type for node in written.graph.node}
    onnx.checker.check_model(data, full_check=True)
    x = feed((2, 3, 12, 12), rng)
    assert_same(run(data, x), run(path, x), 1e-5)


@pytest.mark.parametrize("name", sorted(GRAPHS))
def test_what_is_raised_is_the_file_but_for_its_opset(tmp_path: Path, name: str) -> None:
    """No node was changed since loading, so none but those that mean something else may be."""
    proto = upgrade(GRAPHS[name]())
    path = store(proto, tmp_path)
    data = serialize(load_model(path, needs_conv=False).as_loaded(), 13)
    assert not changes(upgrade(proto, 13), onnx.load_from_string(data), ())


def test_bodies_of_our_operators_rise_with_the_model(tmp_path: Path, rng: Rng) -> None:
    nodes = [op("Conv", "x w", "a", "conv"), op("Relu", "a", "r"), op("Softmax", "r", "y", axis=1)]
    path = store(model(nodes, {"w": conv_weight(rng, 8, 3, 3, 3)}, opset=12), tmp_path)
    data = serialize(compile_sparse(load_model(path)).model, 13)
    written = onnx.load_from_string(data)
    assert [f.opset_import[0].version for f in written.functions] == [13]
    assert any(node.domain == OP_DOMAIN for node in written.graph.node)
    onnx.checker.check_model(data, full_check=True)
    x = feed((1, 3, 8, 8), rng)
    assert_same(run(data, x), run(path, x), 1e-5)


def test_a_convolution_inside_a_function_is_written_out(tmp_path: Path, rng: Rng) -> None:
    imports = [helper.make_opsetid("", 17)]
    body = [op("Conv", "a w", "b"), op("Relu", "b", "c")]
    function = helper.make_function("own", "Block", ["a", "w"], ["c"], body, imports)
    proto = model([op("Block", "x w", "z", "call", domain="own"), op("Abs", "z", "y")],
                  {"w": conv_weight(rng, 4, 3, 3, 3)}, domains={"own": 1})  # fmt: skip
    proto.functions.append(function)
    path = store(proto, tmp_path)
    written = onnx.load_from_string(serialize(folded(load_model(path))))
    assert [node.op_type for node in written.graph.node] == ["Conv", "Relu", "Abs"]
    x = feed((1, 3, 8, 8), rng)
    assert_same(run(written.SerializeToString(), x), run(path, x), 1e-6)


def test_a_model_built_in_memory_is_itself(tmp_path: Path, rng: Rng) -> None:
    nodes = [op("Conv", "x w", "y", "conv")]
    path = store(model(nodes, {"w": conv_weight(rng, 4, 3, 3, 3)}, opset=12), tmp_path)
    detached = load_model(path).detached()
    assert folded(detached) is detached
    written = onnx.load_from_string(serialize(detached, 13))
    assert written.opset_import[0].version == 13
    assert [numpy_helper.to_array(t).shape for t in written.graph.initializer] == [(4, 3, 3, 3)]
