"""Quantized files: what is in int8 computes nearly the same, and all else is the user's file."""

from __future__ import annotations

import json
import logging
import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from graph_helpers import conv_weight, model, op, run, store, vector
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization.operators.qdq_base_operator import QDQOperatorBase
from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

from alcs_onnx.documents import from_plain, plain
from alcs_onnx.errors import AlcsError, DataError, ModelError, TargetError
from alcs_onnx.graph import folded, load_model, loadable, serialize
from alcs_onnx.quantization import (
    CALIBRATORS,
    LEAST_OPSET,
    QuantizeOptions,
    Ranges,
    calibrate,
    calibrate_by,
    products_overflow,
    quantizable,
    quantize,
)
from alcs_onnx.rewrite import random_model
from alcs_onnx.serialized import StoredModel
from alcs_onnx.sparse_format import OP_DOMAIN

Rng = np.random.Generator
SHAPE = (1, 3, 12, 12)
_QUANTIZING = ("QuantizeLinear", "DequantizeLinear")


def pictures(rng: Rng, shape: Sequence[int] = SHAPE, count: int = 8) -> list[dict[str, np.ndarray]]:
    return [{"x": rng.standard_normal(shape).astype(np.float32)} for _ in range(count)]


def block(rng: Rng, **more: Any) -> dict[str, Any]:
    weights = {"w": conv_weight(rng, 8, 3, 3, 3), "v": conv_weight(rng, 8, 8, 3, 3)}
    return {**weights, "b": vector(rng, 8), **more}


def small(rng: Rng, opset: int = 13) -> onnx.ModelProto:
    """Two convolutions with activations, a sum and a concatenation; a float tail."""
    nodes = [
        op("Conv", "x w b", "a", "first", pads=[1] * 4),
        op("Relu", "a", "r", "relu"),
        op("Conv", "r v", "c", "second", pads=[1] * 4),
        op("Clip", "c low high", "d", "clip"),
        op("Add", "d r", "e", "sum"),
        op("Concat", "e r", "f", "join", axis=1),
        op("Elu", "f", "y", "tail"),
    ]
    return model(nodes, block(rng, low=np.float32(-1), high=np.float32(2)), SHAPE, opset=opset)


def types(data: bytes) -> Counter[str]:
    return Counter(node.op_type for node in onnx.load_from_string(data).graph.node)


def int8(proto: onnx.ModelProto, rng: Rng, nodes=None, shape=SHAPE, close: float = 0.05, **options):
    """The quantized model, checked: valid, and near the float model on new pictures.

    Weights take 7 bits where products of 8 overflow on this machine.
    """
    options.setdefault("reduce_range", products_overflow())
    source = proto.SerializeToString()
    given = pictures(rng, shape)
    ranges = calibrate(source, given)
    result = quantize(source, ranges, nodes, QuantizeOptions(**options))
    assert isinstance(result.model, bytes)
    check_valid(result.model, run(source, given[0]))
    for feeds in given[:3]:
        for got, wanted in zip(run(result.model, feeds), run(source, feeds), strict=True):
            assert got.shape == wanted.shape
            assert np.linalg.norm(got - wanted) <= close * np.linalg.norm(wanted)
    return result


def check_valid(data: bytes, outputs: Sequence[np.ndarray]) -> None:
    """The checker wants the shapes of outputs."""
    proto = onnx.load_from_string(data)
    for info, array in zip(proto.graph.output, outputs, strict=True):
        info.CopyFrom(helper.make_tensor_value_info(info.name, TensorProto.FLOAT, array.shape))
    onnx.checker.check_model(proto, full_check=True)


@pytest.mark.parametrize("opset", range(13, 22))
def test_all_that_can_be_is_in_int8(rng: Rng, opset: int) -> None:
    result = int8(small(rng, opset), rng)
    assert result.nodes == {"a", "r", "c", "d", "e", "f"}
    assert not result.left
    found = types(result.model)
    assert (found["Conv"], found["Relu"], found["Clip"], found["Elu"]) == (2, 0, 0, 1)
    assert onnx.load_from_string(result.model).opset_import[0].version == opset


