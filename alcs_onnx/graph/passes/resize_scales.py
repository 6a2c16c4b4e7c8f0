"""Resize to sizes that are computed becomes Resize by scales, which holds for every size.

Precondition: `sizes` is computed from sizes (`graph.size_values`) and covers all axes (no `axes`
attribute), aspect-ratio policy is the default, `roi` is not used, and the same float32 scales give
back exactly these sizes, at all sets of input sizes, by ONNX's own rule, floor(input * scale).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from alcs_onnx.graph.editor import GraphEditor
from alcs_onnx.graph.model import Array
from alcs_onnx.graph.surgeon import Node


def run(editor: GraphEditor, note: Callable[[str], None]) -> int:
    """Rewrite such nodes; returns how many."""
    changes = 0
    for node in editor.nodes:
        sizes = node.input(3) if node.is_op("Resize") else None
        if sizes is None or sizes.name not in editor.size_values:
            continue
        if "axes" in node.attrs or node.constant(3) is not None:
            continue
        if node.str_attribute("keep_aspect_ratio_policy", "stretch") != "stretch":
            continue
        if node.str_attribute("coordinate_transformation_mode", "") == "tf_crop_and_resize":
            continue
        scales = _scales(editor, node)
        if scales is not None:
            # Before opset 13 there has to be a roi, read or not.
            added = editor.add_constant(f"{node.name}.scales", scales)
            node.inputs = [*node.inputs[:2], added]
            changes += 1
    return changes


def _scales(editor: GraphEditor, node: Node) -> Array | None:
    pairs = list(
        zip(editor.all_shapes(node.inputs[0]), editor.all_shapes(node.outputs[0]), strict=True)
    )
    if any(before is None or after is None for before, after in pairs):
        return None
    first = pairs[0]
    scales = (np.asarray(first[1], np.float64) / np.asarray(first[0])).astype(np.float32)
    for before, after in pairs:
        reached = np.floor(np.asarray(before, np.float32) * scales).astype(np.int64)
        if not np.array_equal(reached, np.asarray(after)):
            return None
    return np.asarray(scales)
