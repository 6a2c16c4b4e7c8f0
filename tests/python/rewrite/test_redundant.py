"""Channels that only removed filters made go, and the outputs stay what they were."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from coupling_helpers import assert_close, feeds, run
from zoo.builder import Builder

from alcs_onnx.coupling import RULES, ZERO_RULES, analyse, zero_channels
from alcs_onnx.errors import AlcsError
from alcs_onnx.graph import Model, conv_layer, conv_layers, load_model, model_macs
from alcs_onnx.rewrite import WithoutZeros, remove_zero_channels, zero_filters


def gone(model: Model, filters: Mapping[str, list[int]]) -> dict[str, np.ndarray]:
    """Keep masks without these filters, by layer."""
    keep = {}
    for name, removed in filters.items():
        keep[name] = np.ones(conv_layer(model, name).out_channels, bool)
        keep[name][removed] = False
    return keep


def shrunk(model: Model, filters: Mapping[str, list[int]]) -> WithoutZeros:
    """The model without the filters, proved to compute what it does at full size."""
    zeroed = zero_filters(model, gone(model, filters))
    small = remove_zero_channels(zeroed)
    values = feeds(model, np.random.default_rng(1))
    assert_close(run(small.model, values), run(zeroed, values), "smaller")
    for layer in conv_layers(small.model):
        assert layer.out_channels == int(small.rows[layer.name].sum())
    return small


def width(small: WithoutZeros, layer: str) -> tuple[int, int]:
    found = conv_layer(small.model, layer)
    return found.in_channels, found.out_channels


def chain(folder: Path, between: str, **attributes: Any) -> Model:
    """Conv `a`, one node, conv `b`."""
    b = Builder()
    y = b.op(between, b.conv("a", b.input((1, 3, 8, 8)), 3, 8), **attributes)
    return b.load(folder, b.head(b.relu(b.conv("b", y, 8, 6)), 6))


def test_a_filter_takes_along_the_columns_that_read_it(tmp_path: Path) -> None:
    small = shrunk(chain(tmp_path, "Relu"), {"a": [1, 4, 5], "b": [0]})
    assert width(small, "a") == (3, 5)
    assert width(small, "b") == (5, 5)
    assert small.removed == {"a": 3, "b": 1}
    np.testing.assert_array_equal(np.flatnonzero(~small.rows["a"]), [1, 4, 5])


@pytest.mark.parametrize(
    "between", ["Relu", "LeakyRelu", "HardSwish", "Tanh", "Elu", "Softsign", "MaxPool"]
)
def test_what_leaves_zeros_alone_lets_channels_go(tmp_path: Path, between: str) -> None:
    attributes = {"kernel_shape": [2, 2]} if between == "MaxPool" else {}
    assert width(shrunk(chain(tmp_path, between, **attributes), {"a": [0, 7]}), "b") == (6, 6)


@pytest.mark.parametrize("between", ["Sigmoid", "HardSigmoid", "Exp", "Softplus", "Cos"])
def test_what_makes_something_of_zero_keeps_them(tmp_path: Path, between: str) -> None:
    small = shrunk(chain(tmp_path, between), {"a": [0, 7]})
    assert not small.removed
    assert width(small, "b") == (8, 6)


@pytest.mark.parametrize(("low", "left"), [(-1.0, 6), (0.0, 6), (0.5, 8)])
def test_a_clip_keeps_zeros_if_its_bounds_do(tmp_path: Path, low: float, left: int) -> None:
    b = Builder()
    bounds = [b.const(np.float32(low)), b.const(np.float32(6))]
    y = b.op("Clip", b.conv("a", b.input((1, 3, 8, 8)), 3, 8), *bounds)
    model = b.load(tmp_path, b.head(b.conv("b", y, 8, 6), 6))
    assert width(shrunk(model, {"a": [0, 7]}), "b")[0] == left


def residual(folder: Path) -> Model:
    b = Builder()
    x = b.relu(b.conv("stem", b.input((1, 3, 8, 8)), 3, 8))
    y = b.conv("second", b.relu(b.conv("first", x, 8, 8)), 8, 8)
    return b.load(folder, b.head(b.relu(b.op("Add", y, x)), 8))


@pytest.mark.parametrize("op_type", ["ReduceMean", "ReduceMax", "ReduceSum"])
def test_a_value_of_all_channels_keeps_them(tmp_path: Path, op_type: str) -> None:
    """Zeros are part of a mean over channels: of fewer it would be another one."""
    b = Builder(opset=18)
    x = b.relu(b.conv("a", b.input((1, 3, 8, 8)), 3, 8))
    y = b.op("Mul", x, b.op(op_type, x, b.const([1]), keepdims=1))
    small = shrunk(b.load(tmp_path, b.head(b.conv("b", y, 8, 6), 6)), {"a": [1, 4]})
    assert width(small, "a") == (3, 8)


def test_a_residual_sum_loses_what_both_operands_lost(tmp_path: Path) -> None:
    model = residual(tmp_path)
    small = shrunk(model, {"stem": [1, 2, 3], "second": [2, 3, 4], "first": [0]})
    assert width(small, "stem") == (3, 6)
    assert width(small, "first") == (6, 7)
    assert width(small, "second") == (7, 6)
    # Filters that went on one side only are zeros still, in a channel that stays.
    np.testing.assert_array_equal(np.flatnonzero(~small.rows["stem"]), [2, 3])
    weight = small.model.initializers[conv_layer(small.model, "stem").weight]
    assert list(np.any(weight, axis=(1, 2, 3))) == [True, False, True, True, True, True]


def test_zeros_pass_through_depthwise_layers_with_their_biases(tmp_path: Path) -> None:
    b = Builder()
    y = b.relu(b.conv("a", b.input((1, 3, 8, 8)), 3, 8, 1))
    y = b.relu(b.conv("dw", y, 8, 8, group=8))
    model = b.load(tmp_path, b.head(b.conv("b", y, 8, 6, 1), 6))
    small = shrunk(model, {"a": [0, 5]})
    assert width(small, "dw") == (6, 6)
    assert conv_layer(small.model, "dw").group == 6
    assert width(small, "b") == (6, 6)
    # The bias of a depthwise layer alone would be a constant that the next layer reads.
    weights = {"a.w": model.initializers["a.w"].copy(), "a.b": model.initializers["a.b"].copy()}
    weights["a.w"][[0, 5]], weights["a.b"][[0, 5]] = 0, 0
    assert not remove_zero_channels(model.with_initializers(weights)).removed


def test_gates_of_channels_that_are_zero_go_too(tmp_path: Path) -> None:
    b = Builder()
    x = b.relu(b.conv("a", b.input((1, 3, 8, 8)), 3, 8))
    gate = b.relu(b.conv("squeeze", b.op("GlobalAveragePool", x), 8, 4, 1))
    gate = b.op("Sigmoid", b.conv("expand", gate, 4, 8, 1))
    model = b.load(tmp_path, b.head(b.conv("b", b.op("Mul", x, gate), 8, 6), 6))
    small = shrunk(model, {"a": [3]})
    assert width(small, "b") == (7, 6)
    assert width(small, "expand") == (4, 7)
    # The gate's own filter gone, Sigmoid makes 1/2 of it.
    assert not shrunk(model, {"expand": [3]}).removed


def test_channels_through_movements(tmp_path: Path) -> None:
    b = Builder()
    x = b.input((1, 3, 8, 8))
    parts = [b.relu(b.conv("a", x, 3, 4)), b.relu(b.conv("b", x, 3, 4))]
    y = b.op("Concat", *parts, axis=1)
    y = b.op("Flatten", b.op("AveragePool", b.conv("c", y, 8, 4), kernel_shape=[4, 4]))
    model = b.load(tmp_path, b.gemm("fc", y, 100, 5))
    small = shrunk(model, {"a": [0], "b": [1, 2], "c": [3]})
    assert width(small, "c") == (5, 3)
    assert small.model.initializers["fc.w"].shape == (5, 75)


def test_a_shortcut_padded_with_zeros(tmp_path: Path) -> None:
    b = Builder()
    x = b.relu(b.conv("a", b.input((1, 3, 8, 8)), 3, 4))
    padded = b.op("Pad", x, b.const([0, 2, 0, 0, 0, 2, 0, 0]))
    y = b.relu(b.op("Add", b.conv("b", x, 4, 8), padded))
    model = b.load(tmp_path, b.head(y, 8))
    small = shrunk(model, {"b": [0, 2, 7]})  # 0 and 7 are added to padding, 2 to a channel
    assert width(small, "b") == (4, 6)


def test_the_last_channel_of_a_group_stays(tmp_path: Path) -> None:
    small = shrunk(chain(tmp_path, "Relu"), {"a": list(range(8))})
    assert width(small, "a") == (3, 1)
    assert width(small, "b") == (1, 6)


def test_zeros_go_on_through_layers_that_read_nothing_else(tmp_path: Path) -> None:
    """A filter with weights on removed channels alone, and no bias, is itself zero."""
    model = chain(tmp_path, "Relu")
    zeroed = zero_filters(model, gone(model, {"a": [0, 1]}))
    weight, bias = (zeroed.initializers[name].copy() for name in ("b.w", "b.b"))
    weight[2, 2:], bias[2] = 0, 0
    small = remove_zero_channels(zeroed.with_initializers({"b.w": weight, "b.b": bias}))
    assert small.removed == {"a": 2, "b": 1}


def test_a_bias_of_two_layers_is_left_alone(tmp_path: Path) -> None:
    b = Builder()
    x = b.input((1, 3, 8, 8))
    bias = b.uniform("bias", 8)
    parts = [b.op("Conv", x, b.normal(f"{n}.w", 8, 3, 1, 1), bias, name=n) for n in ("a", "b")]
    model = b.load(tmp_path, b.head(b.op("Concat", *parts, axis=1), 16))
    assert not shrunk(model, {"a": [0]}).removed


def test_resnet20(shared: Path) -> None:
    model = load_model(shared / "models" / "resnet20_cifar.onnx")
    rng = np.random.default_rng(0)
    filters = {
        x.name: rng.choice(x.out_channels, x.out_channels // 3, replace=False).tolist()
        for x in conv_layers(model)
    }
    small = shrunk(model, filters)
    inside = [g for g in analyse(model).prunable if sum(s.role == "out" for s in g.slots) == 1]
    assert len(inside) >= 9  # between the two layers of each block
    for group in inside:
        assert small.removed[group.name] == group.channels // 3
    assert model_macs(small.model) < 0.75 * model_macs(model)


def test_nothing_is_redundant_in_a_dense_model(shared: Path) -> None:
    model = load_model(shared / "models" / "mobilenetv2.onnx")
    assert not zero_channels(model, analyse(model))


def test_a_coupling_of_another_model_is_refused(tmp_path: Path) -> None:
    model, other = chain(tmp_path, "Relu"), residual(tmp_path)
    with pytest.raises(AlcsError, match="another model"):
        remove_zero_channels(model, analyse(other))


def test_every_rule_is_of_an_operator_that_couples() -> None:
    assert ZERO_RULES.keys() <= RULES.keys()
