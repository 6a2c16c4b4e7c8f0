"""Reshape, Transpose and Reshape that only reorder channels become one Gather.

Precondition: constant targets, nothing else reads what lies in between, and the result holds
whole channels of the input, [N, C, pixels], in another order, each sample its own, at all sets of
input sizes; the chain may end in Gathers that take one part each out of a first axis (a shuffle
that splits, too). Reordered channels
can be counted anew when some are removed, which axes that cut them into parts cannot.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from alcs_onnx.graph.editor import GraphEditor
from alcs_onnx.graph.model import Array
from alcs_onnx.graph.surgeon import Node, Tensor
from alcs_onnx.types import Shape

_MAX_ELEMENTS = 1 << 24


def run(editor: GraphEditor, note: Callable[[str], None]) -> int:
    """Replace such chains; returns how many."""
    changes = 0
    for first in list(editor.nodes):
        # A node that was replaced with an earlier one has no outputs any more.
        if first.is_op("Reshape") and first.outputs:
            changes += _replace(editor, first)
    return changes


def _replace(editor: GraphEditor, first: Node) -> int:
    transpose = _next(editor, first, "Transpose")
    second = None if transpose is None else _next(editor, transpose, "Reshape")
    if transpose is None or second is None:
        return 0
    chain = [first, transpose, second]
    # At the measured sizes, and at the other ones where there are any: all have to agree.
    found = [
        _channel_orders(editor, chain, number, source)
        for number, source in enumerate(editor.all_shapes(first.inputs[0]))
    ]
    ends = found[0]
    if not ends or any(not _same(ends, others) for others in found[1:]):
        return 0
    data, results = first.inputs[0], [end.outputs[0] for end, _ in ends]
    for node in dict.fromkeys((*chain, *(end for end, _ in ends))):
        editor.remove(node)
    for (end, order), result in zip(ends, results, strict=True):
        indices = editor.add_constant(f"{end.name}.channels", order)
        editor.add_node(end.name, "Gather", [data, indices], [result], {"axis": 1})
    return 1


def _channel_orders(
    editor: GraphEditor, chain: list[Node], number: int, source: Shape | None
) -> list[tuple[Node, Array]]:
    """The nodes that give results, each with its channels' order, for one set of sizes."""
    if source is None or len(source) < 3 or not 0 < np.prod(source) <= _MAX_ELEMENTS:
        return []
    elements = np.arange(np.prod(source), dtype=np.int64).reshape(source)
    for node in chain:
        moved = _moved(editor, node, elements, number)
        if moved is None:
            return []
        elements = moved
    ends = _ends(editor, chain[-1], elements)
    orders = [_order(taken, source) for _, taken in ends]
    found = [
        (end, order) for (end, _), order in zip(ends, orders, strict=True) if order is not None
    ]
    return found if len(found) == len(ends) else []


def _same(ends: list[tuple[Node, Array]], others: list[tuple[Node, Array]]) -> bool:
    return len(ends) == len(others) and all(
        np.array_equal(order, other) for (_, order), (_, other) in zip(ends, others, strict=True)
    )


def _next(editor: GraphEditor, node: Node, op_type: str) -> Node | None:
    """The one reader of `node`, if it is an `op_type` and reads it as its data."""
    reader = editor.only_consumer(node.outputs[0])
    if reader is None or not reader.is_op(op_type) or reader.inputs[0] is not node.outputs[0]:
        return None
    return reader


def _moved(editor: GraphEditor, node: Node, elements: Array, number: int) -> Array | None:
    """Where the elements go; None when that is not known or nothing is moved."""
    if node.is_op("Transpose"):
        order = node.ints_attribute("perm") or tuple(reversed(range(elements.ndim)))
        return elements.transpose(order)
    shape = editor.all_shapes(node.outputs[0])[number]
    if node.constant(1) is None or shape is None:
        return None
    return elements.reshape(shape) if np.prod(shape) == elements.size else None


def _ends(editor: GraphEditor, last: Node, elements: Array) -> list[tuple[Node, Array]]:
    """The node that gives the result, or the Gathers that take it apart."""
    readers = editor.consumers(last.outputs[0])
    taken = [_part(reader, last.outputs[0], elements) for reader in readers]
    parts = [part for part in taken if part is not None]
    if parts and len(parts) == len(readers) and not editor.is_output(last.outputs[0]):
        return parts
    return [(last, elements)]


def _part(node: Node, tensor: Tensor, elements: Array) -> tuple[Node, Array] | None:
    """A Gather of one index of the first axis, and what it takes."""
    index = node.constant(1) if node.is_op("Gather") else None
    if index is None or index.ndim or node.inputs[0] is not tensor:
        return None
    if node.int_attribute("axis", 0) != 0:
        return None
    return node, elements[int(index)]


def _order(elements: Array, source: Shape) -> Array | None:
    """Which channel of the input each channel is, if they are whole ones of the same sample."""
    pixels = int(np.prod(source[2:]))
    if elements.ndim != len(source) or elements.shape[0] != source[0]:
        return None
    if elements.shape[2:] != source[2:]:
        return None
    samples = elements.reshape(source[0], elements.shape[1], pixels)
    order = samples[0, :, 0] // pixels
    sample = np.arange(source[0])[:, None, None] * (source[1] * pixels)
    whole = sample + order[:, None] * pixels + np.arange(pixels)
    return order if np.array_equal(samples, whole) else None
