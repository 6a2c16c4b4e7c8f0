"""Shape and Size read the end of a chain instead of its middle.

Precondition: the tensor that they read has exactly one other reader, which works on each number by
itself or by channel, reads it as its data and keeps its shape at all sets of input sizes. The
result has the same shape, so it may stand in; the chain is then free to be folded and fused.
"""

from __future__ import annotations

from collections.abc import Callable

from alcs_onnx.graph.editor import GraphEditor
from alcs_onnx.graph.surgeon import Node, Tensor
from alcs_onnx.op_traits import BROADCAST, UNARY

_KEEP_SHAPE = (*UNARY, *BROADCAST, "BatchNormalization")


def run(editor: GraphEditor, note: Callable[[str], None]) -> int:
    """Move such nodes one step on; returns how many moved."""
    changes = 0
    for node in editor.nodes:
        if node.is_op("Shape", "Size"):
            following = _following(editor, node)
            if following is not None:
                node.inputs[0] = following
                changes += 1
    return changes


def _following(editor: GraphEditor, node: Node) -> Tensor | None:
    tensor = node.inputs[0]
    others = [n for n in editor.consumers(tensor) if not n.is_op("Shape", "Size")]
    if len(others) != 1 or editor.is_output(tensor) or editor.producer(tensor) is None:
        return None
    step = others[0]
    same = None not in editor.all_shapes(tensor) and (
        editor.all_shapes(tensor) == editor.all_shapes(step.outputs[0])
    )
    # What the step computes must not be made of the sizes that are asked for.
    return (
        step.outputs[0] if same and step.is_op(*_KEEP_SHAPE) and not _before(node, step) else None
    )


def _before(node: Node, step: Node) -> bool:
    """Whether `step` depends on `node`."""
    seen: set[Node] = set()
    open_nodes = [step]
    while open_nodes:
        current = open_nodes.pop()
        if current is node:
            return True
        if current not in seen:
            seen.add(current)
            open_nodes += [producer for tensor in current.inputs for producer in tensor.inputs]
    return False