@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("activation", ["u8", "s8"])
@pytest.mark.parametrize("weight", ["u8", "s8"])
def test_types_of_activations_and_weights(
    rng: Rng, per_channel: bool, activation: str, weight: str
) -> None:
    result = int8(small(rng), rng, per_channel=per_channel, activation=activation, weight=weight)
    graph = onnx.load_from_string(result.model).graph
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    dtypes = {"u8": TensorProto.UINT8, "s8": TensorProto.INT8}
    (kernel,) = (node for node in graph.node if node.input and node.input[0] == "w_quantized")
    assert tensors["w_quantized"].data_type == dtypes[weight]
    assert list(tensors[kernel.input[1]].dims) == ([8] if per_channel else [])
    (entry,) = (n for n in graph.node if n.op_type == "QuantizeLinear" and n.input[0] == "x")
    assert tensors[entry.input[2]].data_type == dtypes[activation]


def test_seven_bits(rng: Rng) -> None:
    result = int8(small(rng), rng, reduce_range=True)
    tensors = {t.name: t for t in onnx.load_from_string(result.model).graph.initializer}
    assert np.abs(numpy_helper.to_array(tensors["w_quantized"])).max() <= 64


def test_seven_bits_never_overflow(rng: Rng) -> None:
    """The largest values that 8 bits of activations and 7 of weights can have, side by side."""
    weights = {"w": np.full((8, 16, 1, 1), 1, np.float32)}
    proto = model([op("Conv", "x w", "y")], weights, (1, 16, 4, 4), opset=13)
    source, feeds = proto.SerializeToString(), {"x": np.ones((1, 16, 4, 4), np.float32)}
    ranges = calibrate(source, [feeds])
    found = {}
    for seven in (True, False):
        options = QuantizeOptions(reduce_range=seven)
        result = quantize(source, ranges, options=options)
        assert isinstance(result.model, bytes)
        (outputs,) = run(result.model, feeds)
        found[seven] = np.abs(outputs - 16).max()
    assert found[True] < 0.2
    assert bool(found[False] > 1) is products_overflow()


def _changes(before: onnx.ModelProto, data: bytes, quantized: set[str]) -> list[str]:
    """What else is not as it was."""
    after = onnx.load_from_string(data)
    found = []
    for name in ("ir_version", "producer_name", "producer_version", "domain", "model_version",
                 "doc_string", "metadata_props", "functions", "opset_import"):  # fmt: skip
        if getattr(before, name) != getattr(after, name):
            found.append(name)
    for name in ("name", "doc_string", "input", "output", "metadata_props"):
        if getattr(before.graph, name) != getattr(after.graph, name):
            found.append(f"graph.{name}")
    kept = [node for node in after.graph.node if node.op_type not in _QUANTIZING]
    made = {name for node in kept for name in node.output}
    known = {node.name: node for node in before.graph.node}
    for node in kept:
        old = known.pop(node.name)
        stay = [f for f in ("op_type", "domain", "doc_string", "attribute", "metadata_props")
                if getattr(node, f) != getattr(old, f)]  # fmt: skip
        found += [f"{node.name}.{field}" for field in stay]
        clamp = [
            n.output for n in before.graph.node if n.name in quantized and n.input[0] in old.output
        ]
        if node.output not in [old.output, *clamp]:
            found.append(f"outputs of {node.name}")
    found += [f"{name} is gone" for name in known if name not in quantized]
    read = {name for node in after.graph.node for name in node.input} | made
    arrays = {t.name: t for t in after.graph.initializer}
    for tensor in before.graph.initializer:
        unread = not any(tensor.name in node.input for node in before.graph.node)
        if (unread or tensor.name in read) and arrays.get(tensor.name) != tensor:
            found.append(f"initializer {tensor.name}")
    return found


def _documented(rng: Rng) -> onnx.ModelProto:
    proto = small(rng)
    proto.producer_name, proto.producer_version, proto.domain = "somebody", "3", "org.own"
    proto.doc_string, proto.model_version = "text", 7
    helper.set_model_props(proto, {"key": "value"})
    proto.graph.doc_string = "the graph"
    for node in proto.graph.node:
        node.doc_string = f"about {node.name}"
    proto.graph.initializer.append(numpy_helper.from_array(vector(rng, 5), "unused"))
    proto.graph.initializer[0].doc_string = "the kernel"
    return proto


