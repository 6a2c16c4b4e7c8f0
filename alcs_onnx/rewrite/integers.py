"""Convolutions of a quantized file -> QLinearSparseConv, on words of four channels.

Bytes pass from one of ours to the next in words; PackNC4HW4 and UnpackNC4HW4 stand only where
another operator reads or computes them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from alcs_onnx.errors import ModelError
from alcs_onnx.graph import AttributeValue, GraphEditor, GraphNode, Model, Tensor
from alcs_onnx.graph.model import Array
from alcs_onnx.graph.passes import expand_integer_conv
from alcs_onnx.integer_format import (
    OP_PACK,
    OP_QLINEAR_CONV,
    OP_QLINEAR_CONV_ADD,
    OP_UNPACK,
    OP_WORD_POOL,
    WORD,
    IntegerWeights,
    is_depthwise,
    pack_integers,
)
from alcs_onnx.rewrite.pooling import pool_window
from alcs_onnx.rewrite.qdq import Bytes, QdqConv, read_qdq
from alcs_onnx.rewrite.result import LayerRewrite
from alcs_onnx.sparse_format import OP_DOMAIN, RELATIVE_COST

#: Rows of a block that are tried, and that the library has tiles for.
_ROWS = (8, 4)


@dataclass(frozen=True, eq=False)
class IntegerRewrite:
    """The model with integers of ours, and a row for each of its quantized convolutions."""

    model: Model
    layers: tuple[LayerRewrite, ...]


def as_integers(
    model: Model, excluded: Collection[str] = (), clipped: Collection[str] = ()
) -> IntegerRewrite:
    """Turn every quantized convolution that can be into QLinearSparseConv.

    Each stores its blocks that are not all zero, of as many rows as suits them. Those in
    `excluded` stay as they are; as a mapping it gives the reasons. Raises `ModelError` for a name
    in it that is no Conv node. A sum takes a convolution over without what rounds its result in
    front of it, but for those in `clipped`, where that stands for an activation, too; a Relu is
    known by itself.
    """
    reasons = excluded if isinstance(excluded, Mapping) else {}
    editor = GraphEditor(model)
    convs = [node for node in editor.nodes if node.is_op("Conv")]
    order = [node.name for node in convs if _is_quantized(editor, node)]
    unknown = sorted(set(excluded) - {node.name for node in convs})
    if unknown:
        raise ModelError(f"the list of layers to leave alone names '{unknown[0]}', no Conv node")
    if not order:
        return IntegerRewrite(model, ())
    rows: dict[str, LayerRewrite] = {}
    # The later operand of an Add takes it over: by then the earlier one has its result.
    for conv in reversed(convs):
        if conv.name not in order:
            continue
        found = read_qdq(editor, conv, clipped=conv.name in clipped)
        if conv.name in excluded:
            found = str(reasons.get(conv.name, "left alone as asked"))
        if isinstance(found, str):
            rows[conv.name] = LayerRewrite(conv.name, "Conv", 0, 0, 0, 0, reason=found)
        else:
            rows[conv.name] = _replace(editor, conv, found)
    for node in list(editor.nodes):
        if node.is_op("MaxPool"):
            _pool(editor, node)
    _join(editor)
    editor.drop_unused()
    return IntegerRewrite(editor.build(), tuple(rows[name] for name in order))


def as_quantized(model: Model) -> Model:
    """The inverse: our integers become the quantized convolutions that they were made of."""
    editor = GraphEditor(model)
    expand_integer_conv.run(editor, lambda text: None)
    return editor.build()


def unrounded(model: Model) -> Model:
    """`model` without the pairs of QuantizeLinear and DequantizeLinear that round activations.

    What a quantized file computes but for its roundings, and for the ends of ranges that it cuts
    activations off at: to be compared with another form of it.
    """
    editor = GraphEditor(model)
    for node in list(editor.nodes):
        if node.is_op("MaxPool"):
            _pool_floats(editor, node)
    for node in list(editor.nodes):
        quantize = editor.producer(node.inputs[0]) if node.is_op("DequantizeLinear") else None
        if quantize is not None and quantize.is_op("QuantizeLinear"):
            editor.bypass(node, quantize.inputs[0])
    editor.drop_unused()
    return editor.build()


def _pool_floats(editor: GraphEditor, pool: GraphNode) -> None:
    """MaxPool in front of the QuantizeLinear that it reads: the largest byte is the largest's."""
    quantize, readers = editor.producer(pool.inputs[0]), editor.consumers(pool.outputs[0])
    if quantize is None or not quantize.is_op("QuantizeLinear"):
        return
    if all(reader.is_op("DequantizeLinear") for reader in readers):
        pool.inputs[0] = quantize.inputs[0]
        for reader in readers:
            editor.bypass(reader, pool.outputs[0])


def _is_quantized(editor: GraphEditor, conv: GraphNode) -> bool:
    """Whether its weights are those of a quantized file."""
    maker = editor.producer(conv.inputs[1])
    return maker is not None and maker.is_op("DequantizeLinear")


