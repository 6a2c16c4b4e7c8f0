"""Resize to fixed sizes becomes Resize by scales, which holds for every batch.

Precondition: `sizes` is constant and covers all axes (no `axes` attribute), aspect-ratio
policy is the default, `roi` is not used, and float32 scales give back exactly the same sizes
by ONNX's own rule, floor(input * scale).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from alcs_onnx.graph.editor import GraphEditor


def run(editor: GraphEditor, note: Callable[[str], None]) -> int:
    """Rewrite such nodes; returns how many."""
    changes = 0
    for node in editor.nodes:
        sizes = editor.constant(node.input(3))
        source = editor.shapes.get(node.input(0))
        if not node.is_op("Resize") or sizes is None or source is None:
            continue
        if "axes" in node.attributes or len(sizes) != len(source):
            continue
        if node.str_attribute("keep_aspect_ratio_policy", "stretch") != "stretch":
            continue
        if node.str_attribute("coordinate_transformation_mode", "") == "tf_crop_and_resize":
            continue
        scales = (np.asarray(sizes, np.float64) / source).astype(np.float32)
        reached = np.floor(np.asarray(source, np.float32) * scales)
        if not np.array_equal(reached.astype(np.int64), sizes):
            continue
        name = editor.add_initializer(f"{node.name}.scales", scales)
        editor.update_node(node, inputs=(node.inputs[0], "", name))
        changes += 1
    return changes