def test_outside_of_the_nodes_nothing_changes(rng: Rng) -> None:
    proto = _documented(rng)
    assert not _changes(proto, int8(proto, rng).model, {"relu", "clip"})
    only = int8(proto, rng, {"a"})
    assert only.nodes == {"a", "r"}  # its Relu goes with it
    assert not _changes(proto, only.model, {"relu"})
    assert types(only.model)["Clip"] == 1
    assert _changes(proto, small(rng).SerializeToString(), set())  # the check sees a difference


def test_no_node_is_the_source_itself(rng: Rng) -> None:
    source = small(rng).SerializeToString()
    ranges = calibrate(source, pictures(rng))
    assert quantize(source, ranges, []).model is source


def test_float_nodes_read_float_tensors(rng: Rng) -> None:
    """What a float node computes, inputs and constants are not made coarser for float readers."""
    nodes = [
        op("Elu", "x", "e", "elu"),
        op("Conv", "e w b", "a", "conv", pads=[1] * 4),
        op("Conv", "e w b", "c", "float", pads=[1] * 4),
        op("Neg", "e", "n", "neg"),
        op("Softplus", "b", "s", "of_bias"),
        op("Identity", "e", "z", "out"),
    ]
    proto = model(nodes, block(rng), SHAPE, outputs="a c n s z e", opset=13)
    result = int8(proto, rng, {"a"})
    feeds = pictures(rng)[0]
    wanted, got = run(proto.SerializeToString(), feeds), run(result.model, feeds)
    assert not np.array_equal(got[0], wanted[0])
    for index in range(1, 6):
        np.testing.assert_array_equal(got[index], wanted[index])
    by_name = {node.name: node for node in onnx.load_from_string(result.model).graph.node}
    for node in nodes:
        assert node.name == "conv" or by_name[node.name] == node


def test_names_that_the_quantizer_would_make_are_taken_already(rng: Rng) -> None:
    nodes = [
        op("Conv", "x w w_scale", "a", pads=[1] * 4),
        op("Mul", "a x_scale", "x_QuantizeLinear_Output"),
        op("Conv", "x_QuantizeLinear_Output v", "y", pads=[1] * 4),
    ]
    weights = block(rng, w_scale=vector(rng, 8), x_scale=vector(rng, 8).reshape(1, 8, 1, 1))
    int8(model(nodes, weights, SHAPE, opset=13), rng)


def test_nodes_without_names_and_with_those_of_new_ones(rng: Rng) -> None:
    proto = small(rng)
    for node in proto.graph.node:
        node.name = "x_QuantizeLinear" if node.op_type == "Concat" else ""
    result = int8(proto, rng)
    assert result.nodes == {"a", "r", "c", "d", "e", "f"}
    names = Counter(n.name for n in onnx.load_from_string(result.model).graph.node if n.name)
    assert set(names.values()) == {1}


def test_subgraphs_read_what_the_convolution_became(rng: Rng) -> None:
    def branch(name: str, op_type: str) -> onnx.GraphProto:
        return helper.make_graph([op(op_type, "r", f"o_{name}")], name, [],
                                 [onnx.ValueInfoProto(name=f"o_{name}")])  # fmt: skip

    nodes = [
        op("Conv", "x w b", "a", "conv"), op("Relu", "a", "r", "relu"),
        op("ReduceMax", "x", "m", keepdims=0), op("Greater", "m zero", "c"),
        op("If", "c", "y", "choice",
           then_branch=branch("t", "Neg"), else_branch=branch("e", "Abs")),
    ]  # fmt: skip
    proto = model(nodes, block(rng, zero=np.float32(0)), SHAPE, opset=13)
    assert int8(proto, rng).nodes == {"a", "r"}


