"""HardSwish and Silu behind a convolution become its gate, in every spelling."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from graph_helpers import (
    conv_weight,
    golden_cases,
    op,
    store,
    vector,
)
from rewrite_helpers import NONE, activation, golden_model, load, load_again, same

from alcs_onnx.errors import ModelError
from alcs_onnx.graph import load_model
from alcs_onnx.graph.activations import GATES
from alcs_onnx.rewrite import rewrite
from alcs_onnx.sparse_format import OP_CONV, OP_CONV_ADD
from alcs_onnx.types import Activation

Rng = np.random.Generator

SIXTH = np.float32(1 / 6)
HARD: dict[str, Any] = {"alpha": 1 / 6, "beta": 0.5}
SIX: dict[str, Any] = {"three": 3, "zero": 0, "six": 6, "sixth": SIXTH}

#: Nodes from a to y, and the gate that they compute.
SPELLINGS = {
    "HardSwish": ([op("HardSwish", "a", "y")], "HardSwish"),
    "x * HardSigmoid": (
        [op("HardSigmoid", "a", "f", **HARD), op("Mul", "a f", "y")],
        "HardSwish",
    ),
    "HardSigmoid * x": (
        [op("HardSigmoid", "a", "f", **HARD), op("Mul", "f a", "y")],
        "HardSwish",
    ),
    "HardSigmoid with few digits": (
        [op("HardSigmoid", "a", "f", alpha=0.1666667, beta=0.5), op("Mul", "f a", "y")],
        "HardSwish",
    ),
    "x * Sigmoid": ([op("Sigmoid", "a", "f"), op("Mul", "a f", "y")], "Silu"),
    "Sigmoid * x": ([op("Sigmoid", "a", "f"), op("Mul", "f a", "y")], "Silu"),
    "x * (relu6 / 6)": (
        [
            op("Add", "a three", "b"),
            op("Clip", "b zero six", "c"),
            op("Div", "c six", "f"),
            op("Mul", "a f", "y"),
        ],
        "HardSwish",
    ),
    "(1/6 * relu6) * x": (
        [
            op("Add", "three a", "b"),
            op("Clip", "b zero six", "c"),
            op("Mul", "sixth c", "f"),
            op("Mul", "f a", "y"),
        ],
        "HardSwish",
    ),
    "x * relu6 / 6": (
        [
            op("Add", "a three", "b"),
            op("Clip", "b zero six", "c"),
            op("Mul", "a c", "f"),
            op("Div", "f six", "y"),
        ],
        "HardSwish",
    ),
    "relu6 * x * 1/6": (
        [
            op("Add", "a three", "b"),
            op("Clip", "b zero six", "c"),
            op("Mul", "c a", "f"),
            op("Mul", "f sixth", "y"),
        ],
        "HardSwish",
    ),
    "Max and Min": (
        [
            op("Add", "a three", "b"),
            op("Max", "b zero", "c"),
            op("Min", "six c", "d"),
            op("Div", "d six", "f"),
            op("Mul", "a f", "y"),
        ],
        "HardSwish",
    ),
    "Relu and Min": (
        [
            op("Add", "a three", "b"),
            op("Relu", "b", "c"),
            op("Min", "c six", "d"),
            op("Mul", "d a", "f"),
            op("Div", "f six", "y"),
        ],
        "HardSwish",
    ),
}


def registered(name: str) -> list:
    """The operators that the function bodies have for a gate, from a to y."""
    gate = GATES[name]
    tensors = ["a", *(f"f{i}" for i in range(len(gate.factor)))]
    calls = zip(gate.factor, tensors[:-1], tensors[1:], strict=True)
    nodes = [op(call.op_type, read, made, None, **call.attributes) for call, read, made in calls]
    return [*nodes, op("Mul", f"a {tensors[-1]}", "y")]


SPELLINGS |= {f"{name} as registered": (registered(name), name) for name in GATES}
SPELLINGS |= {
    f"{gate.operator} alone": ([op(gate.operator, "a", "y")], name)
    for name, gate in GATES.items()
    if gate.operator
}


def gate_weights(rng: Rng) -> dict:
    weights = {"w": conv_weight(rng, 8, 8, 3, 3) * 4, "bias": vector(rng, 8)}
    return weights | {name: np.float32(value) for name, value in SIX.items()}


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("name", SPELLINGS)
def test_gates_are_fused(tmp_path: Path, rng: Rng, name: str, residual: bool) -> None:
    nodes, gate = SPELLINGS[name]
    conv = [op("Conv", "x w bias", "v" if residual else "a", "conv", pads=[1, 1, 1, 1])]
    if residual:
        conv += [op("Sigmoid", "x", "r"), op("Add", "v r", "a")]
    opset = 20 if name.endswith("alone") else 17  # some operators are newer than others
    loaded = load(tmp_path, [*conv, *nodes], gate_weights(rng), opset=opset)
    result = rewrite(loaded)
    last = result.model.nodes[-1]
    assert last.op_type == (OP_CONV_ADD if residual else OP_CONV)
    assert activation(last) == Activation(gate=GATES[gate].number)
    assert result.layers[0].fused == (("residual", gate) if residual else (gate,))
    assert len(result.model.nodes) == (2 if residual else 1)
    same(result.model, loaded, rng)
    # Read back it is the same layer, and written again the same op.
    again = rewrite(load_again(result.model, tmp_path))
    assert activation(again.model.nodes[-1]) == Activation(gate=GATES[gate].number)
    same(again.model, loaded, rng)


@pytest.mark.parametrize(
    ("nodes", "outputs"),
    [
        ([op("Sigmoid", "a", "f"), op("Mul", "a f", "y"), op("Relu", "f", "z")], "y z"),
        ([op("Sigmoid", "a", "f"), op("Mul", "a f", "y"), op("Relu", "a", "z")], "y z"),
        ([op("Sigmoid", "a", "f"), op("Mul", "a f", "y")], "y f"),
        ([op("Sigmoid", "a", "f"), op("Mul", "a f", "y")], "y a"),
        ([op("Sigmoid", "x", "f"), op("Mul", "a f", "y")], "y"),
        ([op("Sigmoid", "a", "f"), op("Mul", "f f", "g"), op("Mul", "a g", "y")], "y"),
        ([op("Mul", "a six", "b"), op("Sigmoid", "b", "f"), op("Mul", "a f", "y")], "y"),
        ([op("Sigmoid", "a", "f"), op("Add", "a f", "y")], "y"),
        ([op("HardSigmoid", "a", "f"), op("Mul", "a f", "y")], "y"),
        ([op("HardSigmoid", "a", "f", alpha=1 / 6, beta=0.4), op("Mul", "a f", "y")], "y"),
        ([op("HardSigmoid", "a", "f", **HARD), op("Mul", "a f", "g"), op("Div", "g a", "y")], "y"),
        (
            [
                op("Add", "a three", "b"),
                op("Clip", "b zero three", "c"),
                op("Mul", "a c", "f"),
                op("Div", "f six", "y"),
            ],
            "y",
        ),
        (
            [
                op("Add", "a three", "b"),
                op("Clip", "b zero six", "c"),
                op("Mul", "a c", "f"),
                op("Div", "f six", "y"),
            ],
            "y f",
        ),
        (
            [
                op("Add", "a three", "b"),
                op("Clip", "b zero six", "c"),
                op("Mul", "a c", "f"),
                op("Mul", "six f", "y"),
            ],
            "y",
        ),
        (
            [
                op("Sub", "three a", "b"),
                op("Clip", "b zero six", "c"),
                op("Div", "c six", "f"),
                op("Mul", "a f", "y"),
            ],
            "y",
        ),
        (
            [
                op("Add", "a per_channel", "b"),
                op("Clip", "b zero six", "c"),
                op("Div", "c six", "f"),
                op("Mul", "a f", "y"),
            ],
            "y",
        ),
    ],
)
def test_other_products_stay(tmp_path: Path, rng: Rng, nodes: list, outputs: str) -> None:
    weights = gate_weights(rng) | {"per_channel": np.full((8, 1, 1), 3, np.float32)}
    nodes = [op("Conv", "x w bias", "a", "conv", pads=[1, 1, 1, 1]), *nodes]
    loaded = load(tmp_path, nodes, weights, outputs=outputs)
    result = rewrite(loaded)
    conv = next(node for node in result.model.nodes if node.name == "conv")
    assert activation(conv) == NONE
    assert len(result.model.nodes) == len(loaded.nodes)
    assert result.layers[0].unfused
    same(result.model, loaded, rng)


def test_numbers_have_no_gaps() -> None:
    assert [gate.number for gate in GATES.values()] == list(range(1, len(GATES) + 1))


@pytest.mark.parametrize("wrong", [{"gate": len(GATES) + 1}, {"gate": -1}, {"gate": 2, "low": 0.0}])
def test_invalid_gates_are_refused_on_load(tmp_path: Path, rng: Rng, wrong: dict) -> None:
    proto = golden_model(golden_cases()[0], residual=False)
    node = proto.graph.node[0]
    kept = [a for a in node.attribute if a.name not in wrong]
    del node.attribute[:]
    node.attribute.extend([*kept, *(onnx.helper.make_attribute(k, v) for k, v in wrong.items())])
    with pytest.raises(ModelError, match=r"node 'conv' \(SimdSparseConv\): gate"):
        load_model(store(proto, tmp_path))
