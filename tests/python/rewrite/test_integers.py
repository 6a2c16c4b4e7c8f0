"""Convolutions of quantized files on integers of ours: what the file says, by bytes in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from graph_helpers import Array, conv_weight, model, op, run, store, vector
from int8_files import branching_network, quantized
from onnx import numpy_helper
from op_sessions import create_session

from alcs_onnx.errors import ModelError
from alcs_onnx.graph import Model, load_model, save_model, serialize
from alcs_onnx.integer_format import OP_PACK, OP_QLINEAR_CONV, OP_QLINEAR_CONV_ADD, OP_UNPACK
from alcs_onnx.rewrite.integers import IntegerRewrite, as_integers

Rng = np.random.Generator
Nodes = Sequence[onnx.NodeProto]


def written(
    tmp_path: Path, nodes: Nodes, weights: dict[str, Array], x: tuple[int, ...]
) -> tuple[onnx.ModelProto, Model]:
    """The quantized file of a float network, and it as it is loaded."""
    proto = quantized(model(nodes, weights, x))
    return proto, load_model(store(proto, tmp_path))


def check(result: IntegerRewrite, proto: onnx.ModelProto, shape: tuple[int, ...]) -> None:
    """The library computes what any runtime makes of the file, bytes for bytes.

    And that is what the quantized file says but for rounding: a few steps of the output.
    """
    source = serialize(result.model)
    onnx.checker.check_model(source, full_check=True)
    # What the ranges are of: beyond them a file that rounds in front of a sum cuts off what ours
    # does not.
    feeds = {"x": np.random.default_rng(0).standard_normal(shape).astype(np.float32)}
    (ours,) = create_session(source).run(None, feeds)
    (plain,) = run(source, feeds)
    np.testing.assert_array_equal(ours, plain)
    (said,) = run(proto.SerializeToString(), feeds, optimise=False)
    last = next(node for node in proto.graph.node if "y" in node.output)
    scale = next(t for t in proto.graph.initializer if t.name == last.input[1])
    step = float(numpy_helper.to_array(scale))
    assert ours.shape == said.shape
    # What is rounded once less in front of a sum moves what is rounded behind it.
    assert np.abs(ours - said).max() <= 4 * step
    assert np.abs(ours - said).mean() <= 0.4 * step


def ops(model: Model) -> Counter[str]:
    return Counter(node.op_type for node in model.nodes)


def residual_network(rng: Rng, m: int = 16) -> tuple[Nodes, dict[str, Array]]:
    nodes = [
        op("Conv", "x w1 b1", "c1", "first", pads=[1] * 4),
        op("Relu", "c1", "r1", "first_relu"),
        op("Conv", "r1 w2 b2", "c2", "second", pads=[1] * 4),
        op("Relu", "c2", "r2", "second_relu"),
        op("Conv", "r2 w3", "c3", "third"),
        op("Add", "c3 r1", "s", "sum"),
        op("Relu", "s", "y", "sum_relu"),
    ]
    weights = {
        "w1": conv_weight(rng, m, 3, 3, 3), "b1": vector(rng, m),
        "w2": conv_weight(rng, 8, m, 3, 3), "b2": vector(rng, 8),
        "w3": conv_weight(rng, m, 8, 1, 1),
    }  # fmt: skip
    return nodes, weights


@pytest.mark.parametrize("m", [16, 6])
def test_a_chain_stays_in_words(tmp_path: Path, rng: Rng, m: int) -> None:
    nodes, weights = residual_network(rng, m)
    proto, loaded = written(tmp_path, nodes, weights, (1, 3, 9, 9))
    result = as_integers(loaded)
    assert ops(result.model) == {
        "QuantizeLinear": 1, OP_PACK: 1, OP_QLINEAR_CONV: 2, OP_QLINEAR_CONV_ADD: 1, OP_UNPACK: 1,
        "DequantizeLinear": 1,
    }  # fmt: skip
    assert [(row.layer, row.op, row.reason) for row in result.layers] == [
        ("first", OP_QLINEAR_CONV, ""),
        ("second", OP_QLINEAR_CONV, ""),
        ("third", OP_QLINEAR_CONV_ADD, ""),
    ]
    assert result.layers[-1].fused[0] == "residual"
    check(result, proto, (1, 3, 9, 9))


NETWORKS: dict[str, tuple[Callable[[Rng], tuple[Nodes, dict[str, Array]]], tuple[int, ...]]] = {
    "depthwise": (
        lambda rng: (
            [
                op("Conv", "x w1", "c1", "expand"), op("Clip", "c1 lo hi", "r1"),
                op("Conv", "r1 w2 b2", "c2", "depthwise", group=8, pads=[1] * 4, strides=[2, 2]),
                op("Clip", "c2 lo hi", "r2"), op("Conv", "r2 w3", "y", "project"),
            ],
            {
                "w1": conv_weight(rng, 8, 3, 1, 1), "w2": conv_weight(rng, 8, 1, 3, 3),
                "b2": vector(rng, 8), "w3": conv_weight(rng, 5, 8, 1, 1),
                "lo": np.array(0, np.float32), "hi": np.array(6, np.float32),
            },
        ),
        (1, 3, 11, 8),
    ),
    "LeakyRelu": (
        lambda rng: (
            [
                op("Conv", "x w1", "c1", "first"), op("LeakyRelu", "c1", "r1", alpha=0.1),
                op("Conv", "r1 w2", "y", "second"),
            ],
            {"w1": conv_weight(rng, 8, 4, 1, 1), "w2": conv_weight(rng, 8, 8, 1, 1)},
        ),
        (2, 4, 5, 5),
    ),
    "conv groups": (
        lambda rng: (
            [op("Conv", "x w1", "y", "first", group=2, pads=[1, 0, 0, 1], dilations=[2, 1])],
            {"w1": conv_weight(rng, 24, 8, 3, 3)},
        ),
        (1, 16, 9, 7),
    ),
    "1-D": (
        lambda rng: (
            [op("Conv", "x w1", "y", "first", pads=[2, 2], strides=[2])],
            {"w1": conv_weight(rng, 8, 6, 5)},
        ),
        (2, 6, 21),
    ),
    "pooled": (
        lambda rng: (
            [
                op("Conv", "x w1", "c1", "first"),
                op("MaxPool", "c1", "p", "pool", kernel_shape=[2, 2], strides=[2, 2]),
                op("Conv", "p w2", "y", "second"),
            ],
            {"w1": conv_weight(rng, 8, 4, 1, 1), "w2": conv_weight(rng, 8, 8, 1, 1)},
        ),
        (1, 4, 8, 8),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", NETWORKS)
def test_networks(tmp_path: Path, rng: Rng, name: str) -> None:
    make, shape = NETWORKS[name]
    proto, loaded = written(tmp_path, *make(rng), shape)
    result = as_integers(loaded)
    assert all(row.op == OP_QLINEAR_CONV for row in result.layers)
    assert "Conv" not in ops(result.model)
    check(result, proto, shape)


@pytest.mark.parametrize("name", ["depthwise", "residual", "conv groups", "pooled"])
def test_a_written_file_is_read_as_the_quantized_one(tmp_path: Path, rng: Rng, name: str) -> None:
    make, shape = NETWORKS.get(name, (residual_network, (1, 3, 9, 9)))
    _, loaded = written(tmp_path, *make(rng), shape)
    first = as_integers(loaded)
    save_model(first.model, tmp_path / "integers.onnx")
    again = load_model(tmp_path / "integers.onnx")
    assert {"Conv", "QuantizeLinear", "DequantizeLinear"} <= set(ops(again))
    assert not any(node.domain for node in again.nodes)
    assert [o.name for o in again.outputs] == [o.name for o in loaded.outputs]
    second = as_integers(again)
    assert ops(second.model) == ops(first.model)
    feeds = {"x": rng.standard_normal(shape).astype(np.float32)}
    expected = create_session(serialize(first.model)).run(None, feeds)[0]
    np.testing.assert_array_equal(
        create_session(serialize(second.model)).run(None, feeds)[0], expected
    )


def activated_sum(rng: Rng, activation: str) -> tuple[Nodes, dict[str, Array]]:
    """A sum of a convolution and one with an activation behind it."""
    nodes = [
        op("Conv", "x w1", "c1", "first", pads=[1] * 4),
        op("Conv", "c1 w2", "c2", "second", pads=[1] * 4),
        op("Relu", "c2", "r2") if activation == "Relu" else op("Clip", "c2 lo hi", "r2"),
        op("Add", "c1 r2", "y"),
    ]
    bounds = {"lo": np.array(-0.5, np.float32), "hi": np.array(0.5, np.float32)}
    weights = {"w1": conv_weight(rng, 8, 3, 3, 3), "w2": conv_weight(rng, 8, 8, 3, 3)}
    return nodes, weights | (bounds if activation == "Clip" else {})


@pytest.mark.parametrize("activation", ["Relu", "Clip"])
def test_activations_that_rounding_stands_for_stay(
    tmp_path: Path, rng: Rng, activation: str
) -> None:
    """The quantizer leaves them out: what cuts off in front of the sum is what rounds there."""
    nodes, weights = activated_sum(rng, activation)
    proto, loaded = written(tmp_path, nodes, weights, (1, 3, 9, 9))
    assert activation not in ops(loaded)
    # A Relu is known by its zero point, others by the float network.
    result = as_integers(loaded, clipped=["second"] if activation == "Clip" else [])
    rows = {row.layer: row for row in result.layers}
    assert (rows["first"].op, rows["second"].op) == (OP_QLINEAR_CONV, OP_QLINEAR_CONV)
    check(result, proto, (1, 3, 9, 9))


def test_steps_that_change_in_front_of_a_sum(tmp_path: Path, rng: Rng) -> None:
    """What is quantized by one step and read by another is not the same any more."""
    nodes, weights = residual_network(rng)
    proto = quantized(model(nodes, weights, (1, 3, 9, 9)))
    add = next(node for node in proto.graph.node if node.op_type == "Add")
    (read,) = (x for x in proto.graph.node if add.input[0] in x.output)
    double = 2 * numpy_helper.to_array(
        next(t for t in proto.graph.initializer if t.name == read.input[1])
    )
    proto.graph.initializer.append(numpy_helper.from_array(double, "double"))
    read.input[1] = "double"
    rows = {x.layer: x for x in as_integers(load_model(store(proto, tmp_path))).layers}
    assert rows["third"].op == OP_QLINEAR_CONV


def test_residuals_of_another_batch_are_left(tmp_path: Path, rng: Rng) -> None:
    """One image beside a batch whose size is open: equal only at the size that is measured."""
    nodes = [op("Conv", "x w", "c", "conv"), op("Add", "c r", "y")]
    proto = model(nodes, {"w": conv_weight(rng, 8, 8, 1, 1)}, (1, 8, 5, 5))
    info = onnx.helper.make_tensor_value_info("r", onnx.TensorProto.FLOAT, [1, 8, 5, 5])
    proto.graph.input.append(info)
    proto = quantized(proto)
    proto.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "N"
    proto.graph.output[0].type.tensor_type.shape.dim[0].dim_param = "N"
    (row,) = as_integers(load_model(store(proto, tmp_path))).layers
    assert row.op == OP_QLINEAR_CONV


def without_zero_points(proto: onnx.ModelProto, dtype: int) -> onnx.ModelProto:
    """x has the zero point that is not said, and its bytes are of `dtype`."""
    for node in proto.graph.node:
        if node.input[0] in ("x", "x_QuantizeLinear_Output"):
            if node.op_type == "QuantizeLinear":
                zero = onnx.helper.make_tensor("zero", dtype, (), [0])
                proto.graph.initializer.append(zero)
                node.input[2] = "zero"
            else:
                del node.input[2:]
    return proto


@pytest.mark.parametrize(
    ("dtype", "kind"),
    [(onnx.TensorProto.UINT8, OP_QLINEAR_CONV), (onnx.TensorProto.INT8, "Conv")],
)
def test_zero_points_that_are_not_said(tmp_path: Path, rng: Rng, dtype: int, kind: str) -> None:
    nodes = [op("Conv", "x w", "y", "conv")]
    proto = quantized(model(nodes, {"w": conv_weight(rng, 8, 8, 1, 1)}, (1, 8, 5, 5)))
    loaded = load_model(store(without_zero_points(proto, dtype), tmp_path))
    (row,) = as_integers(loaded).layers
    assert row.op == kind
    assert kind != "Conv" or "its input is int8, not uint8" in row.reason


def test_what_other_operators_read_is_unpacked(tmp_path: Path, rng: Rng) -> None:
    proto = quantized(branching_network())
    loaded = load_model(store(proto, tmp_path))
    result = as_integers(loaded, {"left": "as a test"})
    rows = {row.layer: row for row in result.layers}
    assert rows["left"].op == "Conv"
    assert rows["left"].reason == "as a test"
    assert rows["more"].op == OP_QLINEAR_CONV_ADD
    counts = ops(result.model)
    assert counts["Conv"] == 1
    assert counts[OP_UNPACK] >= 2
    check(result, proto, (1, 3, 32, 32))


def test_blocks_of_zeros_are_not_stored(tmp_path: Path, rng: Rng) -> None:
    weight = conv_weight(rng, 16, 16, 3, 3)
    keep = rng.random((2, 4, 3, 3)) < 0.25
    weight *= np.repeat(np.repeat(keep, 8, axis=0), 4, axis=1)
    nodes = [op("Conv", "x w", "y", "conv", pads=[1] * 4)]
    proto, loaded = written(tmp_path, nodes, {"w": weight}, (1, 16, 9, 9))
    result = as_integers(loaded)
    (row,) = result.layers
    assert (row.simd_group, row.groups, row.stored_groups) == (8, 72, int(keep.sum()))
    assert row.macs == 16 * 16 * 9 * 81
    check(result, proto, (1, 16, 9, 9))


def test_rows_of_blocks_follow_the_zeros(tmp_path: Path, rng: Rng) -> None:
    weight = conv_weight(rng, 16, 16, 1, 1)
    weight *= np.repeat(np.repeat(rng.random((4, 4, 1, 1)) < 0.4, 4, axis=0), 4, axis=1)
    nodes = [op("Conv", "x w", "y", "conv")]
    _, loaded = written(tmp_path, nodes, {"w": weight}, (1, 16, 9, 9))
    (row,) = as_integers(loaded).layers
    assert row.simd_group == 4


def test_unknown_layers_are_refused(tmp_path: Path, rng: Rng) -> None:
    nodes, weights = residual_network(rng)
    _, loaded = written(tmp_path, nodes, weights, (1, 3, 9, 9))
    with pytest.raises(ModelError, match="names 'fourth', no Conv node"):
        as_integers(loaded, ["fourth"])


def test_float_convolutions_are_none_of_its_business(tmp_path: Path, rng: Rng) -> None:
    nodes, weights = residual_network(rng)
    loaded = load_model(store(model(nodes, weights, (1, 3, 9, 9)), tmp_path))
    result = as_integers(loaded)
    assert not result.layers
    assert ops(result.model) == ops(loaded)


def changed(proto: onnx.ModelProto, name: str, change: Callable[[Array], Array]) -> None:
    for tensor in proto.graph.initializer:
        if tensor.name == name:
            array = change(numpy_helper.to_array(tensor))
            tensor.CopyFrom(numpy_helper.from_array(array, name))


def dequantize_of(proto: onnx.ModelProto, position: int) -> onnx.NodeProto:
    """The DequantizeLinear node in front of an input of the only Conv."""
    conv = next(node for node in proto.graph.node if node.op_type == "Conv")
    return next(node for node in proto.graph.node if conv.input[position] in node.output)


def test_results_that_are_needed_as_floats(tmp_path: Path, rng: Rng) -> None:
    nodes, weights = residual_network(rng)
    proto = quantized(model(nodes, weights, (1, 3, 9, 9)))
    conv = next(node for node in proto.graph.node if node.name == "second")
    relu = next(node for node in proto.graph.node if conv.output[0] in node.input)
    shape = [1, 8, 9, 9]
    info = onnx.helper.make_tensor_value_info(relu.input[0], onnx.TensorProto.FLOAT, shape)
    proto.graph.output.append(info)
    rows = {x.layer: x.reason for x in as_integers(load_model(store(proto, tmp_path))).layers}
    assert rows == {"first": "", "second": "its result is needed as floats", "third": ""}


#: The input of Conv, which constant of its DequantizeLinear, and what is made of it.
LEFT: dict[str, tuple[int, int, Callable[[Array], Array], str]] = {
    "zero point of weights": (1, 2, lambda a: a + np.int8(1), "not int8 about 0"),
    "scale of nothing": (1, 1, lambda a: a * 0, "not all finite and greater than 0"),
    "scale that is no number": (1, 1, lambda a: a * np.nan, "not all finite"),
    "infinite scale of x": (0, 1, lambda a: a * np.inf, "the scale of its input is inf"),
    "negative scale of x": (0, 1, lambda a: -a, "the scale of its input is -"),
    "zero point of the bias": (2, 2, lambda a: a + 1, "its bias has a zero point"),
    "huge bias": (2, 1, lambda a: a * np.float32(1e9), "too large for 32 bits"),
}


@pytest.mark.parametrize("name", LEFT)
def test_what_cannot_be_computed_is_left(tmp_path: Path, rng: Rng, name: str) -> None:
    position, constant, change, reason = LEFT[name]
    nodes = [op("Conv", "x w b", "y", "conv")]
    weights = {"w": conv_weight(rng, 8, 8, 1, 1), "b": vector(rng, 8) + 1}
    proto = quantized(model(nodes, weights, (1, 8, 5, 5)))
    changed(proto, dequantize_of(proto, position).input[constant], change)
    result = as_integers(load_model(store(proto, tmp_path)))
    (row,) = result.layers
    assert row.op == "Conv"
    assert reason in row.reason


#: Attributes, shape of the weight, of x.
SHAPES: dict[str, tuple[dict[str, Any], tuple[int, ...], tuple[int, ...], str]] = {
    "depthwise 7x7": ({"group": 8}, (8, 1, 7, 7), (1, 8, 9, 9), "no kernel of integers"),
    "depthwise 3x5": ({"group": 8}, (8, 1, 3, 5), (1, 8, 9, 9), "no kernel of integers"),
    "depthwise, dilated": (
        {"group": 8, "dilations": [2, 2]}, (8, 1, 3, 3), (1, 8, 9, 9), "no kernel of integers",
    ),
    "depthwise 1-D": ({"group": 8}, (8, 1, 3), (1, 8, 9), "no kernel of integers"),
    "two filters for a channel": ({"group": 8}, (16, 1, 3, 3), (1, 8, 9, 9), "no whole words"),
    "3-D": ({}, (8, 8, 1, 1, 1), (1, 8, 5, 5, 5), "3 spatial dimensions"),
}  # fmt: skip


@pytest.mark.parametrize("name", SHAPES)
def test_geometries_that_are_left(tmp_path: Path, rng: Rng, name: str) -> None:
    attributes, shape, x, reason = SHAPES[name]
    nodes = [op("Conv", "x w", "y", "conv", **attributes)]
    _, loaded = written(tmp_path, nodes, {"w": conv_weight(rng, *shape)}, x)
    (row,) = as_integers(loaded).layers
    assert row.op == "Conv"
    assert reason in row.reason
