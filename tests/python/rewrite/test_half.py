"""float16 models: the sparse operator computes in float32, the file's tensors stay float16."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from graph_helpers import conv_weight, op, run
from onnx import TensorProto, helper, numpy_helper

from alcs_onnx import ort
from alcs_onnx.codebooks import get_codebook
from alcs_onnx.graph import Model, conv_layers, load_model, serialize
from alcs_onnx.latency.fused import dense_times
from alcs_onnx.rewrite import compile_sparse, rewrite
from alcs_onnx.sparse_format import OP_DOMAIN
from alcs_onnx.target import get_target
from alcs_onnx.types import PruningPlan, QuantizedWeight

HALF = TensorProto.FLOAT16
#: Roundings of float16, relative to the largest output.
TOLERANCE = 4 * 2.0**-10


def load_half(folder: Path, seed: int, *, bias: bool = True) -> Model:
    """Conv, Relu, Conv with a residual, MaxPool, Conv and Sigmoid, all of them float16."""
    rng = np.random.default_rng(seed)
    weights = {
        "w0": conv_weight(rng, 8, 3, 3, 3),
        "w1": conv_weight(rng, 8, 8, 3, 3),
        "w2": conv_weight(rng, 8, 8, 3, 3),
        "b": rng.standard_normal(8),
    }
    nodes = [
        op("Conv", "x w0 b" if bias else "x w0", "c0", "first", pads=[1] * 4),
        op("Relu", "c0", "r0", "relu0"),
        op("Conv", "r0 w1", "c1", "second", pads=[1] * 4),
        op("Add", "c1 r0", "a1", "sum"),
        op("Relu", "a1", "r1", "relu1"),
        op("MaxPool", "r1", "p", "pool", kernel_shape=[2, 2], strides=[2, 2]),
        op("Conv", "p w2", "c2", "third", pads=[1] * 4),
        op("Sigmoid", "c2", "y", "sigmoid"),
    ]
    graph = helper.make_graph(
        nodes,
        "half",
        [helper.make_tensor_value_info("x", HALF, ["N", 3, 8, 8])],
        [helper.make_tensor_value_info("y", HALF, ["N", 8, 4, 4])],
        [
            numpy_helper.from_array(value.astype(np.float16), name)
            for name, value in weights.items()
            if bias or name != "b"
        ],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path = folder / "half.onnx"
    onnx.save(proto, path)
    return load_model(path)


def images(rng: np.random.Generator) -> dict[str, np.ndarray]:
    return {"x": rng.standard_normal((2, 3, 8, 8)).astype(np.float16)}


def assert_near(found: np.ndarray, expected: np.ndarray) -> None:
    assert found.dtype == expected.dtype == np.float16
    gap = np.abs(found.astype(np.float64) - expected.astype(np.float64)).max()
    assert gap <= TOLERANCE * np.abs(expected).max()


@pytest.mark.parametrize("bias", [True, False])
def test_the_file_computes_the_same_with_the_library_and_without(
    tmp_path: Path, rng: np.random.Generator, seed: int, bias: bool
) -> None:
    model = load_half(tmp_path, seed, bias=bias)
    assert [layer.name for layer in conv_layers(model)] == ["first", "second", "third"]
    written = serialize(compile_sparse(model).model)
    onnx.checker.check_model(written, full_check=True)
    x = images(rng)
    (expected,) = run(serialize(model), x)
    for library in (True, False):
        session = ort.create_session(written, library=library)
        assert_near(ort.run(session, x)["y"], expected)


def test_nothing_is_rounded_between_two_of_our_nodes(tmp_path: Path, seed: int) -> None:
    proto = onnx.load_from_string(serialize(compile_sparse(load_half(tmp_path, seed)).model))
    assert [node.op_type for node in proto.graph.node] == [
        "Cast",
        "SimdSparseConv",
        "SimdSparseConvAdd",
        "SimdMaxPool",
        "SimdSparseConv",
        "Cast",
        "Sigmoid",
    ]
    assert proto.graph.input[0].type.tensor_type.elem_type == HALF
    assert proto.graph.output[0].type.tensor_type.elem_type == HALF


def test_a_cast_of_the_file_itself_stays(tmp_path: Path, seed: int) -> None:
    """What the file rounds on purpose is rounded."""
    model = load_half(tmp_path, seed)
    proto = onnx.load(tmp_path / "half.onnx")
    proto.graph.node.insert(0, op("Cast", "x", "xf", "up", to=TensorProto.FLOAT))
    proto.graph.node.insert(1, op("Cast", "xf", "xh", "down", to=HALF))
    proto.graph.node[2].input[0] = "xh"
    onnx.save(proto, tmp_path / "cast.onnx")
    written = compile_sparse(load_model(tmp_path / "cast.onnx")).model
    assert {"up", "down"} <= {node.name for node in written.nodes}
    assert len(written.nodes) > len(compile_sparse(model).model.nodes)


def test_a_layer_that_is_left_alone_keeps_its_type(
    tmp_path: Path, rng: np.random.Generator, seed: int
) -> None:
    model = load_half(tmp_path, seed)
    keep = np.ones((2, 72), np.bool_)
    keep[:, ::2] = False
    plan = PruningPlan(model.digest, 4, {"second": keep}, {}, 0.0)
    written = rewrite(model, plan, excluded=["second"]).model
    masked = written.initializers["second.masked"]
    assert masked.dtype == np.float16
    assert not masked.reshape(8, 72)[:, ::2].any()
    dense = model.with_initializers({"w1": masked})
    x = images(rng)
    session = ort.create_session(serialize(written))
    assert_near(ort.run(session, x)["y"], run(serialize(dense), x)[0])


def test_quantized_layers_of_a_float16_model(
    tmp_path: Path, rng: np.random.Generator, seed: int
) -> None:
    """In our node and in one that is left alone."""
    model = load_half(tmp_path, seed)
    levels = rng.integers(-7, 8, (8, 8, 3, 3)).astype(np.int8)
    weight = QuantizedWeight(levels, np.array([0.0625], np.float32), get_codebook("4bit"))
    dense = model.with_initializers({"w1": weight.values(), "w2": weight.values()})
    written = rewrite(
        model, excluded=["third"], quantized={"second": weight, "third": weight}
    ).model
    x = images(rng)
    session = ort.create_session(serialize(written))
    assert_near(ort.run(session, x)["y"], run(serialize(dense), x)[0])


def test_the_time_of_each_layer_is_found_in_the_dense_file(tmp_path: Path, seed: int) -> None:
    """ONNX Runtime runs float16 layers in float32, under names of its own."""
    model = load_half(tmp_path, seed)
    feeds = {"x": np.zeros((1, 3, 8, 8), np.float16)}
    (times,) = get_target("local").node_times(
        [serialize(model)], threads=1, iterations=3, warmup=1, feeds=feeds
    )
    found = dense_times(model, times.profile)
    assert list(found) == ["first", "second", "third"]
    assert all(np.isfinite(time) for time in found.values())


def test_a_written_file_is_read_again(tmp_path: Path, seed: int) -> None:
    written = compile_sparse(load_half(tmp_path, seed)).model
    (tmp_path / "again.onnx").write_bytes(serialize(written))
    again = load_model(tmp_path / "again.onnx")
    assert [layer.name for layer in conv_layers(again)] == ["first", "second", "third"]
    assert OP_DOMAIN not in {node.domain for node in again.nodes if node.is_op("Conv")}
