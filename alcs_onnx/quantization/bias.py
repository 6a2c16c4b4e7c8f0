"""Bias correction: what quantization shifts the mean of a channel by is taken off its bias.

Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction" (2019),
section 4.2, in its empirical form: with y the output of a convolution in float and y' in int8, the
bias b of a channel becomes b + E[y] - E[y'], over pictures and positions.

y' is what the layer makes of the float results of the layers before it, rounded: its own shift
alone. On the int8 results it would have those of all layers before in it as well, which are
corrected themselves; all layers at once would be corrected for the same shift.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

import numpy as np
import onnx
from onnx import TensorProto, helper

from alcs_onnx.errors import DataError
from alcs_onnx.graph.message import Message
from alcs_onnx.graph.model import Array
from alcs_onnx.graph.proto import free_name
from alcs_onnx.ort import Feeds, create_session, processors, run
from alcs_onnx.quantization.operators import constant_nodes
from alcs_onnx.quantization.quantizing import quantize
from alcs_onnx.quantization.values import Quantized, QuantizeOptions, Ranges
from alcs_onnx.serialized import Serialized

_DEFAULT = QuantizeOptions()
_QUANTIZING = ("QuantizeLinear", "DequantizeLinear")


def with_corrected_biases(
    source: Serialized,
    ranges: Ranges,
    pictures: Iterable[Feeds],
    nodes: Collection[str] | None = None,
    options: QuantizeOptions = _DEFAULT,
) -> Serialized:
    """`source`, in float, with the biases that make its quantized form right on average.

    `nodes` and `options` are those that it is quantized with afterwards, from the same `ranges`.
    Convolutions among them that have no bias get one. `pictures` are the inputs of some runs;
    `DataError` if there are none.
    """
    message = Message.read(source)
    quantized = quantize(source, ranges, nodes, options)
    layers = [
        node.output[0]
        for node in message.proto.graph.node
        if node.op_type == "Conv" and node.output[0] in quantized.computed
    ]
    if not layers:
        return source
    side_by_side, rounded = _side_by_side(message, quantized, layers)
    means = _means(side_by_side, [*layers, *rounded.values()], pictures)
    shifts = {layer: means[layer] - means[rounded[layer]] for layer in layers}
    return _shifted(message, shifts).serialized()


def _side_by_side(
    message: Message, quantized: Quantized, layers: Iterable[str]
) -> tuple[Message, Mapping[str, str]]:
    """The float model, with the int8 form of each layer beside it that reads the same tensors.

    Also what these compute, by the outputs of the layers.
    """
    other = Message.read(quantized.model)
    makers = {name: node for node in other.proto.graph.node for name in node.output}
    proto = onnx.ModelProto()
    proto.CopyFrom(message.proto)
    there = {*message.arrays, *(info.name for info in proto.graph.input)}
    there |= {name for node in proto.graph.node for name in node.output}
    taken = there | other.arrays.keys() | makers.keys()
    outputs = _quantized_outputs(other.proto.graph)
    rounded: dict[str, str] = {}
    for layer in layers:
        copy = _unnamed(makers[quantized.computed[layer]])
        rounded[layer] = copy.output[0] = free_name(f"{layer}.rounded", taken)
        taken.add(copy.output[0])
        proto.graph.node.extend([*_rounding(copy.input, makers, there, outputs), copy])
    return Message(proto, {**other.arrays, **message.arrays}), rounded


def _rounding(
    tensors: Iterable[str],
    makers: Mapping[str, onnx.NodeProto],
    there: set[str],
    outputs: Mapping[str, str],
) -> list[onnx.NodeProto]:
    """The Quantize and Dequantize nodes that make `tensors` of those of the float model.

    Without those of which the results are `there` already; theirs are added to it.
    """
    found: list[onnx.NodeProto] = []
    waiting = list(tensors)
    while waiting:
        name = waiting.pop()
        maker = makers.get(name)
        if maker is not None and maker.op_type in _QUANTIZING and name not in there:
            node = _unnamed(maker)
            node.input[0] = outputs.get(node.input[0], node.input[0])
            found.insert(0, node)
            there.add(name)
            waiting.append(node.input[0])
    return found


def _unnamed(node: onnx.NodeProto) -> onnx.NodeProto:
    """A copy without a name: the original is there, too, or may be."""
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    copy.name = ""
    return copy


def _quantized_outputs(graph: onnx.GraphProto) -> dict[str, str]:
    """The tensors in front of outputs that are quantized -> these outputs."""
    results = {info.name for info in graph.output}
    before = {n.output[0]: n.input[0] for n in graph.node if n.op_type == "QuantizeLinear"}
    return {
        before[node.input[0]]: node.output[0]
        for node in graph.node
        if node.op_type == "DequantizeLinear" and node.output[0] in results
        if node.input[0] in before
    }


def _means(
    message: Message, tensors: Collection[str], pictures: Iterable[Feeds]
) -> dict[str, Array]:
    """The mean of each channel of `tensors`, [C] in float64, over all pictures and positions."""
    proto = onnx.ModelProto()
    proto.CopyFrom(message.proto)
    present = {info.name for info in proto.graph.output}
    proto.graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
        for name in tensors
        if name not in present
    )
    stored = Message(proto, message.arrays).serialized()
    session = create_session(stored, processors(), library=False)
    sums: dict[str, Array] = {}
    counts = dict.fromkeys(tensors, 0)
    for feeds in pictures:
        results = run(session, feeds)
        for name in tensors:
            array = results[name]
            sums[name] = sums.get(name, 0) + array.sum((0, *range(2, array.ndim)), np.float64)
            counts[name] += array.size // array.shape[1]
    if not sums:
        raise DataError("there are no pictures to correct biases with")
    return {name: total / counts[name] for name, total in sums.items()}


def _shifted(message: Message, shifts: Mapping[str, Array]) -> Message:
    """The biases of the convolutions that compute these tensors, plus [C] each."""
    proto = onnx.ModelProto()
    proto.CopyFrom(message.proto)
    arrays = dict(message.arrays)
    taken = {name for node in proto.graph.node for name in (*node.input, *node.output)}
    known = {**constant_nodes(proto.graph), **arrays}
    for node in proto.graph.node:
        shift = shifts.get(node.output[0]) if node.output else None
        if shift is None:
            continue
        old = node.input[2] if len(node.input) > 2 else ""
        before = known.get(old, np.zeros(len(shift)))
        name = free_name(f"{old or node.output[0]}.corrected", taken, arrays)
        arrays[name] = (before + shift).astype(np.float32)
        node.input[2:] = [name]
    read = {name for node in proto.graph.node for name in node.input}
    gone = {name for node in message.proto.graph.node for name in node.input} - read
    return Message(proto, {name: a for name, a in arrays.items() if name not in gone})
