"""Our nodes of a file written earlier become Conv, Add and activation, and MaxPool, again.

Precondition: stored weights and bias are constant and valid; quantized weights become float32.
So a written file can be inspected, compiled or optimized again like the model it came from:

    clip(max(v, slope * v), low, high) -> LeakyRelu (slope != 1), then Relu or Clip;
    a gate of v -> the product of v and its HardSigmoid or Sigmoid.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from alcs_onnx.errors import ModelError
from alcs_onnx.graph.editor import GraphEditor
from alcs_onnx.graph.functions import POOL_ATTRIBUTES, SPARSE_CONVS
from alcs_onnx.graph.model import AttributeValue, Node
from alcs_onnx.graph.sparse_conv import read_activation, read_dense_weight
from alcs_onnx.sparse_format import OP_DOMAIN, OP_MAX_POOL
from alcs_onnx.types import Activation, Gate

#: Operator, attributes and further inputs of a node that reads the result of the one before.
_Step = tuple[str, dict[str, AttributeValue], tuple[str, ...]]
#: As a further input: what the node before read.
_READ_BEFORE = "<read before>"

_FACTORS: dict[Gate, _Step] = {
    Gate.HARD_SWISH: ("HardSigmoid", {"alpha": 1 / 6, "beta": 0.5}, ()),
    Gate.SILU: ("Sigmoid", {}, ()),
}


def _copied(node: Node, names: Iterable[str]) -> dict[str, AttributeValue]:
    for name in names:
        if name not in node.attributes:
            raise ModelError(f"node '{node.name}' ({node.op_type}): attribute '{name}' is missing")
    return {name: node.attributes[name] for name in names}


def _activation_steps(editor: GraphEditor, node: Node, activation: Activation) -> list[_Step]:
    found: list[_Step] = []
    if activation.gate in _FACTORS:
        found += [_FACTORS[activation.gate], ("Mul", {}, (_READ_BEFORE,))]
    if activation.slope != 1:
        found.append(("LeakyRelu", {"alpha": activation.slope}, ()))
    none = Activation()
    if activation.low == 0 and activation.high == none.high:
        found.append(("Relu", {}, ()))
    elif (activation.low, activation.high) != (none.low, none.high):
        low, high = (
            editor.add_initializer(f"{node.name}.{name}", np.asarray(value, np.float32))
            for name, value in (("low", activation.low), ("high", activation.high))
        )
        found.append(("Clip", {}, (low, high)))
    return found


def run(editor: GraphEditor, note: Callable[[str], None]) -> int:
    """Expand such nodes; returns how many."""
    changes = 0
    for node in editor.nodes:
        if node.domain != OP_DOMAIN:
            continue
        changes += 1
        if node.op_type == OP_MAX_POOL:
            pool = _copied(node, POOL_ATTRIBUTES)
            editor.replace_node(Node(node.name, "MaxPool", node.inputs, node.outputs, pool))
            continue
        op = SPARSE_CONVS.get(node.op_type)
        if op is None:
            raise ModelError(f"node '{node.name}': {OP_DOMAIN} has no operator '{node.op_type}'")
        weight = editor.add_initializer(
            f"{node.name}.weight", read_dense_weight(node, editor.constant)
        )
        bias = 1 + len(op.form.inputs)
        conv_attributes = ("dilations", "group", "kernel_shape", "pads", "strides")
        chain: list[_Step] = [
            (
                "Conv",
                _copied(node, conv_attributes),
                (weight, node.inputs[bias]),
            )
        ]
        if op.residual:
            chain.append(("Add", {}, (node.inputs[bias + 1],)))
        chain += _activation_steps(editor, node, read_activation(node))
        editor.remove_nodes([node.name])
        tensor = before = node.inputs[0]
        for index, (op_type, attributes, inputs) in enumerate(chain):
            name = node.name if op_type == "Conv" else f"{node.name}.{op_type.lower()}"
            last = index == len(chain) - 1
            output = node.outputs[0] if last else editor.unique_name(f"{name}.out")
            inputs = tuple(before if i == _READ_BEFORE else i for i in inputs)
            editor.insert_node(Node(name, op_type, (tensor, *inputs), (output,), attributes))
            before, tensor = tensor, output
    return changes
