"""What follows a convolution and can be done at its store: residual Add, then activation.

A fusion checks the one node that reads the convolution's result so far. It returns the grown
epilogue, the reason why this node cannot be taken over, or None for operators that are not
its business. Nothing is changed here; the rewriter removes the absorbed nodes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from alcs_onnx.graph import GraphEditor, Node
from alcs_onnx.rewrite.activations import ACTIVATIONS
from alcs_onnx.types import Activation


@dataclass(frozen=True)
class Epilogue:
    """What the fused node computes after the convolution, and the nodes it replaces."""

    output: str
    residual: str | None = None
    activation: Activation = field(default_factory=Activation)
    absorbed: tuple[str, ...] = ()
    fused: tuple[str, ...] = ()
    unfused: str = ""


def _residual(editor: GraphEditor, node: Node, epilogue: Epilogue) -> Epilogue | str | None:
    """v + residual, where the residual has exactly the shape of v.

    The residual cannot depend on v: this Add is all that reads v. So it can always be
    computed before.
    """
    if not node.is_op("Add"):
        return None
    others = [name for name in node.inputs if name != epilogue.output]
    if len(others) != 1:
        return "it is added to itself"
    residual = others[0]
    if editor.constant(residual) is not None:
        return "the other operand of Add is constant"
    shape = editor.shapes.get(epilogue.output)
    if shape is None or editor.shapes.get(residual) != shape:
        return "the operands of Add differ in shape"
    if editor.dtypes.get(residual) != np.float32:
        return "the other operand of Add is not float32"
    return replace(epilogue, residual=residual, fused=(*epilogue.fused, "residual"))


def _activation(editor: GraphEditor, node: Node, epilogue: Epilogue) -> Epilogue | str | None:
    """clip(max(v, slope * v), low, high), by the table of activations."""
    rule = ACTIVATIONS.get(node.op_type) if node.domain == "" else None
    if rule is None:
        return None
    if node.input(0) != epilogue.output or epilogue.output in node.inputs[1:]:
        return f"{node.op_type} reads it as a parameter"
    activation = rule(editor, node)
    if isinstance(activation, str):
        return f"{node.op_type}: {activation}"
    return replace(epilogue, activation=activation, fused=(*epilogue.fused, node.op_type))


Fusion = Callable[[GraphEditor, Node, Epilogue], Epilogue | str | None]

#: In the order in which the op applies them.
FUSIONS: tuple[Fusion, ...] = (_residual, _activation)


def match_epilogue(editor: GraphEditor, conv: Node) -> Epilogue:
    """Everything that can be fused into `conv`; `unfused` says what stopped it."""
    epilogue = Epilogue(output=conv.outputs[0])
    for fusion in FUSIONS:
        node = editor.only_consumer(epilogue.output)
        if node is None:
            reason = "its result is a graph output or read more than once"
            return replace(epilogue, unfused=reason)
        grown = fusion(editor, node, epilogue)
        if isinstance(grown, str):
            return replace(epilogue, unfused=grown)
        if grown is not None:
            absorbed = (*epilogue.absorbed, node.name)
            epilogue = replace(grown, output=node.outputs[0], absorbed=absorbed)
    following = editor.only_consumer(epilogue.output)
    if following is None or epilogue.fused:
        return epilogue
    return replace(epilogue, unfused=f"{following.op_type} cannot be fused")
