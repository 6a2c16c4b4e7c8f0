"""Costs of both precisions from profiles of files that ONNX Runtime's quantizer made."""

from __future__ import annotations

from math import inf, isfinite

import numpy as np
import pytest
from graph_helpers import store
from int8_files import branching_network, quantized

from alcs_onnx.graph import read_file
from alcs_onnx.latency import least_disturbed, measured_costs
from alcs_onnx.latency.precision.runs import Runs, as_in_whole_runs
from alcs_onnx.target import ModelTimes, NodeTimes, TensorType, get_target


def node_times(*protos):
    files = [proto.SerializeToString() for proto in protos]
    return get_target("local").node_times(files, iterations=8, warmup=2, library=False)


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """The network as it is, its two profiles, and the costs."""
    proto = branching_network()
    model = read_file(store(proto, tmp_path_factory.mktemp("model"))).model
    times = node_times(proto, quantized(proto))
    return model, times, measured_costs(model, *times)


def test_every_node_has_its_costs(measured):
    model, _, costs = measured
    assert [node.name for node in costs.nodes] == [node.name for node in model.nodes]
    assert costs.quantizable == {node.name for node in model.nodes} - {"odd"}
    for name in ("stem", "left", "more", "right", "concat", "head"):
        assert costs.by_name[name].float_ms > 0
        assert costs.by_name[name].int8_ms > 0
    # What the quantizer takes into the ranges of the convolution before it takes no time.
    assert costs.by_name["stem_relu"].int8_ms == costs.by_name["left_relu"].int8_ms == 0


def test_the_costs_of_both_files_are_what_their_runs_take(measured):
    model, (float32, int8), costs = measured
    assert costs.latency(()) == pytest.approx(float(np.median(float32.wall)))
    # What stays float32 in the int8 file counts with its time in the float32 file.
    stays = Runs(model, as_in_whole_runs(int8)).by_node["odd"].ms
    expected = float(np.median(int8.wall)) - stays + costs.by_name["odd"].float_ms
    assert costs.latency(costs.quantizable) == pytest.approx(expected)


def test_what_is_fused_stays_together(measured):
    _, _, costs = measured
    tensors = {tensor.name: tensor for tensor in costs.tensors}
    assert set(tensors) == {"x", "c1", "r1", "m", "c2", "r2", "c3", "s", "c4", "e", "k", "y"}
    for name in ("c1", "c2"):
        assert tensors[name].quantize_ms == tensors[name].dequantize_ms == inf
    assert tensors["m"].readers == ("left", "sum", "right")
    assert tensors["x"].producer == ""
    assert tensors["y"].output
    for name in ("x", "r2", "c4", "s", "e", "y"):
        assert isfinite(tensors[name].quantize_ms)
        assert isfinite(tensors[name].dequantize_ms)
    for name in ("r1", "m"):  # around a MaxPool
        assert tensors[name].quantize_ms == inf
        assert isfinite(tensors[name].dequantize_ms)


def test_8_bits_behind_a_float_pooling_are_moved_into_it():
    """Why nothing is quantized behind a MaxPool: the runtime then runs it in 8 bits, too."""
    (times,) = node_times(quantized(branching_network(), ["left", "left_relu", "right", "sum"]))
    types = {
        times.profile.reads[name].element
        for name, op_type in times.profile.op_types.items()
        if op_type == "MaxPool"
    }
    assert types == {"uint8"}


# --- made-up profiles: layouts, that of a runtime on another machine may not have


def tensor(shape):
    return TensorType("float" if isinstance(shape, tuple) else "uint8", tuple(shape))


def profile(*rows):
    """Nodes of (name, operator, ms, read, written): shapes of floats, or of bytes as lists."""
    return NodeTimes(
        {row[0]: row[2] for row in rows},
        {row[0]: row[1] for row in rows},
        {row[0]: tensor(row[3]) for row in rows},
        {row[0]: tensor(row[4]) for row in rows},
    )


