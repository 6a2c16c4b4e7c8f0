"""What is refitted: convolutions, and fully connected layers as convolutions of no axes."""

from __future__ import annotations

from typing import TypeVar

import numpy as np

from alcs_onnx.graph import Model, Node, conv_layers, reason_no_convolution
from alcs_onnx.types import BoolArray, ConvLayer, DoubleArray, FloatArray

#: Columns of a weight matrix beyond which its second moments are too large: 800 MB at 10,000.
_MOST_COLUMNS = 10_000
_Array = TypeVar("_Array", FloatArray, BoolArray)


def own_layers(model: Model) -> tuple[ConvLayer, ...]:
    """The convolutions that can be refitted: nothing else reads their weights and biases.

    Nor are they so large that their second moments would not fit in memory.
    """
    return tuple(layer for layer in conv_layers(model) if _is_own(model, layer))


def fully_connected(model: Model) -> tuple[ConvLayer, ...]:
    """Likewise the Gemm and MatMul nodes that `as_convolutions` could convert, at factors of 1."""
    layers = (_linear(model, node) for node in model.nodes if node.is_op("Gemm", "MatMul"))
    return tuple(layer for layer in layers if layer is not None and _is_own(model, layer))


def refitted_layers(model: Model) -> dict[str, ConvLayer]:
    """All layers that can be refitted, by name."""
    return {layer.name: layer for layer in (*own_layers(model), *fully_connected(model))}


def weights_of(model: Model, layer: ConvLayer) -> FloatArray:
    """The weights of a layer, [M, C/G, *kernel]."""
    return rows_first(model, layer, model.initializers[layer.weight])


def rows_first(model: Model, layer: ConvLayer, stored: _Array) -> _Array:
    """What is `stored` as the weight of a layer is, such as a mask of it, as [M, C/G, *kernel]."""
    return stored.T if _columns_first(model, layer) else stored


def arrays_of(
    model: Model, layer: ConvLayer, weights: DoubleArray, bias: DoubleArray
) -> dict[str, FloatArray]:
    """Weights [G, rows, columns] and a bias [M] as the initializers of a layer, by name."""
    rows = weights.reshape(layer.weight_shape).astype(np.float32)
    found = {layer.weight: np.ascontiguousarray(rows.T) if _columns_first(model, layer) else rows}
    if layer.bias is not None:
        shape = model.initializers[layer.bias].shape
        found[layer.bias] = bias.astype(np.float32).reshape(shape)
    return found


def _is_own(model: Model, layer: ConvLayer) -> bool:
    names = [name for name in (layer.weight, layer.bias) if name]
    alone = all(len(model.consumers(n)) == 1 and not model.is_output(n) for n in names)
    return alone and layer.columns <= _MOST_COLUMNS


def _columns_first(model: Model, layer: ConvLayer) -> bool:
    """Whether the weight is stored as [C, M]."""
    node = model.node(layer.name)
    return not node.is_op("Conv") and not node.int_attribute("transB", 0)


def _linear(model: Model, node: Node) -> ConvLayer | None:
    factors = (node.float_attribute("alpha", 1.0), node.float_attribute("beta", 1.0))
    given, made = model.shapes.get(node.inputs[0]), model.shapes.get(node.outputs[0])
    # Between tokens there are many MatMuls of another rank, and reasons take a look at the graph.
    if factors != (1.0, 1.0) or len(given or ()) != 2 or reason_no_convolution(model, node):
        return None
    bias = node.input(2) or None
    if given is None or made is None or (bias and model.initializers[bias].size != made[1]):
        return None
    return ConvLayer(
        name=node.name,
        weight=node.inputs[1],
        bias=bias,
        out_channels=made[1],
        in_channels=given[1],
        group=1,
        kernel_shape=(),
        strides=(),
        pads=(),
        dilations=(),
        input_shape=given,
        output_shape=made,
    )
