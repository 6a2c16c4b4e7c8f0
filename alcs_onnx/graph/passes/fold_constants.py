"""Nodes whose inputs are all constant are computed now; so is what no size of the inputs changes.

1. Preconditions for a node: default domain, deterministic, no subgraph, every present input an
   initializer. DequantizeLinear is kept, because runtimes recognise quantized layers by it. A
   result much larger than its inputs is kept as a node where it is data; weights are always
   folded, whatever their size.
2. A tensor computed from sizes (`graph.size_values`) of which no number follows the open sizes of
   the inputs.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod

from alcs_onnx.graph.editor import GraphEditor
from alcs_onnx.graph.evaluate import computable, evaluate
from alcs_onnx.graph.model import Array
from alcs_onnx.graph.proto import one_line
from alcs_onnx.graph.surgeon import Node, as_value, constant
from alcs_onnx.op_traits import LINEAR

_MAX_GROWTH_BYTES = 1 << 20


def run(editor: GraphEditor, note: Callable[[str], None]) -> int:
    """Fold in topological order, so that one sweep folds whole chains; returns how many."""
    changes = 0
    for node in list(editor.nodes):
        values = _sizes(editor, node)
        if values is None and _foldable(editor, node):
            try:
                values = evaluate(as_value(node), _constants(node), editor.opset)
            except Exception as error:  # the evaluator raises whatever an operator raises
                note(f"node '{node.name}' ({node.op}) was not folded: {one_line(error)}")
        if values is not None:
            editor.set_constant(node, values)
            changes += 1
    return changes


def _sizes(editor: GraphEditor, node: Node) -> list[Array] | None:
    """The outputs of a node that computes sizes, if they are always the same."""
    found = [editor.size_values.get(output.name) for output in node.outputs if output.name]
    fixed = [size.value for size in found if size is not None and size.fixed]
    return fixed if found and len(fixed) == len(found) else None


def _foldable(editor: GraphEditor, node: Node) -> bool:
    present = [tensor for tensor in node.inputs if tensor.name]
    return (
        bool(present)
        and all(constant(tensor) is not None for tensor in present)
        and computable(as_value(node), editor.opset)
        and (not _grows(node) or _becomes_weight(editor, node))
    )


def _constants(node: Node) -> dict[str, Array]:
    """The inputs of `node` that are constant."""
    found = {tensor.name: constant(tensor) for tensor in node.inputs}
    return {name: array for name, array in found.items() if array is not None}


def _grows(node: Node) -> bool:
    """Whether the result is much larger than what it is made of."""
    size = sum(
        prod(output.shape) * output.dtype.itemsize
        for output in node.outputs
        if output.shape is not None and output.dtype is not None
    )
    inputs = sum(array.nbytes for array in _constants(node).values())
    return size > inputs + _MAX_GROWTH_BYTES


def _becomes_weight(editor: GraphEditor, node: Node) -> bool:
    """Whether a layer reads the result, or what further nodes make of it, as its weights."""
    seen: set[Node] = set()
    open_tensors = list(node.outputs)
    while open_tensors:
        tensor = open_tensors.pop()
        for reader in editor.consumers(tensor):
            if reader.is_op(*LINEAR) and reader.inputs[0] is not tensor:
                return True
            others = [other for other in reader.inputs if other.name and other is not tensor]
            if reader in seen or any(constant(other) is None for other in others):
                continue
            seen.add(reader)
            open_tensors += reader.outputs
    return False
