"""Why a model has nothing to prune, in one line that names the node."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from graph_helpers import FLOAT, conv_weight, model, op, store
from onnx import helper, numpy_helper

from alcs_onnx.coupling import analyse
from alcs_onnx.errors import ModelError
from alcs_onnx.graph import load_model, skipped_convs

WEIGHT = conv_weight(np.random.default_rng(0), 4, 3, 3, 3)


def refusal(path: Path) -> str:
    with pytest.raises(ModelError) as caught:
        load_model(path)
    return str(caught.value).removeprefix(f"{path}: ")


def branch(name: str) -> onnx.GraphProto:
    """A graph of one convolution of the outer `x`."""
    return helper.make_graph(
        [op("Conv", f"x {name}.w", f"{name}.y")],
        name,
        [],
        [helper.make_tensor_value_info(f"{name}.y", FLOAT, None)],
        [numpy_helper.from_array(WEIGHT, f"{name}.w")],
    )


def test_convolutions_inside_an_if(tmp_path: Path) -> None:
    nodes = [
        op("ReduceMean", "x", "m", keepdims=0),
        op("Greater", "m zero", "c"),
        op("If", "c", "y", "either", then_branch=branch("then"), else_branch=branch("else")),
    ]
    told = refusal(store(model(nodes, {"zero": np.float32(0)}), tmp_path))
    assert told == (
        "all Conv nodes of the model (2) are inside node 'either' (If), whose branches are left "
        "as they are, so there is nothing to optimize"
    )


@pytest.mark.parametrize(
    ("domain", "op_type"), [("com.microsoft", "FusedConv"), ("com.microsoft.nchwc", "Conv")]
)
def test_a_file_that_onnx_runtime_saved(tmp_path: Path, domain: str, op_type: str) -> None:
    node = op(op_type, "x w", "y", "c", domain=domain)
    told = refusal(store(model([node], {"w": WEIGHT}, domains={domain: 1}), tmp_path))
    assert told == (
        f"node 'c' ({op_type}) is a {domain}.{op_type}: "
        "the file was saved by ONNX Runtime after optimisation; give the original"
    )


def test_convolutions_that_no_input_reaches(tmp_path: Path) -> None:
    """One is a constant, one is read by nothing."""
    nodes = [
        op("Conv", "picture w", "c"), op("Conv", "x w", "unread"), op("Relu", "x", "r"),
        op("ReduceMean", "c", "m", keepdims=0), op("Mul", "r m", "y"),
    ]  # fmt: skip
    weights = {"w": WEIGHT, "picture": np.ones((1, 3, 8, 8), np.float32)}
    assert refusal(store(model(nodes, weights), tmp_path)) == (
        "no Conv node of the file (2) works on an input: their results are constants, "
        "or no output needs them, so there is nothing to optimize"
    )


def test_the_same_file_with_a_convolution_left(tmp_path: Path) -> None:
    """The layer, the channels: each says what is in the way."""
    nodes = [
        op("FusedConv", "x w", "f", "fused", domain="com.microsoft", activation="Relu"),
        op("Conv", "f v", "y", "plain"),
    ]
    weights = {"w": WEIGHT, "v": conv_weight(np.random.default_rng(1), 4, 4, 1, 1)}
    loaded = load_model(store(model(nodes, weights, domains={"com.microsoft": 1}), tmp_path))
    reason = skipped_convs(loaded)["plain"]
    assert reason.startswith("its input shape is not known: node 'fused' (FusedConv) is a")
    assert reason.endswith("give the original")
    assert "give the original" in {g.name: g for g in analyse(loaded).groups}["fused"].frozen


def test_a_foreign_operator_hides_the_shape(tmp_path: Path) -> None:
    nodes = [
        op("Secret", "x", "s", "secret", domain="org.example"),
        op("Relu", "s", "r", "relu"),
        op("Conv", "r w", "y", "conv"),
    ]
    loaded = load_model(store(model(nodes, {"w": WEIGHT}, domains={"org.example": 1}), tmp_path))
    assert skipped_convs(loaded)["conv"] == (
        "its input shape is not known: node 'secret' (Secret) of domain 'org.example' does not "
        "tell the shape of its result: a value_info of 's' with fixed sizes would"
    )


def test_convolutions_in_integers(tmp_path: Path) -> None:
    weights = {"w": np.ones((4, 3, 3, 3), np.int8)}
    nodes = [
        op("DynamicQuantizeLinear", "x", "q scale zero"),
        op("ConvInteger", "q w zero", "i", "integers"),
        op("Cast", "i", "y", to=FLOAT),
    ]
    assert refusal(store(model(nodes, weights), tmp_path)) == (
        "the convolutions of the model are quantized already, as node 'integers' (ConvInteger): "
        "give the model of before quantization"
    )


def test_weights_that_are_dequantized(tmp_path: Path) -> None:
    nodes = [op("DequantizeLinear", "q s", "w", "dq"), op("Conv", "x w", "y", "conv")]
    weights = {"q": np.ones((4, 3, 3, 3), np.int8), "s": np.float32(0.1)}
    assert skipped_convs(load_model(store(model(nodes, weights), tmp_path))) == {
        "conv": "its weights are quantized (DequantizeLinear): give the model of before "
        "quantization, or remove whole channels of this one (--method channel)"
    }


def test_convolutions_in_a_local_function_are_found(tmp_path: Path) -> None:
    proto = model(
        [op("Block", "x w", "y", "block", domain="own")], {"w": WEIGHT}, domains={"own": 1}
    )
    function = helper.make_function(
        "own", "Block", ["a", "b"], ["c"], [op("Conv", "a b", "c")], [helper.make_opsetid("", 17)]
    )
    proto.functions.append(function)
    loaded = load_model(store(proto, tmp_path))
    assert sum(node.is_op("Conv") for node in loaded.nodes) == 1
    assert not skipped_convs(loaded)
