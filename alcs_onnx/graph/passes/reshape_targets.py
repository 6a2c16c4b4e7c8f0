"""Reshape targets that are computed from sizes become constant.

Precondition: the target is computed from sizes (`graph.size_values`), allowzero is off, and each
number of it that follows the open sizes of the inputs is, at all sets of sizes, that of the input
on the same axis, which is written as 0; one further such number may be -1. What is left is the same
for every size: [N, 2, C/2, H, W] becomes [0, 2, C/2, 0, 0], and [N, C*H*W] becomes [0, -1].
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from alcs_onnx.graph.editor import GraphEditor
from alcs_onnx.graph.model import Array
from alcs_onnx.graph.surgeon import Node


def run(editor: GraphEditor, note: Callable[[str], None]) -> int:
    """Rewrite such targets; returns how many nodes changed."""
    changes = 0
    for node in editor.nodes:
        if not node.is_op("Reshape") or node.int_attribute("allowzero", 0):
            continue
        target = _target(editor, node)
        if target is not None:
            node.inputs[1] = editor.add_constant(f"{node.name}.shape", target)
            changes += 1
    return changes


def _target(editor: GraphEditor, node: Node) -> Array | None:
    size = editor.size_values.get(node.inputs[1].name)
    if size is None or size.value.ndim != 1 or node.constant(1) is not None:
        return None
    sources, results = (editor.all_shapes(x) for x in (node.inputs[0], node.outputs[0]))
    if None in sources or None in results:
        return None
    target = size.value.astype(np.int64)
    for axis in np.flatnonzero(size.varies):
        same = all(
            source is not None
            and result is not None
            and axis < len(source)
            and source[axis] == result[axis]
            for source, result in zip(sources, results, strict=True)
        )
        target[axis] = 0 if same else -1
    return target if np.count_nonzero(target == -1) <= 1 else None
