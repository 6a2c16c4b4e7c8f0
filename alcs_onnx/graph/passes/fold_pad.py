"""An explicit zero Pad in front of a Conv becomes part of the Conv's own padding.

Preconditions: the Pad is in constant mode with value 0; its pads are constant, not negative
and only on spatial axes; the Conv's padding is explicit (`canonical_conv`) and it reads the
Pad as data. The Pad may have several Conv readers; it disappears with the last one.

conv(pad(x, p), q) = conv(x, p + q), because Conv pads with zeros too.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from alcs_onnx.graph.editor import GraphEditor
from alcs_onnx.graph.model import Node
from alcs_onnx.types import Shape


def spatial_zero_pads(editor: GraphEditor, node: Node) -> Shape | None:
    """Begins and ends of the spatial axes of a Pad that meets the precondition, else None."""
    if not node.is_op("Pad") or node.str_attribute("mode", "constant") != "constant":
        return None
    shape = editor.shapes.get(node.inputs[0])
    pads = editor.constant(node.input(1))
    value = editor.constant(node.input(2))
    if shape is None or len(shape) < 3 or pads is None:
        return None
    if node.input(2) and (value is None or np.any(value != 0)):
        return None
    rank = len(shape)
    axes: list[int] = list(range(rank))
    if node.input(3):
        given = editor.constant(node.input(3))
        if given is None:
            return None
        axes = [int(axis) % rank for axis in given]
    begins, ends = [0] * rank, [0] * rank
    for axis, begin, end in zip(axes, pads[: len(axes)], pads[len(axes) :], strict=True):
        begins[axis], ends[axis] = int(begin), int(end)
    if min(begins + ends) < 0 or any(begins[:2] + ends[:2]):
        return None
    return (*begins[2:], *ends[2:])


def run(editor: GraphEditor, note: Callable[[str], None]) -> int:
    """Fold such Pads; returns how many Conv nodes took one over."""
    changes = 0
    for pad in editor.nodes:
        extra = spatial_zero_pads(editor, pad)
        if extra is None:
            continue
        for conv in editor.consumers(pad.outputs[0]):
            if not conv.is_op("Conv") or conv.inputs[0] != pad.outputs[0]:
                continue
            own = conv.ints_attribute("pads")
            if len(own) != len(extra) or pad.outputs[0] in conv.inputs[1:]:
                continue
            pads = tuple(a + b for a, b in zip(own, extra, strict=True))
            editor.update_node(
                conv,
                inputs=(pad.inputs[0], *conv.inputs[1:]),
                attributes={**conv.attributes, "pads": pads},
            )
            changes += 1
    return changes
