"""How a quantized file and the runtime name conversions: against the real quantizer."""

from __future__ import annotations

import numpy as np
import pytest
from graph_helpers import model, op
from int8_files import branching_network, quantized

from alcs_onnx.latency.precision.qdq_names import Conversion, converted
from alcs_onnx.target import get_target

QUANTIZE, DEQUANTIZE = Conversion


def conversions(times, tensors):
    found = (converted(name, op_type, tensors) for name, op_type in times.op_types.items())
    return {item for item in found if item is not None}


def run(proto):
    (times,) = get_target("local").node_times(
        [proto.SerializeToString()], iterations=1, warmup=0, library=False
    )
    return times.profile


def test_the_quantizer_names_conversions_after_their_tensors():
    file = quantized(branching_network())
    tensors = {name for node in branching_network().graph.node for name in node.output} | {"x"}
    found = {
        converted(node.name, node.op_type, tensors)
        for node in file.graph.node
        if "quantize" in node.name.lower() and not node.name.startswith("w")  # those of weights
    }
    quantized_ones = tensors - {"c1", "c2"}  # a Relu is part of the convolution before it
    assert found == {(kind, tensor) for kind in Conversion for tensor in quantized_ones}


def test_the_runtime_keeps_the_names():
    profile = run(quantized(branching_network()))
    tensors = {"x", "c4", "e", "y", "m"}
    assert conversions(profile, tensors) == {
        (QUANTIZE, "x"), (DEQUANTIZE, "c4"), (QUANTIZE, "e"), (DEQUANTIZE, "y")
    }  # fmt: skip


def test_what_the_runtime_moves_is_named_after_where_it_ends_up():
    nodes = [op("Erf", "x", "e", "odd"), op("Reshape", "e s", "r", "reshape"),
             op("MatMul", "r w", "y", "product")]  # fmt: skip
    weights = {"s": np.array([1, 12]), "w": np.ones((12, 4), np.float32)}
    profile = run(quantized(model(nodes, weights, (1, 3, 4)), ["reshape", "product"]))
    assert (QUANTIZE, "e") in conversions(profile, {"x", "e", "r", "y"})


@pytest.mark.parametrize(
    ("name", "op_type", "expected"),
    [
        ("t_QuantizeLinear", "QuantizeLinear", (QUANTIZE, "t")),
        ("t_DequantizeLinear_2", "DequantizeLinear", (DEQUANTIZE, "t")),
        ("t_DequantizeLinear/duplicated_token_4", "DequantizeLinear", (DEQUANTIZE, "t")),
        ("t_q_token_1", "QuantizeLinear", (QUANTIZE, "t")),
        ("other_dq", "DequantizeLinear", (DEQUANTIZE, "")),
        ("t_QuantizeLinear", "Conv", None),
    ],
)
def test_names_are_read(name, op_type, expected):
    assert converted(name, op_type, {"t"}) == expected