def test_a_relu_that_a_branch_sees_into_stays(rng: Rng) -> None:
    """The branch reads the tensor before the Relu: both are needed."""
    branches = [
        helper.make_graph(
            [op("Neg", "a", f"o{i}")], f"b{i}", [], [onnx.ValueInfoProto(name=f"o{i}")]
        )
        for i in range(2)
    ]
    nodes = [
        op("Conv", "x w b", "a", "conv"), op("Relu", "a", "z", "relu"),
        op("ReduceMax", "x", "m", keepdims=0), op("Greater", "m zero", "c"),
        op("If", "c", "y", "choice", then_branch=branches[0], else_branch=branches[1]),
    ]  # fmt: skip
    proto = model(nodes, block(rng, zero=np.float32(0)), SHAPE, opset=13, outputs="y z")
    result = int8(proto, rng)
    assert result.nodes == {"a"}
    assert types(result.model)["Relu"] == 1


def test_constant_nodes_are_weights_too(rng: Rng) -> None:
    weights = block(rng)
    constants = [op("Constant", "", name, value=numpy_helper.from_array(weights[name]))
                 for name in ("w", "b")]  # fmt: skip
    nodes = [*constants, op("Conv", "x w b", "a", "conv"), op("Neg", "b", "n"), op("Elu", "a", "y")]
    result = int8(model(nodes, {}, SHAPE, opset=13, outputs="y n"), rng)
    assert result.nodes == {"a"}
    assert types(result.model)["Constant"] == 1  # the bias has a float reader left


def test_open_batch(rng: Rng) -> None:
    nodes = [op("Conv", "x w b", "a"), op("GlobalAveragePool", "a", "g"), op("Flatten", "g", "f"),
             op("Gemm", "f k t", "y", transB=1)]  # fmt: skip
    weights = block(rng, k=conv_weight(rng, 4, 8), t=vector(rng, 4))
    proto = model(nodes, weights, ("N", 3, 12, 12), opset=13)
    result = int8(proto, rng)
    assert result.nodes == {"a", "g", "f", "y"}
    batch = {"x": rng.standard_normal((5, 3, 12, 12)).astype(np.float32)}
    rows = [run(result.model, {"x": x[None]})[0] for x in batch["x"]]
    np.testing.assert_allclose(run(result.model, batch)[0], np.concatenate(rows), atol=1e-5)
    assert onnx.load_from_string(result.model).graph.input == proto.graph.input


@pytest.mark.parametrize("spatial", [1, 3])
def test_convolutions_along_other_numbers_of_axes(rng: Rng, spatial: int) -> None:
    kernel = (3,) * spatial
    weights = {"w": conv_weight(rng, 8, 3, *kernel), "d": conv_weight(rng, 8, 1, *kernel),
               "b": vector(rng, 8)}  # fmt: skip
    nodes = [op("Conv", "x w b", "a"), op("Relu", "a", "r"), op("Conv", "r d b", "y", group=8)]
    shape = (1, 3, *(8,) * spatial)
    assert int8(model(nodes, weights, shape, opset=13), rng, shape=shape).nodes == {"a", "r", "y"}


