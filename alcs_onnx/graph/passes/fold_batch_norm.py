"""BatchNormalization behind a convolution is folded into its weights.

Preconditions: inference mode with one output; scale, bias, mean and variance are constant;
the convolution (Conv or ConvTranspose) has constant weights and nothing else reads its
output.

    y = gamma * (conv - mean) / sqrt(var + epsilon) + beta
      = s * conv + (beta - s * mean),    s = gamma / sqrt(var + epsilon)

computed in float64.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from alcs_onnx.graph.editor import GraphEditor
from alcs_onnx.graph.passes._affine import apply_affine, constant_conv, out_channels


def run(editor: GraphEditor, note: Callable[[str], None]) -> int:
    """Fold such nodes; returns how many."""
    changes = 0
    for node in list(editor.nodes):
        if not node.is_op("BatchNormalization") or node.int_attribute("training_mode", 0):
            continue
        if any(editor.is_used(output) for output in node.outputs[1:]):
            continue
        conv = editor.producer(node.inputs[0])
        constants = [node.constant(index) for index in range(1, 5)]
        if conv is None or not constant_conv(conv):
            continue
        if editor.only_consumer(node.inputs[0]) is None:
            continue
        wide = [c.astype(np.float64).reshape(-1) for c in constants if c is not None]
        channels = out_channels(conv)
        if len(wide) != 4 or any(len(c) != channels for c in wide):
            continue
        gamma, beta, mean, variance = wide
        variance = variance + node.float_attribute("epsilon", 1e-5)
        if not np.all(variance > 0):
            continue
        scale = gamma / np.sqrt(variance)
        editor.take_over(conv, node)
        apply_affine(editor, conv, scale, beta - scale * mean)
        changes += 1
    return changes
