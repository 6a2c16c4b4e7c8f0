"""Reshape targets that repeat the batch say "as in the input" instead.

Precondition: the target is constant, its first number is the first dimension of the input
and of the output, and allowzero is off. A target of [1, 16, -1] becomes [0, 16, -1], which
means the same for batch 1 and holds for every other batch too. At most one -1 is written:
where the rest of the target is fixed it stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from alcs_onnx.graph.editor import GraphEditor


def run(editor: GraphEditor, note: Callable[[str], None]) -> int:
    """Rewrite such targets; returns how many nodes changed."""
    changes = 0
    for node in editor.nodes:
        if not node.is_op("Reshape") or node.int_attribute("allowzero", 0):
            continue
        target = editor.constant(node.input(1))
        source, result = editor.shapes.get(node.inputs[0]), editor.shapes.get(node.outputs[0])
        if target is None or target.size == 0 or not source or not result:
            continue
        if target[0] <= 0 or not target[0] == source[0] == result[0]:
            continue
        free = np.array(target, dtype=np.int64)
        free[0] = 0
        name = editor.add_initializer(f"{node.name}.shape", free)
        editor.update_node(node, inputs=(node.inputs[0], name))
        changes += 1
    return changes