def test_what_stays_float_and_why(rng: Rng) -> None:
    weights = block(rng, t=conv_weight(rng, 8, 4, 2, 2), one=np.float32(1), six=np.float32(6),
                    s=np.array([1, 1, 2, 2], np.float32), far=np.array([[[[np.inf]]]], np.float32),
                    k=conv_weight(rng, 8, 3), e=np.float32(0.1))  # fmt: skip
    nodes = [
        op("ConvTranspose", "c t", "transposed"),
        op("Conv", "x w b", "a"),
        op("Clip", "a one six", "c"),
        op("Resize", "c - s", "resized", mode="linear"),
        op("Elu", "b", "computed"),
        op("Conv", "x w computed", "late_bias"),
        op("Mul", "x e", "made"),
        op("Slice", "w i0 i1 i2", "kernel"),
        op("Conv", "x kernel", "late_weight"),
        op("Add", "x far", "infinite"),
        op("ReduceMax", "x", "p", axes=[2, 3], keepdims=0),
        op("Gemm", "k p", "gemm", alpha=0.5),
    ]  # fmt: skip
    nodes = [nodes[1], nodes[2], nodes[0], *nodes[3:]]
    nodes[-1] = op("Gemm", "p k2", "gemm", alpha=0.5)
    weights |= {"k2": conv_weight(rng, 3, 5), "i0": np.array([0]), "i1": np.array([8]),
                "i2": np.array([0])}  # fmt: skip
    outputs = "transposed resized late_bias late_weight infinite gemm made"
    proto = model(nodes, weights, SHAPE, opset=13, outputs=outputs)
    source = proto.SerializeToString()
    ranges = calibrate(source, pictures(rng))
    reasons = quantizable(source, ranges)
    assert {name: reasons[name] for name in ("transposed", "c", "resized", "late_bias",
                                             "late_weight", "infinite", "gemm", "a", "made")} == {
        "transposed": "ONNX Runtime has no int8 kernel for ConvTranspose on CPUs",
        "c": "its bounds leave out 0, which a quantized range never does",
        "resized": "ONNX Runtime interpolates in float",
        "late_bias": "its bias is computed at run time",
        "late_weight": "its weights are computed at run time",
        "infinite": "tensor 'infinite' is not float32, or not finite on the pictures",
        "gemm": "ONNX Runtime's int8 Gemm has no alpha and no transA",
        "a": "",
        "made": "",
    }  # fmt: skip
    result = quantize(source, ranges, ["a", "transposed"])
    assert result.nodes == {"a"}
    assert set(result.left) == {"transposed"}
    with pytest.raises(ModelError, match="no node of the model computes 'nothing'"):
        quantize(source, ranges, ["nothing"])


def test_a_weight_that_a_float_node_reshapes(rng: Rng) -> None:
    """It has a scale for each channel in the convolution, which Reshape could not hand on."""
    weights = {"w": conv_weight(rng, 8, 3, 1, 1), "s": np.array([3, 8])}
    nodes = [op("Conv", "x w", "a"), op("Reshape", "w s", "m"), op("GlobalAveragePool", "x", "g"),
             op("Flatten", "g", "f"), op("MatMul", "f m", "y")]  # fmt: skip
    proto = model(nodes, weights, SHAPE, opset=13, outputs="a y w")
    source, given = proto.SerializeToString(), pictures(rng)
    options = QuantizeOptions(reduce_range=products_overflow())
    result = quantize(source, calibrate(source, given), ["a", "m", "y"], options)
    assert dict(result.left) == {"m": "what it hands on is constant"}
    assert result.nodes == {"a", "y"}
    feeds = given[0]  # what the ranges were taken from: nothing is beyond them
    assert isinstance(result.model, bytes)
    for got, wanted in zip(run(result.model, feeds), run(source, feeds), strict=True):
        assert np.linalg.norm(got - wanted) <= 0.1 * np.linalg.norm(wanted)
    np.testing.assert_array_equal(run(result.model, feeds)[2], weights["w"])


def test_float16_stays(rng: Rng) -> None:
    proto = model([op("Conv", "x w", "y")], {"w": conv_weight(rng, 4, 3, 3, 3).astype(np.float16)},
                  SHAPE, opset=13)  # fmt: skip
    for info in (*proto.graph.input, *proto.graph.output):
        info.type.tensor_type.elem_type = TensorProto.FLOAT16
    source = proto.SerializeToString()
    given = [{"x": feeds["x"].astype(np.float16)} for feeds in pictures(rng)]
    ranges = calibrate(source, given)
    assert not ranges.values
    assert quantizable(source, ranges) == {"y": "its weights are float16"}
    assert quantize(source, ranges).model is source


def test_quantized_layers_stay_as_they_are(rng: Rng) -> None:
    """A file that is quantized in parts: the rest can be, too."""
    once = int8(small(rng), rng, {"a"})
    twice = int8(onnx.load_from_string(once.model), rng)
    assert "c" in twice.nodes
    reasons = quantizable(once.model, calibrate(once.model, pictures(rng)))
    assert reasons["r"] == "its weights are quantized already"
    before = {
        n.name: n for n in onnx.load_from_string(once.model).graph.node if n.op_type == "Conv"
    }
    after = {
        n.name: n for n in onnx.load_from_string(twice.model).graph.node if n.op_type == "Conv"
    }
    assert after["first"] == before["first"]


