"""Our nodes of a file written earlier become Conv, Add and activation, and MaxPool, again.

Precondition: stored weights and bias are constant and valid; quantized weights become float32.
So a written file can be inspected, compiled or optimized again like the model it came from. For
the activation see `activations.writing`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from alcs_onnx.errors import ModelError
from alcs_onnx.graph.activations import Call, activation_calls
from alcs_onnx.graph.editor import GraphEditor
from alcs_onnx.graph.functions import POOL_ATTRIBUTES, SPARSE_CONVS
from alcs_onnx.graph.model import AttributeValue
from alcs_onnx.graph.sparse_conv import read_activation, read_dense_weight
from alcs_onnx.graph.surgeon import Node, Tensor, as_value, constant
from alcs_onnx.sparse_format import OP_DOMAIN, OP_MAX_POOL

_CONV_ATTRIBUTES = ("dilations", "group", "kernel_shape", "pads", "strides")


def _copied(node: Node, names: Iterable[str]) -> dict[str, AttributeValue]:
    for name in names:
        if name not in node.attrs:
            raise ModelError(f"node '{node.name}' ({node.op}): attribute '{name}' is missing")
    return {name: node.attrs[name] for name in names}


def run(editor: GraphEditor, note: Callable[[str], None]) -> int:
    """Expand such nodes; returns how many."""
    changes = 0
    for node in list(editor.nodes):
        if node.domain != OP_DOMAIN:
            continue
        changes += 1
        if node.op == OP_MAX_POOL:
            node.op, node.domain, node.attrs = "MaxPool", "", _copied(node, POOL_ATTRIBUTES)
        else:
            _expand(editor, node)
    return changes


def _expand(editor: GraphEditor, node: Node) -> None:
    op = SPARSE_CONVS.get(node.op)
    if op is None:
        raise ModelError(f"node '{node.name}': {OP_DOMAIN} has no operator '{node.op}'")
    dense = read_dense_weight(as_value(node), lambda name: constant(editor.tensor(name)))
    weight = editor.add_constant(f"{node.name}.weight", dense)
    residual = node.inputs[op.bias + 1] if op.residual else None
    spell_out(editor, node, (node.inputs[0], weight, node.inputs[op.bias]), residual)


def spell_out(
    editor: GraphEditor,
    node: Node,
    operands: tuple[Tensor, Tensor, Tensor],
    residual: Tensor | None,
    result: Tensor | None = None,
) -> None:
    """Conv of `operands`, Add of the residual and the activation in place of `node`.

    They compute `result`, or what the node did.
    """
    # Each reads the result of the one before, and these further inputs.
    chain: list[tuple[Call, tuple[Tensor, ...]]] = [
        (Call("Conv", _copied(node, _CONV_ATTRIBUTES)), operands[1:])
    ]
    if residual is not None:
        chain.append((Call("Add"), (residual,)))
    convolved = len(chain)
    for call in activation_calls(read_activation(node)):
        constants = tuple(
            editor.add_constant(f"{node.name}.{name}", np.asarray(value, np.float32))
            for name, value in call.constants.items()
        )
        chain.append((call, constants))
    tensor = x = operands[0]
    result = result or node.outputs[0]
    editor.remove(node)
    for index, (call, inputs) in enumerate(chain):
        if index == convolved:
            x = tensor
        if call.op_type == "Mul":
            inputs = (x,)
        name = node.name if index == 0 else f"{node.name}.{call.op_type.lower()}"
        last = index == len(chain) - 1
        output = result if last else editor.add_tensor(f"{name}.out")
        editor.add_node(name, call.op_type, [tensor, *inputs], [output], call.attributes)
        tensor = output
