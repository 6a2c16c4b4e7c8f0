"""Element-wise arithmetic with constants behind a convolution is folded into its weights.

1. conv + c, c + conv, conv - c, c - conv
2. conv * c, c * conv, conv / c

Preconditions: c is constant and one number per output channel ([M, 1, ..], or one number);
broadcasting leaves the shape of the convolution's output as it is; the convolution has
constant weights and nothing else reads its output. For Add and Sub with a convolution
without bias this is how exporters that know no bias write one. Algebra in `_affine`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from alcs_onnx.graph.editor import GraphEditor
from alcs_onnx.graph.model import Array
from alcs_onnx.graph.passes._affine import (
    Float64,
    apply_affine,
    constant_conv,
    out_channels,
)
from alcs_onnx.graph.surgeon import Node


def _per_channel(constant: Array, rank: int, channels: int) -> Float64 | None:
    """The constant as [M] if it broadcasts over [N, M, ...] by channel only."""
    if constant.ndim > rank:
        return None
    shape = (1,) * (rank - constant.ndim) + constant.shape
    if any(dim != 1 for axis, dim in enumerate(shape) if axis != 1):
        return None
    if shape[1] not in (1, channels):
        return None
    return np.broadcast_to(constant.reshape(-1).astype(np.float64), (channels,))


def _affine(node: Node, constant: Float64, constant_first: bool) -> tuple[Float64, Float64] | None:
    """Scale and shift of the operation on the convolution's output."""
    one, zero = np.ones_like(constant), np.zeros_like(constant)
    match node.op_type:
        case "Add":
            return one, constant
        case "Mul":
            return constant, zero
        case "Sub":
            return (-one, constant) if constant_first else (one, -constant)
        case "Div" if not constant_first and np.all(constant != 0):
            return 1 / constant, zero
    return None


def run(editor: GraphEditor, note: Callable[[str], None]) -> int:
    """Fold such nodes; returns how many."""
    changes = 0
    for node in list(editor.nodes):
        if not node.is_op("Add", "Sub", "Mul", "Div"):
            continue
        first = node.constant(0)
        data = node.inputs[1] if first is not None else node.inputs[0]
        constant = first if first is not None else node.constant(1)
        conv = editor.producer(data)
        if constant is None or conv is None or not constant_conv(conv):
            continue
        if editor.only_consumer(data) is None:
            continue
        channel_values = _per_channel(constant, conv.values(1).ndim, out_channels(conv))
        if channel_values is None:
            continue
        affine = _affine(node, channel_values, first is not None)
        if affine is None:
            continue
        editor.take_over(conv, node)
        apply_affine(editor, conv, *affine)
        changes += 1
    return changes
