"""Which nodes are convolutions that can be made sparse."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from alcs_onnx.graph.model import Model, Node
from alcs_onnx.graph.obstacles import unknown_shape
from alcs_onnx.graph.remembered import once_per_model
from alcs_onnx.types import ConvLayer

#: Element types of weights that can be made sparse; the sparse operator has them as float32.
WEIGHT_TYPES = ("float32", "float16")


def conv_layers(model: Model) -> tuple[ConvLayer, ...]:
    """Conv nodes that can be made sparse: constant float weights, 1-D/2-D, static.

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
    reason = _reason_of_constants(model, node)
    if reason:
        return reason
    weight, bias = model.initializers[node.inputs[1]], node.input(2)
    spatial = weight.ndim - 2
    input_shape = model.shapes.get(node.input(0))
    output_shape = model.shapes.get(node.outputs[0])
    if input_shape is None or output_shape is None:
        open_tensor = node.inputs[0] if input_shape is None else node.outputs[0]
        return f"its input shape is not known: {unknown_shape(model, open_tensor)}"
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
        weight=node.inputs[1],
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


def _reason_of_constants(model: Model, node: Node) -> str:
    """What is wrong with the weights or the bias of a Conv node; empty for nothing."""
    weight = model.initializers.get(node.input(1))
    if weight is None:
        producer = model.producer(node.input(1))
        if producer is not None and producer.is_op("DequantizeLinear"):
            return (
                "its weights are quantized (DequantizeLinear): give the model of before "
                "quantization, or remove whole channels of this one (--method channel)"
            )
        return "its weights are computed at run time"
    if weight.dtype.name not in WEIGHT_TYPES:
        return f"its weights are {weight.dtype.name}, not {' or '.join(WEIGHT_TYPES)}"
    if not np.isfinite(weight.astype(np.float32, copy=False)).all():
        return f"its weights '{node.inputs[1]}' hold NaN or infinite values"
    spatial = weight.ndim - 2
    if spatial not in (1, 2):
        return f"it has {spatial} spatial dimensions, only 1 and 2 are supported"
    bias = node.input(2)
    if bias and bias not in model.initializers:
        return "its bias is computed at run time"
    return ""