def test_changes_of_layout_go_with_the_nodes_that_need_them(measured):
    model, _, _ = measured
    half, full = (1, 32, 16, 16), (1, 32, 32, 32)
    float32 = profile(
        ("r1_nchwc", "Conv", 1.0, (1, 3, 32, 32), full),
        ("m_nchwc", "MaxPool", 0.1, full, half),
        ("r2_nchwc", "Conv", 2.0, half, half),
        ("s_nchwc", "Conv", 0.5, half, half),
        ("c4_nchwc", "Conv", 0.5, half, half),
        ("ReorderOutput", "ReorderOutput", 0.25, half, half),
        ("odd", "Erf", 0.5, half, half),
        ("ReorderInput", "ReorderInput", 0.125, half, half),
        ("concat", "Concat", 0.25, half, (1, 64, 16, 16)),
        ("y_nchwc", "Conv", 0.5, (1, 64, 16, 16), (1, 16, 16, 16)),
        ("ReorderOutput_token_1", "ReorderOutput", 0.125, (1, 16, 16, 16), (1, 16, 16, 16)),
    )
    last = [1, 16, 16, 32]
    int8 = profile(
        ("x_QuantizeLinear", "QuantizeLinear", 0.03, (1, 3, 32, 32), [1, 3, 32, 32]),
        ("Transpose", "Transpose", 0.06, [1, 3, 32, 32], [1, 32, 32, 3]),
        ("stem_token_2", "QLinearConv", 0.5, [1, 32, 32, 3], [1, 32, 32, 32]),
        ("pool_token_3", "NhwcMaxPool", 0.05, [1, 32, 32, 32], last),
        ("left_token_4", "QLinearConv", 0.5, last, last),
        ("more_token_5", "QLinearConv", 0.25, last, last),
        ("sum", "QLinearAdd", 0.05, last, last),
        ("right_token_6", "QLinearConv", 0.25, last, last),
        ("Transpose_token_7", "Transpose", 0.16, last, [*half]),
        ("c4_DequantizeLinear", "DequantizeLinear", 0.08, [*half], half),
        ("odd", "Erf", 0.5, half, half),
        ("e_QuantizeLinear", "QuantizeLinear", 0.08, half, [*half]),
        ("concat", "QLinearConcat", 0.1, (), [1, 16, 16, 64]),
        ("head_token_8", "QLinearConv", 0.25, [1, 16, 16, 64], [1, 16, 16, 16]),
        ("Transpose_token_9", "Transpose", 0.08, [1, 16, 16, 16], [1, 16, 16, 16]),
        ("y_DequantizeLinear", "DequantizeLinear", 0.04, [1, 16, 16, 16], (1, 16, 16, 16)),
    )
    times = [ModelTimes(item, np.array([item.total])) for item in (float32, int8)]
    costs = measured_costs(model, *times)
    assert costs.latency(()) == pytest.approx(float32.total)
    assert costs.latency(costs.quantizable) == pytest.approx(int8.total)
    got = {node.name: (node.float_ms, node.int8_ms) for node in costs.nodes}
    assert got["stem"] == pytest.approx((1.0, 0.56))
    assert got["right"] == pytest.approx((0.75, 0.41))
    assert got["odd"] == (0.5, None)
    assert got["concat"] == pytest.approx((0.375, 0.1))
    assert got["head"] == pytest.approx((0.625, 0.33))
    tensors = {tensor.name: tensor for tensor in costs.tensors}
    # Conversions that are in the profile, and those that are fitted, with both layouts.
    tensors = {tensor.name: tensor for tensor in costs.tensors}
    assert tensors["x"].quantize_ms == pytest.approx(0.03)
    assert tensors["e"].quantize_ms == pytest.approx(0.08)
    assert tensors["c4"].dequantize_ms == pytest.approx(0.08)
    assert tensors["r2"].quantize_ms == pytest.approx(0.08 + 0.16 + 0.25)
    assert tensors["r2"].dequantize_ms == pytest.approx(0.08 + 0.16 + 0.125)


def test_each_nodes_least_time_counts():
    kinds = {"a": "Conv", "b": "Relu"}
    rounds = [
        ModelTimes(NodeTimes({"a": 2.0, "b": 1.0}, kinds), np.array([5.0, 3.0, 4.0])),
        ModelTimes(NodeTimes({"a": 1.5, "b": 4.0}, kinds), np.array([3.0, 2.0, 9.0])),
    ]
    least = least_disturbed(rounds)
    assert least.profile.nodes == {"a": 1.5, "b": 1.0}
    assert np.median(least.wall) == 3.0
