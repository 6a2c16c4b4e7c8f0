"""Outputs that are no tensors, and outputs without a name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from graph_helpers import assert_same, conv_weight, feed, model, op, run, store
from onnx import TensorProto, helper

from alcs_onnx.errors import ModelError
from alcs_onnx.graph import load_model, read_file, self_contained, serialize
from alcs_onnx.rewrite import compile_sparse

KINDS = {
    "sequence": (
        op("SplitToSequence", "c", "z", "split"),
        helper.make_sequence_type_proto(helper.make_tensor_type_proto(TensorProto.FLOAT, None)),
    ),
    "optional": (
        op("Optional", "c", "z", "maybe"),
        helper.make_optional_type_proto(helper.make_tensor_type_proto(TensorProto.FLOAT, None)),
    ),
}


def with_output(kind: str, rng: np.random.Generator) -> onnx.ModelProto:
    """A convolution whose result is the output `y` through Relu, and `z`, which is no tensor."""
    node, type_proto = KINDS[kind]
    nodes = [op("Conv", "x w", "c", "conv"), op("Relu", "c", "y", "relu"), node]
    proto = model(nodes, {"w": conv_weight(rng, 4, 3, 3, 3)})
    proto.graph.output.append(onnx.ValueInfoProto(name="z", type=type_proto))
    return proto


@pytest.mark.parametrize("kind", KINDS)
def test_an_output_that_is_no_tensor_is_kept_by_name(
    tmp_path: Path, rng: np.random.Generator, kind: str
) -> None:
    proto = with_output(kind, rng)
    loaded = load_model(store(proto, tmp_path))
    assert [(info.name, info.dtype is None) for info in loaded.outputs] == [
        ("y", False),
        ("z", True),
    ]
    assert len(loaded.digest) == 64
    written = onnx.load_from_string(serialize(compile_sparse(loaded).model))
    onnx.checker.check_model(written, full_check=True)
    assert list(written.graph.output)[1] == list(proto.graph.output)[1]
    assert written.graph.node[0].op_type == "SimdSparseConv"


def test_a_sequence_has_the_values_of_the_original(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    """In the file, and in the model by itself."""
    path = store(with_output("sequence", rng), tmp_path)
    loaded, x = load_model(path), feed((1, 3, 8, 8), rng)
    expected = run(path, x)
    sparse = compile_sparse(loaded).model
    for written in (serialize(sparse), serialize(sparse.detached())):
        found = run(written, x)
        assert_same(found[:1], expected[:1])
        assert_same(list(found[1]), list(expected[1]))


def test_an_output_whose_rank_follows_the_batch_stays_undeclared(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    """Squeeze without axes takes the axis of the samples away where there is one sample."""
    nodes = [op("Conv", "x w", "c", "conv"), op("GlobalAveragePool", "c", "p"),
             op("Squeeze", "p", "y")]  # fmt: skip
    proto = model(nodes, {"w": conv_weight(rng, 4, 3, 3, 3)}, ("N", 3, 8, 8))
    loaded = load_model(store(proto, tmp_path))
    written = serialize(compile_sparse(loaded).model)
    assert not proto.graph.output[0].type.tensor_type.HasField("shape")
    assert onnx.load_from_string(written).graph.output[0] == proto.graph.output[0]
    for batch in (1, 2):
        x = feed((batch, 3, 8, 8), rng)
        assert_same(run(written, x), run(proto.SerializeToString(), x))


def test_a_split_that_leaves_an_output_without_a_name(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    """ONNX Runtime loads it, and its process ends when it runs: so nothing here lets it run."""
    nodes = [op("Conv", "x w", "c", "conv"), op("Split", "c sizes", "y -", "split", axis=1)]
    weights = {"w": conv_weight(rng, 4, 3, 3, 3), "sizes": np.array([2, 2])}
    path = store(model(nodes, weights), tmp_path)
    for read in (load_model, self_contained):
        with pytest.raises(ModelError, match=r"'split' \(Split\) leaves output 1 without a name"):
            read(path)
    assert [node.name for node in read_file(path).model.nodes] == ["conv", "split"]


def test_optional_outputs_may_have_no_name(tmp_path: Path, rng: np.random.Generator) -> None:
    nodes = [op("Conv", "x w", "c", "conv"), op("Dropout", "c", "y -", "dropout")]
    path = store(model(nodes, {"w": conv_weight(rng, 4, 3, 3, 3)}), tmp_path)
    assert load_model(path).outputs[0].name == "y"