def test_opsets_below_13_are_refused(rng: Rng) -> None:
    source = small(rng, 12).SerializeToString()
    ranges = calibrate(source, pictures(rng))
    with pytest.raises(ModelError, match="opset 13"):
        quantize(source, ranges)


@pytest.mark.parametrize("calibrator", CALIBRATORS)
def test_calibrators_say_nothing_and_leave_nothing(
    rng: Rng, tmp_path: Path, monkeypatch, capfd: pytest.CaptureFixture, calibrator: str
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.chdir(tmp_path)
    handlers = list(logging.getLogger().handlers)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        source = small(rng).SerializeToString()
        given = pictures(rng)
        ranges = calibrate(source, given, calibrator)
        result = quantize(source, ranges)
    assert isinstance(result.model, bytes)
    assert capfd.readouterr() == ("", "")
    assert list(tmp_path.iterdir()) == []
    assert logging.getLogger().handlers == handlers
    assert (ranges.calibrator, ranges.pictures) == (calibrator, 8)
    largest = max(float(feeds["x"].max()) for feeds in given)
    low, high = ranges.values["x"]
    assert low < 0 < high <= largest * 1.001
    assert high >= 0.3 * largest
    wanted, got = run(source, given[0])[0], run(result.model, given[0])[0]
    assert np.linalg.norm(got - wanted) <= 0.15 * np.linalg.norm(wanted)


def test_one_picture_in_ten_stretches_no_range(rng: Rng) -> None:
    source, given = small(rng).SerializeToString(), pictures(rng, count=20)
    given[3]["x"][0, 0, 0, 0], given[7]["x"][0, 0, 0, 0] = 90.0, -80.0
    all_seen, most = calibrate_by(["min-max", "extremes"], source, given)
    assert [all_seen.calibrator, most.calibrator] == ["min-max", "extremes"]
    assert all_seen == calibrate(source, given)
    assert all_seen.values["x"] == (-80.0, 90.0)
    low, high = most.values["x"]
    assert low in {float(feeds["x"].min()) for feeds in given}
    assert high in {float(feeds["x"].max()) for feeds in given}
    assert -10 < low < high < 10
    assert most.values.keys() == all_seen.values.keys()
    weights = {"w": np.ones((1, 3, 1, 1), np.float32)}
    source = model([op("Conv", "x w", "y")], weights, SHAPE, opset=13).SerializeToString()
    assert calibrate(source, given, "extremes").values.keys() == {"x", "y"}
    given[5]["x"][0, 1, 1, 1] = np.inf
    assert not calibrate(source, given, "extremes").values


def test_min_max_is_what_was_seen(rng: Rng) -> None:
    source, given = small(rng).SerializeToString(), pictures(rng)
    ranges = calibrate(source, iter(given))
    values = np.concatenate([feeds["x"] for feeds in given])
    assert ranges.values["x"] == (float(values.min()), float(values.max()))
    again = from_plain(json.loads(json.dumps(plain(ranges))), Ranges)
    assert again == ranges
    assert again.digest == ranges.digest != calibrate(source, given[:2]).digest


@pytest.mark.parametrize("calibrator", CALIBRATORS)
def test_nan_is_an_error_that_names_node_and_picture(rng: Rng, calibrator: str) -> None:
    nodes = [op("Conv", "x w b", "a", "conv"), op("Sqrt", "a", "s", "root"), op("Relu", "s", "y")]
    source = model(nodes, block(rng, b=np.full(8, 50, np.float32)), SHAPE, opset=13)
    data = source.SerializeToString()
    given = pictures(rng)
    calibrate(data, given, calibrator)
    given[5]["x"] -= 100 * np.sign(conv_weight(rng, 1, 3, 12, 12))
    with pytest.raises(DataError, match=r"^picture 6: node 'root' \(Sqrt\) computes NaN$"):
        calibrate(data, given, calibrator)
    given[2]["x"][0, 0, 0, 0] = np.nan
    with pytest.raises(DataError, match=r"^picture 3: input 'x' holds NaN$"):
        calibrate(data, given, calibrator)


def test_bad_pictures(rng: Rng) -> None:
    source = small(rng).SerializeToString()
    with pytest.raises(DataError, match="no pictures"):
        calibrate(source, [])
    with pytest.raises(DataError, match="picture 2: the model does not run"):
        calibrate(source, [*pictures(rng, count=1), {"x": np.zeros((1, 4, 12, 12), np.float32)}])
    with pytest.raises(AlcsError, match="calibrator 'best' is not known"):
        calibrate(source, pictures(rng), "best")


def test_what_the_quantizer_refuses_stays_float(rng: Rng, monkeypatch) -> None:
    """A refusal that names nothing is found by halves."""
    plain_quantize = QDQOperatorBase.quantize

    def refusing(self: Any) -> None:
        if self.node.op_type == "Concat":
            raise ValueError("something is wrong")
        plain_quantize(self)

    monkeypatch.setattr(QDQOperatorBase, "quantize", refusing)
    result = int8(small(rng), rng)
    assert dict(result.left) == {"f": "it is refused: something is wrong"}
    assert result.nodes == {"a", "r", "c", "d", "e"}


def test_our_operators_stay_and_their_bodies(rng: Rng, tmp_path: Path) -> None:
    loaded = load_model(store(small(rng), tmp_path))
    sparse = random_model(loaded, {"first": 0.5}, 4, 1, ["second"]).model
    source = onnx.load_from_string(serialize(folded(sparse), LEAST_OPSET))
    result = int8(source, rng)
    written = onnx.load_from_string(result.model)
    assert written.functions == source.functions
    ours = [node for node in source.graph.node if node.domain == OP_DOMAIN]
    assert [node for node in written.graph.node if node.domain == OP_DOMAIN] == ours
    assert len(ours) == 1
    assert "c" in result.nodes


def test_beyond_what_one_message_holds(rng: Rng, tmp_path: Path, monkeypatch) -> None:
    loaded = load_model(store(small(rng), tmp_path))
    source = loadable(loaded)
    monkeypatch.setattr("alcs_onnx.graph.save._LIMIT", 100)
    large = loadable(loaded)
    given = pictures(rng)
    ranges = calibrate(large, given)
    assert ranges == calibrate(source, given)
    result = quantize(large, ranges)
    assert isinstance(result.model, StoredModel)
    assert result.nodes == quantize(source, ranges).nodes == {"a", "r", "c", "d", "e", "f"}
    wanted = run(tmp_path / "model.onnx", given[0])[0]
    got = run(result.model.path, given[0])[0]
    assert np.linalg.norm(got - wanted) <= 0.05 * np.linalg.norm(wanted)


def test_a_quantizer_that_refuses_everything_is_an_error(rng: Rng, monkeypatch) -> None:
    def refusing(self: Any) -> None:
        raise ValueError("nothing works\nat all")

    nodes = [op("Conv", f"{'x' if i == 0 else f'a{i - 1}'} w", f"a{i}") for i in range(20)]
    proto = model(nodes, {"w": conv_weight(rng, 3, 3, 1, 1)}, SHAPE, opset=13, outputs="a19")
    source = proto.SerializeToString()
    ranges = calibrate(source, pictures(rng))
    monkeypatch.setattr(QDQQuantizer, "quantize_model", refusing)
    with pytest.raises(ModelError) as error:
        quantize(source, ranges)
    assert str(error.value) == "the quantizer of ONNX Runtime refuses the model: nothing works"


def test_an_old_runtime_is_an_error(rng: Rng, monkeypatch) -> None:
    source = small(rng).SerializeToString()
    ranges = calibrate(source, pictures(rng))
    monkeypatch.setattr("alcs_onnx.ort.runtime_version", lambda: "1.19.2")
    for work in (lambda: quantize(source, ranges), lambda: calibrate(source, pictures(rng))):
        with pytest.raises(TargetError) as error:
            work()
        assert str(error.value) == (
            "ONNX Runtime 1.19.2 is too old: int8 models need 1.20 or newer"
        )
