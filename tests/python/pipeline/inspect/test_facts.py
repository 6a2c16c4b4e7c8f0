"""The facts of an inspection against independent counts, on real files and small ones."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from graph_helpers import conv_weight, model, op, store
from inspection_helpers import SHARED_MODELS, shared_model
from onnx import TensorProto, helper, numpy_helper
from reporters import Recorder
from small_models import residual_net

from alcs_onnx import inspect
from alcs_onnx.codebooks import get_codebook, quantize
from alcs_onnx.errors import AlcsError, ModelError
from alcs_onnx.graph import conv_layers, load_model, save_model, self_contained
from alcs_onnx.pipeline.common.runnable import open_runnable
from alcs_onnx.pipeline.common.workload import Measuring, open_workload
from alcs_onnx.reporter import SILENT
from alcs_onnx.rewrite import compile_sparse, quantize_weights
from alcs_onnx.serialized import StoredModel

Rng = np.random.Generator


@pytest.mark.parametrize("name", SHARED_MODELS)
def test_macs_and_parameters_are_those_that_torch_counts(
    shared: Path, tmp_path: Path, name: str
) -> None:
    torch = pytest.importorskip("torch")
    from torch.utils.flop_counter import FlopCounterMode

    from alcs_onnx.train import OnnxModule

    path, shapes = shared_model(shared, name)
    loaded = load_model(path, shapes)
    network = OnnxModule(loaded)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(*(torch.zeros(info.shape) for info in loaded.inputs))
    facts = inspect(path, input_shapes=shapes).model
    assert facts.unknown_macs == 0
    assert facts.macs == pytest.approx(counter.get_total_flops() / 2, rel=0.005)

    save_model(loaded, tmp_path / "normalised.onnx")
    normalised = inspect(tmp_path / "normalised.onnx").model
    tensors = (*network.parameters(), *network.buffers())
    floats = sum(tensor.numel() for tensor in tensors if tensor.is_floating_point())
    assert normalised.parameters == pytest.approx(floats, rel=0.005)


@pytest.mark.parametrize("name", SHARED_MODELS)
def test_nodes_and_parameters_are_those_of_the_file(shared: Path, name: str) -> None:
    path, shapes = shared_model(shared, name)
    facts = inspect(path, input_shapes=shapes).model
    proto = onnx.load(path)
    nodes = [node for node in proto.graph.node if node.op_type != "Constant"]
    assert len(facts.nodes) == len(nodes)
    assert sum(facts.operators.values()) == len(nodes)
    assert all(shape is not None for node in facts.nodes for shape in node.output_shapes)
    constants = list(proto.graph.initializer)
    constants += [n.attribute[0].t for n in proto.graph.node if n.op_type == "Constant"]
    read = {name for node in nodes for name in node.input}
    outputs = [n.output[0] for n in proto.graph.node if n.op_type == "Constant"]
    names = [tensor.name for tensor in proto.graph.initializer] + outputs
    floats = sum(
        int(np.prod(tensor.dims))
        for tensor, name in zip(constants, names, strict=True)
        if tensor.data_type == TensorProto.FLOAT and name in read
    )
    assert facts.parameters == floats
    assert facts.file_bytes == path.stat().st_size


@pytest.mark.parametrize("name", SHARED_MODELS)
def test_layers_and_groups_name_nodes_of_the_file(shared: Path, name: str) -> None:
    path, shapes = shared_model(shared, name)
    found = inspect(path, "coupling", everything=True, input_shapes=shapes)
    names = {node.name for node in found.model.nodes}
    convs = [node.name for node in found.model.nodes if node.op == "Conv"]
    assert {layer.node for layer in found.model.layers} >= set(convs)
    assert {layer.node for layer in found.model.layers} <= names
    assert found.coupling is not None
    for group in found.coupling.groups:
        assert {member.node for member in group.members} <= set(group.nodes) <= names
    assert found.sparsity is not None
    assert {layer.node for layer in found.sparsity.layers} >= set(convs)


def test_macs_by_hand(tmp_path: Path, rng: Rng) -> None:
    """One node of each kind, [2, 4, 6, 6] in; products counted by hand."""
    nodes = [
        op("Conv", "x w", "c", "conv", group=2, pads=[1, 1, 1, 1]),
        op("ConvTranspose", "c t", "d", "up", strides=[2, 2]),
        op("Reshape", "d flat", "e", "flatten"),
        op("MatMul", "e m", "f", "matmul"),
        op("Gemm", "f g", "y", "gemm", transB=1),
    ]
    weights = {
        "w": conv_weight(rng, 8, 2, 3, 3),
        "t": conv_weight(rng, 8, 3, 2, 2),
        "flat": np.array([2, -1], np.int64),
        "m": conv_weight(rng, 3 * 12 * 12, 5),
        "g": conv_weight(rng, 7, 5),
    }
    facts = inspect(store(model(nodes, weights, (2, 4, 6, 6)), tmp_path)).model
    assert [node.macs for node in facts.nodes] == [
        2 * 8 * 36 * 2 * 9, 2 * 8 * 36 * 3 * 4, 0, 2 * 432 * 5, 2 * 5 * 7,
    ]  # fmt: skip
    assert facts.parameters == sum(w.size for n, w in weights.items() if n != "flat")
    assert [node.weight_shape for node in facts.nodes][:2] == [(8, 2, 3, 3), (8, 3, 2, 2)]


@pytest.mark.skipif(onnx.defs.onnx_opset_version() < 23, reason="Attention came with opset 23")
def test_products_that_are_not_counted_are_unknown(tmp_path: Path) -> None:
    nodes = [op("Attention", "x x x", "y", "attention", q_num_heads=2, kv_num_heads=2)]
    facts = inspect(store(model(nodes, {}, (1, 4, 8), opset=23), tmp_path)).model
    assert (facts.nodes[0].macs, facts.unknown_macs) == (None, 1)


def test_zeros_do_not_count_as_kept(tmp_path: Path, rng: Rng) -> None:
    weight = np.abs(conv_weight(rng, 8, 8, 3, 3)) + 1
    weight[:2] = 0
    nodes = [op("Conv", "x w", "y", "conv")]
    found = inspect(store(model(nodes, {"w": weight}, (1, 8, 5, 5)), tmp_path), "sparsity")
    assert found.model.kept_macs * 4 == found.model.macs * 3
    assert found.model.kept_parameters == weight.size * 3 // 4


def test_sparsity_by_structure(tmp_path: Path, rng: Rng) -> None:
    """Zeros that are whole columns, with the shares that each structure must see."""
    weight = np.abs(conv_weight(rng, 8, 8, 3, 3)) + 1
    weight[:, :2] = 0  # two input channels: a quarter of all columns
    weight[4:, 2, 0, 0] = 0  # half of one column: one group of four
    nodes = [op("Conv", "x w", "y", "conv")]
    path = store(model(nodes, {"w": weight}, (1, 8, 5, 5)), tmp_path)
    (layer,) = inspect(path, "sparsity").sparsity.layers
    columns, groups = 8 * 9, 2 * 8 * 9
    assert layer.zeros["channel"] == pytest.approx(2 / 8)
    assert layer.zeros["shape"] == pytest.approx(18 / columns)
    assert layer.zeros["simd"] == pytest.approx((36 + 1) / groups)
    assert layer.zeros["filter"] == 0
    assert layer.zeros["unstructured"] == pytest.approx(1 - layer.density)
    assert layer.zeros["2:4"] == pytest.approx(0.5)  # channels 0 to 3 of each filter and tap
    assert (layer.stored, layer.bits, layer.stored_bytes) == (None, 32, weight.nbytes)


def test_weights_of_every_kind_are_laid_out_by_outputs(tmp_path: Path, rng: Rng) -> None:
    """A zero output is a zero filter, whatever operator has the weights and however they lie."""
    transposed = conv_weight(rng, 4, 6, 2, 2)
    transposed[:, 1] = 0
    matrix, rows = conv_weight(rng, 6 * 8 * 8, 4), conv_weight(rng, 4, 4)
    matrix[:, 3] = 0
    rows[2] = 0
    nodes = [
        op("ConvTranspose", "x t", "c", "up", strides=[2, 2]),
        op("Flatten", "c", "d", "flat"),
        op("MatMul", "d m", "e", "matmul"),
        op("Gemm", "e r", "y", "gemm", transB=1),
    ]
    path = store(model(nodes, {"t": transposed, "m": matrix, "r": rows}, (1, 4, 4, 4)), tmp_path)
    found = inspect(path, "sparsity").sparsity
    assert [layer.zeros["filter"] for layer in found.layers] == pytest.approx([1 / 6, 1 / 4, 1 / 4])
    assert [layer.weight_shape[0] for layer in found.layers] == [6, 4, 4]


@pytest.mark.parametrize("block", [0, 3])
def test_zeros_of_a_dequantized_weight(tmp_path: Path, rng: Rng, block: int) -> None:
    """A zero point for each output, or for each block of inputs, whose last one is shorter."""
    levels = rng.integers(10, 100, (8, 16)).astype(np.int8)
    points = rng.integers(-9, 9, (8, 6) if block else 8).astype(np.int8)
    whole = np.repeat(points, block, axis=1)[:, :16] if block else points[:, None]
    zero = rng.random((8, 16)) < 0.5
    zero[2] = True
    weights = {"q": np.where(zero, whole, levels), "p": points}
    weights["s"] = np.ones(points.shape, np.float32)
    how = {"axis": 1, "block_size": block} if block else {"axis": 0}
    nodes = [op("DequantizeLinear", "q s p", "w", "real", **how),
             op("Gemm", "x w", "y", "fc", transB=1)]  # fmt: skip
    found = inspect(store(model(nodes, weights, (2, 16), opset=21), tmp_path), "sparsity")
    (layer,) = found.sparsity.layers
    assert layer.nonzero == np.count_nonzero(~zero)
    assert layer.zeros["filter"] == 1 / 8
    assert found.model.kept_macs == 2 * layer.nonzero


_QUANTIZED = {
    "QLinearConv": ("x a b w s z a b", (8, 4, 3, 3), (1, 4, 6, 6)),
    "ConvInteger": ("x w b z", (8, 4, 3, 3), (1, 4, 6, 6)),
    "QLinearMatMul": ("x a b w s z a b", (16, 8), (2, 16)),
    "MatMulInteger": ("x w b z", (16, 8), (2, 16)),
}


@pytest.mark.parametrize("points", [1, 8])
@pytest.mark.parametrize("name", sorted(_QUANTIZED))
def test_zeros_of_integer_operators(tmp_path: Path, rng: Rng, name: str, points: int) -> None:
    """What counts is the distance from the zero point, one of all outputs or one of each."""
    inputs, shape, size = _QUANTIZED[name]
    point = (128 + np.arange(points)).astype(np.uint8)
    each = point.reshape(-1, *(1,) * (len(shape) - 1)) if "Conv" in name else point
    zero = rng.random(shape) < 0.5
    weights = {
        "w": np.where(zero, each, rng.integers(0, 100, shape)).astype(np.uint8),
        "z": point if points > 1 else point[0],
        "s": np.float32(0.1), "a": np.float32(0.1), "b": np.uint8(128),
    }  # fmt: skip
    proto = model([op(name, inputs, "y", "layer")], weights, size)
    proto.graph.input[0].type.tensor_type.elem_type = TensorProto.UINT8
    proto.graph.output[0].type.tensor_type.elem_type = (
        TensorProto.INT32 if "Integer" in name else TensorProto.UINT8
    )
    found = inspect(store(proto, tmp_path), "sparsity")
    (layer,) = found.sparsity.layers
    assert layer.nonzero == np.count_nonzero(~zero)
    assert found.model.kept_macs == found.model.macs * layer.nonzero // layer.weights > 0


@pytest.fixture
def half_zero(tmp_path: Path) -> Path:
    """A residual network with half of the groups of each larger layer zero."""
    path = residual_net(tmp_path / "net.onnx")
    proto = onnx.load(path)
    for tensor in proto.graph.initializer:
        array = numpy_helper.to_array(tensor).copy()
        if array.ndim == 4 and array.shape[1] > 3:
            array.reshape(len(array) // 4, 4, -1)[:, :, ::2] = 0
            tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
    onnx.save(proto, path)
    return path


def test_an_optimized_file_explains_itself(half_zero: Path, tmp_path: Path) -> None:
    loaded = load_model(half_zero)
    save_model(compile_sparse(loaded, 4).model, tmp_path / "sparse.onnx")
    before, after = inspect(half_zero), inspect(tmp_path / "sparse.onnx", everything=True)
    assert not before.model.optimized
    assert after.model.optimized
    assert after.model.macs == before.model.macs
    assert after.model.kept_macs == before.model.kept_macs < before.model.macs
    assert after.model.parameters == before.model.parameters
    layers = {layer.layer: layer for layer in after.model.layers}
    assert (layers["a"].op, layers["a"].fused, layers["a"].simd_group) == (
        "SimdSparseConv", ("Relu",), 4,
    )  # fmt: skip
    assert layers["b"].fused == ("residual", "Relu")
    assert "stores 50.0 %" in layers["c"].op_reason
    stored = {layer.layer: layer for layer in after.sparsity.layers}
    assert stored["c"].stored == pytest.approx(0.5)
    assert stored["c"].zeros["simd"] == pytest.approx(0.5)
    shapes = {node.name: node.output_shapes for node in after.model.nodes}
    assert shapes["c"] == ((1, 32, 6, 6),)
    assert shapes["logits"] == ((1, 4),)
    groups = {group.name: group for group in after.coupling.groups}
    assert {"a", "b"} <= set(groups["a"].nodes)


def test_quantized_layers_have_bits(half_zero: Path, tmp_path: Path) -> None:
    loaded = load_model(half_zero)
    levels = {
        layer.name: quantize(
            loaded.initializers[layer.weight],
            get_codebook("4bit"),
            keep=loaded.initializers[layer.weight] != 0,
        )
        for layer in conv_layers(loaded)
    }
    save_model(compile_sparse(loaded, 4, quantized=levels).model, tmp_path / "packed.onnx")
    found = inspect(tmp_path / "packed.onnx", "sparsity")
    assert {layer.op for layer in found.model.layers if layer.node in levels} == {
        "QuantSparseConv", "QuantSparseConvAdd",
    }  # fmt: skip
    rows = {layer.layer: layer for layer in found.sparsity.layers}
    assert {rows[name].bits for name in levels} == {4}
    assert rows["c"].stored == pytest.approx(0.5, abs=0.05)
    assert rows["c"].stored_bytes < loaded.initializers["c.w"].nbytes / 12

    save_model(quantize_weights(loaded, levels), tmp_path / "plain.onnx")
    plain = {x.layer: x for x in inspect(tmp_path / "plain.onnx", "sparsity").sparsity.layers}
    assert plain["c"].bits in (4, 8)
    assert plain["c"].nonzero == rows["c"].nonzero == np.count_nonzero(levels["c"].levels)


def test_a_fully_connected_layer_is_prunable_on_request(half_zero: Path) -> None:
    for wanted in (False, True):
        layers = inspect(half_zero, fully_connected=wanted).model.layers
        (row,) = [layer for layer in layers if layer.node == "logits"]
        assert row.prunable == wanted
        assert (row.reason == "") == wanted


def test_a_model_of_fully_connected_layers_alone(tmp_path: Path, rng: Rng) -> None:
    """On request it can be optimized, and `inspect` and `optimize` agree on that."""
    nodes = [op("Gemm", "x w", "h", "fc"), op("Relu", "h", "y", "relu")]
    path = store(model(nodes, {"w": conv_weight(rng, 16, 8)}, (1, 16)), tmp_path)
    for wanted in (False, True):
        facts = inspect(path, fully_connected=wanted).model
        assert ("no Conv" in facts.problem) != wanted
        assert [layer.prunable for layer in facts.layers] == [wanted]
    arguments: dict[str, Any] = {
        "simd_group": 4, "measuring": Measuring(), "seed": 0,
        "reporter": SILENT,
    }  # fmt: skip
    workload = open_workload(path, fully_connected=True, **arguments)
    assert [layer.name for layer in workload.prunable] == ["fc"]
    with pytest.raises(ModelError, match="no Conv"):
        open_workload(path, **arguments)


def test_why_layers_are_left_alone(tmp_path: Path, rng: Rng) -> None:
    nodes = [
        op("Conv", "x d", "a", "depthwise", group=4),
        op("Conv", "a s", "b", "first"),
        op("Conv", "b s", "c", "second"),
        op("Conv", "c w", "y", "computed"),
        op("Mul", "k two", "w", "scaled"),
    ]
    weights = {
        "d": conv_weight(rng, 4, 1, 1, 1), "s": conv_weight(rng, 4, 4, 1, 1),
        "two": np.float32(2),
    }  # fmt: skip
    inputs = {"x": (1, 4, 5, 5), "k": (4, 4, 1, 1)}
    facts = inspect(store(model(nodes, weights, inputs=inputs), tmp_path)).model
    reasons = {layer.layer: layer.reason for layer in facts.layers}
    assert "depthwise" in reasons["depthwise"]
    assert "shared" in reasons["first"]
    assert "shared" in reasons["second"]
    assert "computed at run time" in reasons["computed"]
    assert {layer.layer: layer.op for layer in facts.layers}["computed"] == "Conv"


def test_folded_nodes_belong_to_the_groups_that_run_through_them(tmp_path: Path, rng: Rng) -> None:
    ones = np.ones(4, np.float32)
    nodes = [
        op("Conv", "x a", "t1", "one"),
        op("Identity", "t1", "t2", "same"),
        op("BatchNormalization", "t2 s b m v", "t3", "norm"),
        op("Relu", "t3", "t4", "relu"),
        op("Conv", "t4 w", "y", "two"),
    ]
    weights = {"a": conv_weight(rng, 4, 3, 3, 3), "w": conv_weight(rng, 5, 4, 1, 1)}
    weights |= {"s": ones, "b": ones, "m": ones, "v": ones}
    groups = inspect(store(model(nodes, weights), tmp_path), "coupling").coupling.groups
    (between,) = [group for group in groups if group.channels == 4]
    assert between.nodes == ("one", "same", "norm", "relu", "two")
    assert not between.frozen
    # What is left after folding: the filters, their new bias, and what reads them.
    assert between.parameters == 4 * 27 + 4 + 5 * 4


# -- files that cannot be optimized ----------------------------------------------------------


def test_control_flow_unknown_operators_and_missing_shapes(tmp_path: Path, rng: Rng) -> None:
    weight = conv_weight(rng, 3, 3, 1, 1)
    branch = [
        helper.make_graph(
            [helper.make_node("Conv", ["x", "inner"], ["z"], name="hidden")], "then", [],
            [helper.make_tensor_value_info("z", TensorProto.FLOAT, None)],
            [numpy_helper.from_array(weight, "inner")],
        ),
        helper.make_graph(
            [helper.make_node("Identity", ["x"], ["z2"])], "else", [],
            [helper.make_tensor_value_info("z2", TensorProto.FLOAT, None)],
        ),
    ]  # fmt: skip
    nodes = [
        op("ReduceMax", "x", "m", "largest", keepdims=0),
        op("Greater", "m zero", "c", "positive"),
        op("If", "c", "a", "choice", then_branch=branch[0], else_branch=branch[1]),
        op("Odd", "a", "b", "odd", domain="com.example", power=2),
        op("Relu", "b", "y", "relu"),
    ]
    proto = model(nodes, {"zero": np.float32(0)}, domains={"com.example": 1})
    facts = inspect(store(proto, tmp_path)).model
    by_name = {node.name: node for node in facts.nodes}
    assert by_name["choice"].macs is None
    assert by_name["choice"].parameters == weight.size
    assert "x" in by_name["choice"].inputs
    assert by_name["odd"].macs is None
    assert by_name["relu"].macs == 0
    assert by_name["relu"].output_shapes == (None,)
    assert facts.unknown_macs == 2
    assert facts.operators["com.example::Odd"] == 1
    assert "node 'choice' (If)" in facts.problem


def test_declared_shapes_count_behind_unknown_operators(tmp_path: Path, rng: Rng) -> None:
    nodes = [
        op("Odd", "x", "a", "odd", domain="com.example"),
        op("Conv", "a w", "y", "conv"),
    ]
    proto = model(nodes, {"w": conv_weight(rng, 4, 3, 1, 1)}, ("N", 3, 8, 8),
                  domains={"com.example": 1})  # fmt: skip
    proto.graph.value_info.append(
        helper.make_tensor_value_info("a", TensorProto.FLOAT, ["N", 3, 5, 5])
    )
    facts = inspect(store(proto, tmp_path)).model
    assert {n.name: n.output_shapes for n in facts.nodes}["conv"] == ((1, 4, 5, 5),)


def test_a_model_without_convolutions(tmp_path: Path, rng: Rng) -> None:
    weight = conv_weight(rng, 3, 5)
    nodes = [op("Gemm", "x w", "h", "first"), op("Relu", "h", "r", "relu"),
             op("Gemm", "r v", "y", "second")]  # fmt: skip
    path = store(model(nodes, {"w": weight, "v": conv_weight(rng, 5, 2)}, (2, 3)), tmp_path)
    found = inspect(path, "coupling", everything=True)
    assert "no Conv" in found.model.problem
    assert found.model.macs == 2 * 3 * 5 + 2 * 5 * 2
    assert [group.channels for group in found.coupling.groups if not group.frozen] == [5]
    assert len(found.sparsity.layers) == 2


def test_an_empty_graph(tmp_path: Path) -> None:
    path = store(model([], {}, outputs="x"), tmp_path)
    facts = inspect(path, everything=True).model
    assert (facts.nodes, facts.macs, facts.parameters) == ((), 0, 0)
    assert facts.problem


def test_dynamic_sizes_stay_unknown_until_they_are_given(tmp_path: Path, rng: Rng) -> None:
    nodes = [op("Conv", "x w", "y", "conv")]
    path = store(model(nodes, {"w": conv_weight(rng, 4, 3, 3, 3)}, ("N", 3, "H", "W")), tmp_path)
    facts = inspect(path).model
    assert facts.inputs[0].shape == (1, 3, None, None)
    assert facts.outputs[0].shape == facts.nodes[0].output_shapes[0] == (1, 4, None, None)
    assert facts.nodes[0].input_shapes == ((1, 3, None, None),)
    assert (facts.nodes[0].macs, facts.unknown_macs) == (None, 1)
    assert "--input-shapes x:1,3,224,224" in facts.problem
    given = inspect(path, input_shapes={"x": (1, 3, 10, 10)}).model
    assert given.macs == 64 * 4 * 27
    assert not given.problem
    told = Recorder()
    found = inspect(path, "coupling", reporter=told)
    assert found.coupling is None
    assert found.model.problem in told.notes[-1]
    assert "dynamic dimensions" in told.notes[-1]
    with pytest.raises(ModelError, match="z: the model has no such input, only 'x'"):
        inspect(path, input_shapes={"z": (1,)})


def test_external_data_beyond_2_gb(tmp_path: Path, rng: Rng) -> None:
    """Only what is looked at is read: the file on disk is a hole of 2.1 GB."""
    rows = 2_100_000_000 // (4 * 1024)
    nodes = [op("Conv", "x w", "c", "conv"), op("Gather", "table ids", "e", "embed"),
             op("Add", "c e", "y", "add")]  # fmt: skip
    weights = {"w": conv_weight(rng, 4, 3, 1, 1), "ids": np.array([0], np.int64)}
    proto = model(nodes, weights, (1, 3, 8, 1024))
    big = proto.graph.initializer.add(
        name="table", data_type=TensorProto.FLOAT, dims=[rows, 1024],
        data_location=TensorProto.EXTERNAL,
    )  # fmt: skip
    for key, value in {"location": "big.bin", "offset": 0, "length": rows * 4096}.items():
        big.external_data.add(key=key, value=str(value))
    with (tmp_path / "big.bin").open("wb") as file:
        file.truncate(rows * 4096)
    path = store(proto, tmp_path)
    facts = inspect(path, everything=True).model
    assert facts.parameters == rows * 1024 + 12
    assert facts.file_bytes > 2_090_000_000
    assert not facts.problem
    (tmp_path / "big.bin").write_bytes(b"cut")
    with pytest.raises(ModelError, match=r"'table'.*truncated"):
        inspect(path)


def test_a_layer_beyond_2_gb(tmp_path: Path) -> None:
    """Its weights are neither copied nor packed; the file on disk is a hole of 2.1 GB."""
    rows, columns = 65_536, 8_016
    proto = model([op("Conv", "x w", "y", "conv")], {}, (1, columns, 1, 1))
    big = proto.graph.initializer.add(
        name="w", data_type=TensorProto.FLOAT, dims=[rows, columns, 1, 1],
        data_location=TensorProto.EXTERNAL,
    )  # fmt: skip
    size = 4 * rows * columns
    for key, value in {"location": "big.bin", "offset": 0, "length": size}.items():
        big.external_data.add(key=key, value=str(value))
    with (tmp_path / "big.bin").open("wb") as file:
        file.truncate(size)
    path = store(proto, tmp_path)
    tracemalloc.start()
    try:
        facts = inspect(path).model
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert facts.macs == rows * columns
    assert facts.kept_macs == 0
    assert [(layer.op, layer.prunable) for layer in facts.layers] == [("SimdSparseConv", True)]
    assert peak < size / 2  # bytes of truth values, a quarter of the weights each


def test_what_is_larger_than_protobuf_is_left_where_it_lies(tmp_path: Path) -> None:
    proto = model([op("Conv", "x w", "y", "conv")], {}, (1, 8, 1, 1))
    big = proto.graph.initializer.add(
        name="w", data_type=TensorProto.FLOAT, dims=[2**26, 8, 1, 1],
        data_location=TensorProto.EXTERNAL,
    )  # fmt: skip
    for key, value in {"location": "absent.bin", "length": 2**31}.items():
        big.external_data.add(key=key, value=str(value))
    path = store(proto, tmp_path)
    assert isinstance(self_contained(path), StoredModel)
    with pytest.raises(ModelError, match=r"absent\.bin"):
        open_runnable(path)


def test_external_data_outside_the_folder_is_refused(tmp_path: Path, rng: Rng) -> None:
    proto = model([op("Conv", "x w", "y", "conv")], {"w": conv_weight(rng, 4, 3, 3, 3)})
    (tmp_path / "inner").mkdir()
    onnx.save(proto, tmp_path / "m.onnx", save_as_external_data=True, location="m.bin",
              size_threshold=0)  # fmt: skip
    proto = onnx.load(tmp_path / "m.onnx", load_external_data=False)
    proto.graph.initializer[0].external_data[0].value = "../m.bin"
    with pytest.raises(ModelError, match="external data"):
        inspect(store(proto, tmp_path / "inner"))


def test_unknown_views_and_flags_that_do_nothing(half_zero: Path) -> None:
    with pytest.raises(AlcsError, match="model, coupling, sparsity, latency"):
        inspect(half_zero, "colours")
    with pytest.raises(AlcsError, match="'latency' only"):
        inspect(half_zero, "model", curves=True)


def test_channels_of_a_model_that_does_not_run_are_no_promise(tmp_path: Path) -> None:
    """ONNX Runtime computes no convolution in bfloat16 here: nothing could be measured."""
    kind = TensorProto.BFLOAT16
    graph = helper.make_graph(
        [op("Conv", "x w", "c", "first"), op("Conv", "c v", "y", "second")],
        "halves",
        [helper.make_tensor_value_info("x", kind, [1, 3, 8, 8])],
        [helper.make_tensor_value_info("y", kind, [1, 4, 8, 8])],
        [helper.make_tensor("w", kind, [8, 3, 1, 1], [0.5] * 24),
         helper.make_tensor("v", kind, [4, 8, 1, 1], [0.5] * 32)],
    )  # fmt: skip
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)], ir_version=10)
    found = inspect(store(proto, tmp_path), "coupling")
    assert found.coupling.prunable_channels == 8
    assert found.model.problem.startswith("ONNX Runtime refuses the model: ")
