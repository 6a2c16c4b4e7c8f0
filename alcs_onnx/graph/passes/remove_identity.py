"""Nodes that hand their input on unchanged are removed.

1. Identity.
2. Dropout at inference. Precondition: its mask output is unused and training_mode is absent
   or constant false.
3. Cast to the type the tensor already has.
4. Pad by nothing: all pads are constant zeros.
5. Concat and Sum of a single input.
6. Transpose that keeps the order of axes.
7. Reshape, Expand, Squeeze, Flatten and the like are left: they may matter for other batches.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from alcs_onnx.graph.editor import GraphEditor
from alcs_onnx.graph.surgeon import Node


def _hands_on(editor: GraphEditor, node: Node) -> bool:
    if node.is_op("Identity"):
        return True
    if node.is_op("Dropout"):
        mask_used = any(editor.is_used(output) for output in node.outputs[1:])
        training = node.constant(2)
        at_inference = node.input(2) is None or (training is not None and not training.any())
        return at_inference and not mask_used
    if node.is_op("Cast"):
        source = node.inputs[0].dtype
        return source is not None and source == node.outputs[0].dtype
    if node.is_op("Pad"):
        pads = node.constant(1)
        return pads is not None and not np.any(pads)
    if node.is_op("Concat", "Sum"):
        return len(node.inputs) == 1
    if node.is_op("Transpose"):
        perm = node.ints_attribute("perm")
        return bool(perm) and perm == tuple(range(len(perm)))
    return False


def run(editor: GraphEditor, note: Callable[[str], None]) -> int:
    """Remove such nodes; returns how many."""
    return sum(
        editor.bypass(node, node.inputs[0])
        for node in list(editor.nodes)
        if _hands_on(editor, node)
    )
