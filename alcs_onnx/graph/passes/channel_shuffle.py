"""Reshape, Transpose and Reshape that only reorder channels become one Gather.

Precondition: constant targets, nothing else reads what lies in between, and the result holds
whole channels of the input, [N, C, pixels], in another order; the chain may end in Gathers
that take one part each out of a first axis (a shuffle that splits, too). Reordered channels
can be counted anew when some are removed, which axes that cut them into parts cannot.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from alcs_onnx.graph.editor import GraphEditor
from alcs_onnx.graph.model import Array, Node
from alcs_onnx.types import Shape

_MAX_ELEMENTS = 1 << 24


def run(editor: GraphEditor, note: Callable[[str], None]) -> int:
    """Replace such chains; returns how many."""
    changes = 0
    for first in editor.nodes:
        if editor.node(first.name) is first and first.is_op("Reshape"):
            changes += _replace(editor, first)
    return changes


def _replace(editor: GraphEditor, first: Node) -> int:
    transpose = _next(editor, first, "Transpose")
    second = None if transpose is None else _next(editor, transpose, "Reshape")
    source = editor.shapes.get(first.inputs[0])
    if transpose is None or second is None or source is None or len(source) < 3:
        return 0
    if source[0] != 1 or np.prod(source) > _MAX_ELEMENTS:
        return 0
    chain = [first, transpose, second]
    elements = np.arange(np.prod(source), dtype=np.int64).reshape(source)
    for node in chain:
        moved = _moved(editor, node, elements)
        if moved is None:
            return 0
        elements = moved
    ends = _ends(editor, second, elements)
    orders = [order for _, taken in ends if (order := _order(taken, source)) is not None]
    if len(orders) < len(ends):
        return 0
    editor.remove_nodes(dict.fromkeys(node.name for node in (*chain, *(end for end, _ in ends))))
    for (end, _), order in zip(ends, orders, strict=True):
        indices = editor.add_initializer(f"{end.name}.channels", order)
        inputs = (first.inputs[0], indices)
        editor.insert_node(Node(end.name, "Gather", inputs, end.outputs, {"axis": 1}))
    return 1


def _next(editor: GraphEditor, node: Node, op_type: str) -> Node | None:
    """The one reader of `node`, if it is an `op_type` and reads it as its data."""
    reader = editor.only_consumer(node.outputs[0])
    if reader is None or not reader.is_op(op_type) or reader.inputs[0] != node.outputs[0]:
        return None
    return reader


def _moved(editor: GraphEditor, node: Node, elements: Array) -> Array | None:
    """Where the elements go; None when that is not known or nothing is moved."""
    if node.is_op("Transpose"):
        order = node.ints_attribute("perm") or tuple(reversed(range(elements.ndim)))
        return elements.transpose(order)
    shape = editor.shapes.get(node.outputs[0])
    if editor.constant(node.inputs[1]) is None or shape is None:
        return None
    return elements.reshape(shape) if np.prod(shape) == elements.size else None


def _ends(editor: GraphEditor, last: Node, elements: Array) -> list[tuple[Node, Array]]:
    """The node that gives the result, or the Gathers that take it apart."""
    readers = editor.consumers(last.outputs[0])
    taken = [_part(editor, reader, last.outputs[0], elements) for reader in readers]
    parts = [part for part in taken if part is not None]
    if parts and len(parts) == len(readers) and not editor.is_output(last.outputs[0]):
        return parts
    return [(last, elements)]


def _part(
    editor: GraphEditor, node: Node, tensor: str, elements: Array
) -> tuple[Node, Array] | None:
    """A Gather of one index of the first axis, and what it takes."""
    index = editor.constant(node.input(1)) if node.is_op("Gather") else None
    if index is None or index.ndim or node.inputs[0] != tensor:
        return None
    if node.int_attribute("axis", 0) != 0:
        return None
    return node, elements[int(index)]


def _order(elements: Array, source: Shape) -> Array | None:
    """Which channel of the input each channel is, if they are whole ones."""
    pixels = int(np.prod(source[2:]))
    if elements.ndim != len(source) or elements.shape[0] != 1 or elements.shape[2:] != source[2:]:
        return None
    flat = elements.reshape(elements.shape[1], pixels)
    order = flat[:, 0] // pixels
    whole = order[:, None] * pixels + np.arange(pixels)
    return order if np.array_equal(flat, whole) else None
