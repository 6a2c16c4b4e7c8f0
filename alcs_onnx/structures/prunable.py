"""Which layers have weights that can be removed in groups."""

from __future__ import annotations

from alcs_onnx.graph import Model
from alcs_onnx.types import ConvLayer


def reason_dense(model: Model, layer: ConvLayer) -> str:
    """Why `layer` of `model` keeps all its weights; empty when it can be pruned."""
    if layer.depthwise:
        return "depthwise: few weights, each channel its own"
    if len(model.consumers(layer.weight)) > 1:
        return "weights shared with another node"
    if model.is_output(layer.weight):
        return "weights that are an output of the model, too"
    return ""
