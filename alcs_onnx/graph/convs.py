"""Which nodes are convolutions that can be made sparse."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from alcs_onnx.graph.model import Model, Node
from alcs_onnx.graph.remembered import once_per_model
from alcs_onnx.types import ConvLayer


def conv_layers(model: Model) -> tuple[ConvLayer, ...]:
    """Conv nodes that can be made sparse: constant float32 weights, 1-D/2-D, static.

    They come in topological order.
    """
    return _classify(model)[0]


def skipped_convs(model: Model) -> Mapping[str, str]:
    """The other Conv nodes, each with the reason why it cannot be made sparse."""
    return _classify(model)[1]


def conv_layer(model: Model, name: str) -> ConvLayer:
    """The conv layer called `name`; raises `KeyError` when there is none."""
    for layer in conv_layers(model):
        if layer.name == name:
            return layer
    raise KeyError(name)


@once_per_model
def _classify(model: Model) -> tuple[tuple[ConvLayer, ...], Mapping[str, str]]:
    """The layers, and the others with their reasons."""
    layers: list[ConvLayer] = []
    skipped: dict[str, str] = {}
    for node in model.nodes:
        if not node.is_op("Conv"):
            continue
        found = _layer_or_reason(model, node)
        if isinstance(found, str):
            skipped[node.name] = found
        else:
            layers.append(found)
    return tuple(layers), skipped


def _layer_or_reason(model: Model, node: Node) -> ConvLayer | str:
    weight = model.initializers.get(node.input(1))
    if weight is None:
        return "its weights are computed at run time"
    if weight.dtype != np.float32:
        return f"its weights are {weight.dtype.name}, only float32 is supported"
    if not np.isfinite(weight).all():
        return "its weights hold NaN or infinite values"
    spatial = weight.ndim - 2
    if spatial not in (1, 2):
        return f"it has {spatial} spatial dimensions, only 1 and 2 are supported"
    bias = node.input(2)
    if bias and bias not in model.initializers:
        return "its bias is computed at run time"
    input_shape = model.shapes.get(node.input(0))
    output_shape = model.shapes.get(node.outputs[0])
    if input_shape is None or output_shape is None:
        return "its input shape is not known"
    if node.str_attribute("auto_pad", "NOTSET") != "NOTSET":
        return "its automatic padding could not be resolved"
    group = node.int_attribute("group", 1)
    expected = weight.shape[1] * group
    if input_shape[1] != expected or weight.shape[0] % group:
        return f"its weights expect {expected} input channels, the input has {input_shape[1]}"
    if min(output_shape) < 1:
        return "its output is empty"
    return ConvLayer(
        name=node.name,
        weight=node.input(1),
        bias=bias or None,
        out_channels=weight.shape[0],
        in_channels=input_shape[1],
        group=group,
        kernel_shape=tuple(weight.shape[2:]),
        strides=node.ints_attribute("strides", (1,) * spatial),
        pads=node.ints_attribute("pads", (0,) * 2 * spatial),
        dilations=node.ints_attribute("dilations", (1,) * spatial),
        input_shape=input_shape,
        output_shape=output_shape,
    )
