"""Constant nodes become initializers.

Precondition: none. Every form of the operator is read: a tensor, a scalar, a list.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from alcs_onnx.graph.editor import GraphEditor
from alcs_onnx.graph.model import Array
from alcs_onnx.graph.surgeon import Node


def _value(node: Node) -> Array | None:
    for key, value in node.attrs.items():
        if key == "value" and isinstance(value, np.ndarray):
            return value
        if key in ("value_float", "value_floats"):
            return np.asarray(value, dtype=np.float32)
        if key in ("value_int", "value_ints"):
            return np.asarray(value, dtype=np.int64)
        if key in ("value_string", "value_strings"):
            return np.asarray(value, dtype=object)
    return None


def run(editor: GraphEditor, note: Callable[[str], None]) -> int:
    """Replace Constant nodes by initializers of the same name; returns how many."""
    changes = 0
    for node in list(editor.nodes):
        value = _value(node) if node.is_op("Constant") else None
        if value is not None:
            editor.set_constant(node, [value])
            changes += 1
    return changes
