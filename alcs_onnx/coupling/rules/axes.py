"""The axes that a node names, in an attribute or, since opset 13 or 18, in an input."""

from __future__ import annotations

from alcs_onnx.graph import Model, Node
from alcs_onnx.types import Shape


def named_axes(model: Model, node: Node, rank: int) -> Shape | None:
    """The axes, counted from 0; empty if none are named, None if only at run time."""
    given = node.ints_attribute("axes")
    if node.input(1):
        constant = model.initializers.get(node.inputs[1])
        if constant is None:
            return None
        given = tuple(int(axis) for axis in constant)
    return tuple(axis % rank for axis in given)
