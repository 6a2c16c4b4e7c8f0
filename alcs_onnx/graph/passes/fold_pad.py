"""An explicit zero Pad in front of a Conv becomes part of the Conv's own padding.

Preconditions: the Pad is in constant mode with value 0; its pads are constant, not negative
and only on spatial axes; nothing but Conv nodes of explicit padding (`canonical_conv`) read
it, as data. (Were it kept for other readers, nothing would be gained, and ONNX Runtime 1.31
merges a zero Pad wrongly into a MaxPool that is its only reader.)

conv(pad(x, p), q) = conv(x, p + q), because Conv pads with zeros too.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from alcs_onnx.graph.editor import GraphEditor
from alcs_onnx.graph.surgeon import Node
from alcs_onnx.types import Shape


def spatial_zero_pads(node: Node) -> Shape | None:
    """Begins and ends of the spatial axes of a Pad that meets the precondition, else None."""
    if not node.is_op("Pad") or node.str_attribute("mode", "constant") != "constant":
        return None
    shape, pads, value = node.inputs[0].shape, node.constant(1), node.constant(2)
    if shape is None or len(shape) < 3 or pads is None:
        return None
    if node.input(2) is not None and (value is None or np.any(value != 0)):
        return None
    rank = len(shape)
    axes: list[int] = list(range(rank))
    if node.input(3) is not None:
        given = node.constant(3)
        if given is None:
            return None
        axes = [int(axis) % rank for axis in given]
    begins, ends = [0] * rank, [0] * rank
    for axis, begin, end in zip(axes, pads[: len(axes)], pads[len(axes) :], strict=True):
        begins[axis], ends[axis] = int(begin), int(end)
    if min(begins + ends) < 0 or any(begins[:2] + ends[:2]):
        return None
    return (*begins[2:], *ends[2:])


def _takes_over(conv: Node, pad: Node, rank: int) -> bool:
    tensor = pad.outputs[0]
    return (
        conv.is_op("Conv")
        and conv.inputs[0] is tensor
        and conv.reads(tensor) == 1
        and len(conv.ints_attribute("pads")) == 2 * (rank - 2)
    )


def run(editor: GraphEditor, note: Callable[[str], None]) -> int:
    """Fold such Pads; returns how many."""
    changes = 0
    for pad in list(editor.nodes):
        extra = spatial_zero_pads(pad)
        if extra is None or editor.is_output(pad.outputs[0]):
            continue
        readers = editor.consumers(pad.outputs[0])
        rank = 2 + len(extra) // 2
        if not readers or not all(_takes_over(reader, pad, rank) for reader in readers):
            continue
        for conv in readers:
            own = conv.ints_attribute("pads")
            conv.attrs["pads"] = tuple(a + b for a, b in zip(own, extra, strict=True))
            conv.inputs[0] = pad.inputs[0]
        editor.remove(pad)
        changes += 1
    return changes
