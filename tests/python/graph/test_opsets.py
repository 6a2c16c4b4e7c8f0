"""One network written in the operators of every opset from 7 on, loaded and compared."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from graph_helpers import assert_same, conv_weight, feed, model, op, run, store
from opset_network import OPSETS, network

from alcs_onnx.graph import conv_layers, load_model, serialize
from alcs_onnx.rewrite import rewrite

Rng = np.random.Generator


@pytest.mark.parametrize("opset", OPSETS)
def test_every_opset_loads_and_means_the_same(tmp_path: Path, rng: Rng, opset: int) -> None:
    path = store(network(opset, rng), tmp_path)
    loaded = load_model(path)
    assert loaded.opset == max(12, opset)
    operators = [node.op_type for node in loaded.nodes]
    assert not {"BatchNormalization", "Dropout", "Pad", "Upsample"} & set(operators)
    assert [layer.name for layer in conv_layers(loaded)] == ["stem", "depthwise", "residual"]
    x = feed((1, 3, 12, 12), rng)
    expected = run(path, x, optimise=False)
    assert_same(run(serialize(loaded), x), expected)
    result = rewrite(loaded)
    assert [row.fused for row in result.layers] == [
        ("Clip",), ("LeakyRelu",), ("residual", "Relu"),
    ]  # fmt: skip
    written = serialize(result.model)
    onnx.checker.check_model(written, full_check=True)
    assert_same(run(written, x), expected)


def test_softmax_of_old_opsets_flattens(tmp_path: Path, rng: Rng) -> None:
    """Before opset 13 Softmax works on everything behind `axis` at once."""
    nodes = [op("Conv", "x w", "a", "conv"), op("Softmax", "a", "y", axis=1)]
    path = store(model(nodes, {"w": conv_weight(rng, 4, 3, 3, 3)}, opset=11), tmp_path)
    x = feed((1, 3, 8, 8), rng)
    assert_same(run(serialize(load_model(path)), x), run(path, x))


@pytest.mark.parametrize("op_type", ["Softmax", "LogSoftmax", "Hardmax"])
def test_flattening_of_constants_is_left_to_the_runtime(
    tmp_path: Path, rng: Rng, op_type: str
) -> None:
    nodes = [op("Conv", "x w", "a", "conv"), op(op_type, "k", "s"), op("Mul", "a s", "y")]
    weights = {"w": conv_weight(rng, 4, 3, 3, 3), "k": conv_weight(rng, 1, 4, 6, 6)}
    path = store(model(nodes, weights, opset=12), tmp_path)
    x = feed((1, 3, 8, 8), rng)
    assert_same(run(serialize(load_model(path)), x), run(path, x))


def test_large_weights_survive_the_upgrade(tmp_path: Path, rng: Rng) -> None:
    """Weights beyond what conversion sees keep their bytes."""
    weight = conv_weight(rng, 64, 3, 7, 7)
    path = store(model([op("Conv", "x w", "y", "conv")], {"w": weight}, opset=8), tmp_path)
    loaded = load_model(path)
    np.testing.assert_array_equal(loaded.initializers[conv_layers(loaded)[0].weight], weight)


def test_weights_listed_as_inputs(tmp_path: Path, rng: Rng) -> None:
    """IR version 3 demanded that; they are no inputs to anyone else."""
    proto = model([op("Conv", "x w", "y", "conv")], {"w": conv_weight(rng, 64, 3, 7, 7)}, opset=8)
    proto.ir_version = 3
    proto.graph.input.append(
        onnx.helper.make_tensor_value_info("w", onnx.TensorProto.FLOAT, [64, 3, 7, 7])
    )
    loaded = load_model(store(proto, tmp_path))
    assert [info.name for info in loaded.inputs] == ["x"]
    assert loaded.ir_version >= 8
    assert len(conv_layers(loaded)) == 1