def _replace(editor: GraphEditor, conv: GraphNode, layer: QdqConv) -> LayerRewrite:
    name, m = conv.name, layer.levels.shape[0]
    channels = layer.levels.shape[1] * layer.group
    weights = _packed(layer)
    spatial = layer.levels.ndim - 2
    activation = layer.epilogue.activation
    attributes: dict[str, AttributeValue] = {
        "out_channels": m,
        "in_channels": channels,
        "simd_group": weights.geometry.simd_group,
        "group": layer.group,
        "kernel_shape": layer.levels.shape[2:],
        "strides": conv.ints_attribute("strides") or (1,) * spatial,
        "pads": conv.ints_attribute("pads") or (0,) * 2 * spatial,
        "dilations": conv.ints_attribute("dilations") or (1,) * spatial,
        "slope": activation.slope,
        "low": activation.low,
        "high": activation.high,
    }
    macs = _macs(conv, layer)
    constants: dict[str, Array] = {
        "values": weights.values,
        "positions": weights.positions,
        "w_scale": np.ascontiguousarray(layer.scales),
        "bias": layer.bias,
    }
    # Before the graph changes: a packed residual may come from what is removed below.
    inputs = [
        _words(editor, layer.x.tensor, channels),
        *(editor.add_constant(f"{name}.{what}", array) for what, array in constants.items()),
        *_scalars(editor, name, "x", layer.x),
        *_scalars(editor, name, "y", layer.y),
    ]
    if layer.residual is not None:
        inputs.append(_words(editor, layer.residual.tensor, m))
        inputs += _scalars(editor, name, "residual", layer.residual)
    for node in layer.absorbed:
        editor.remove(node)
    words = editor.add_tensor(f"{layer.y.tensor.name}.words", np.dtype(np.uint8))
    op = OP_QLINEAR_CONV if layer.residual is None else OP_QLINEAR_CONV_ADD
    editor.add_node(name, op, inputs, [words], attributes, OP_DOMAIN)
    _move(editor, OP_UNPACK, words, layer.y.tensor, m)
    geometry = weights.geometry
    return LayerRewrite(
        layer=name,
        op=op,
        simd_group=geometry.simd_group,
        groups=geometry.blocks * geometry.columns,
        stored_groups=int(weights.positions.size),
        macs=macs,
        fused=layer.epilogue.fused,
    )


def _pool(editor: GraphEditor, node: GraphNode) -> None:
    """MaxPool of what a convolution of ours has computed, to be read by one: it stays in words."""
    window, (read, result, absorbed) = pool_window(node), _pooled_bytes(editor, node)
    if window is None:
        return
    unpack = editor.producer(read)
    readers = editor.consumers(result)
    if (
        unpack is None
        or not unpack.is_ours(OP_UNPACK)
        or not any(r.is_ours(OP_PACK) for r in readers)
    ):
        return
    channels = int(unpack.attrs["channels"])
    for gone in absorbed:
        editor.remove(gone)
    words = editor.add_tensor(f"{result.name}.pooled", np.dtype(np.uint8))
    editor.add_node(node.name, OP_WORD_POOL, [unpack.inputs[0]], [words], window, OP_DOMAIN)
    _move(editor, OP_UNPACK, words, result, channels)


def _pooled_bytes(
    editor: GraphEditor, pool: GraphNode
) -> tuple[Tensor, Tensor, tuple[GraphNode, ...]]:
    """What `pool` reads and makes, and what goes with it: of bytes, where floats are the same."""
    read, made = pool.inputs[0], pool.outputs[0]
    dequantize, quantize = editor.producer(read), editor.only_consumer(made)
    if dequantize is None or quantize is None:
        return read, made, (pool,)
    if not dequantize.is_op("DequantizeLinear") or not quantize.is_op("QuantizeLinear"):
        return read, made, (pool,)
    scales = [[each.constant(index) for index in (1, 2)] for each in (dequantize, quantize)]
    if not all(a is not None and np.array_equal(a, b) for a, b in zip(*scales, strict=True)):
        return read, made, (pool,)
    return dequantize.inputs[0], quantize.outputs[0], (pool, quantize)


def _packed(layer: QdqConv) -> IntegerWeights:
    """In blocks of as many rows as run the zeros of the layer fastest."""
    channels = layer.levels.shape[1] * layer.group
    if is_depthwise(layer.levels.shape[0], channels, layer.group):
        return pack_integers(layer.levels, layer.group, WORD)
    rows = layer.levels.shape[0] // layer.group
    found = (pack_integers(layer.levels, layer.group, g) for g in _ROWS if g < rows + WORD)
    return min(found, key=lambda w: w.values.size * RELATIVE_COST[w.geometry.simd_group])


def _macs(conv: GraphNode, layer: QdqConv) -> int:
    shape = conv.outputs[0].shape
    return 0 if shape is None else int(np.prod(shape)) * int(np.prod(layer.levels.shape[1:]))


def _scalars(editor: GraphEditor, name: str, what: str, of: Bytes) -> list[Tensor]:
    """The scale and the zero point of a tensor of bytes."""
    return [
        editor.add_constant(f"{name}.{what}_scale", of.scale),
        editor.add_constant(f"{name}.{what}_zero_point", of.zero_point),
    ]


def _words(editor: GraphEditor, planes: Tensor, channels: int) -> Tensor:
    """`planes` in words of channels, by the node that makes them for all who read them."""
    for reader in editor.consumers(planes):
        if reader.is_ours(OP_PACK):
            return reader.outputs[0]
    words = editor.add_tensor(f"{planes.name}.words", np.dtype(np.uint8))
    _move(editor, OP_PACK, planes, words, channels)
    return words


def _move(editor: GraphEditor, op: str, read: Tensor, made: Tensor, channels: int) -> None:
    name = editor.unique_node_name(f"{read.name}.{'pack' if op == OP_PACK else 'unpack'}")
    editor.add_node(name, op, [read], [made], {"channels": channels}, OP_DOMAIN)


def _join(editor: GraphEditor) -> None:
    """What is unpacked and packed again stays in words."""
    for node in list(editor.nodes):
        if not node.is_ours(OP_PACK):
            continue
        unpack = editor.producer(node.inputs[0])
        if unpack is not None and unpack.is_ours(OP_UNPACK):
            editor.redirect(node.outputs[0], unpack.inputs[0])
