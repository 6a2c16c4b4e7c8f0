"""The axes that a node names, in an attribute or, since opset 13 or 18, in an input."""

from __future__ import annotations

from collections.abc import Callable

from alcs_onnx.graph import Node
from alcs_onnx.graph.model import Array
from alcs_onnx.types import Shape

#: What is known of an integer input: `Linker.value`, `Kept.value`.
Value = Callable[[str], Array | None]


def named_axes(value: Value, node: Node, rank: int) -> Shape | None:
    """The axes, counted from 0; empty if none are named, None if only at run time."""
    given = node.ints_attribute("axes")
    if node.input(1):
        constant = value(node.inputs[1])
        if constant is None:
            return None
        given = tuple(int(axis) for axis in constant)
    return tuple(axis % rank for axis in given)
