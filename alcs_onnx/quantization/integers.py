"""The integers that a quantized file stores for its convolutions, and other ones in their place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from alcs_onnx.graph.message import Message
from alcs_onnx.graph.model import Array, Model, Node
from alcs_onnx.quantization.values import Quantized, QuantizeOptions
from alcs_onnx.types import DoubleArray

#: The most that a weight of s8 may be, either way, as the runtime's quantizer has it.
_MOST, _MOST_OF_SEVEN_BITS = 127, 64


@dataclass(frozen=True, eq=False)
class StoredLayer:
    """A convolution in int8: names of its integers in the file, and what these are multiplied by.

    output: the tensor that it computes in the float file.
    node: its node in the quantized file.
    weight: s8 [M, C/G, *kernel], from `-most` to `most`; steps: [M].
    bias: s32 [M], and its steps [M]; empty and None where it has none.
    """

    output: str
    node: str
    weight: str
    steps: DoubleArray
    most: int
    bias: str = ""
    bias_steps: DoubleArray | None = None


def stored_layers(
    quantized: Quantized, model: Model, options: QuantizeOptions
) -> tuple[StoredLayer, ...]:
    """The convolutions whose weights are s8 about zero; `model` is the file of `quantized`.

    `options` are those that it was quantized with.
    """
    makers = {name: node for node in model.nodes for name in node.outputs}
    most = _MOST_OF_SEVEN_BITS if options.reduce_range else _MOST
    found = []
    for output, tensor in quantized.computed.items():
        node = makers.get(tensor)
        if node is None or not node.is_op("Conv"):
            continue
        weight = _stored(model, makers.get(node.inputs[1]), np.int8)
        bias = _stored(model, makers.get(node.input(2)), np.int32)
        if weight is None or (bias is None and node.input(2)):
            continue
        layer = StoredLayer(output, node.name, *weight, most)
        found.append(layer if bias is None else replace(layer, bias=bias[0], bias_steps=bias[1]))
    return tuple(found)


def with_float_constants(model: Model) -> Model:
    """`model` where what Dequantize nodes make of initializers is initializers itself."""
    there: dict[str, Array] = {}
    left = []
    for node in model.nodes:
        array = model.initializers.get(node.input(0)) if node.is_op("DequantizeLinear") else None
        zero = model.initializers.get(node.input(2), np.zeros(1))
        if array is None or zero.any():
            left.append(node)
            continue
        steps = model.initializers[node.inputs[1]].reshape(-1)
        axis = node.int_attribute("axis", 1) % max(1, array.ndim)
        shape = [-1 if a == axis and steps.size > 1 else 1 for a in range(array.ndim)]
        there[node.outputs[0]] = array.astype(np.float32) * steps.reshape(shape)
    return replace(model, nodes=tuple(left), initializers={**model.initializers, **there})


def with_integers(quantized: Quantized, integers: Mapping[str, npt.NDArray[Any]]) -> Quantized:
    """The same file with other values for some of its integers, by name."""
    message = Message.read(quantized.model)
    changed = {
        name: np.asarray(array, message.arrays[name].dtype) for name, array in integers.items()
    }
    proto = onnx.ModelProto()
    proto.CopyFrom(message.proto)
    return replace(quantized, model=Message(proto, {**message.arrays, **changed}).serialized())


def _stored(model: Model, maker: Node | None, dtype: Any) -> tuple[str, DoubleArray] | None:
    """Name and steps [M] of what a Dequantize node makes floats of along the first axis."""
    if maker is None or not maker.is_op("DequantizeLinear"):
        return None
    array = model.initializers.get(maker.inputs[0])
    steps = model.initializers.get(maker.inputs[1])
    zero = model.initializers.get(maker.input(2), np.zeros(1))
    if array is None or steps is None or array.dtype != dtype or zero.any():
        return None
    if steps.size > 1 and maker.int_attribute("axis", 1) % array.ndim != 0:
        return None
    every = np.broadcast_to(steps.astype(np.float64).reshape(-1), (len(array),))
    return maker.inputs[0], np.asarray(every)
