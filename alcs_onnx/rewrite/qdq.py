"""Convolutions of a quantized file, between DequantizeLinear and QuantizeLinear nodes.

A file in this form (QDQ) says in float nodes what a runtime computes with integers. Here is read
what one convolution of it computes, so that it can be computed with integers of ours, or why not.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from alcs_onnx.errors import UnsupportedError
from alcs_onnx.graph import GraphEditor, GraphNode, Tensor, constant
from alcs_onnx.graph.model import Array
from alcs_onnx.integer_format import Int8Array, is_depthwise, reason_no_words
from alcs_onnx.rewrite.fusions import Epilogue, match_epilogue
from alcs_onnx.sparse_format import Int32Array
from alcs_onnx.types import FloatArray

#: Kernel size and stride of depthwise convolutions that the library has kernels of integers for.
_DEPTHWISE = frozenset({(3, 1), (3, 2), (5, 1), (5, 2)})
_MOST_SUM = 2**31 - 1


@dataclass(frozen=True, eq=False)
class Bytes:
    """A tensor of bytes, `tensor`, and the scalars that say what they stand for."""

    tensor: Tensor
    scale: Array
    zero_point: Array


@dataclass(frozen=True, eq=False)
class QdqConv:
    """One convolution: y = Q(activation(conv(DQ(x)) + bias [+ DQ(residual)])).

    levels: int8 [M, C/group, *kernel], and their scales [M].
    bias: int32 [M], in steps of x's scale times that of the weights.
    absorbed: the nodes whose place the new one takes, Conv and QuantizeLinear included.
    """

    x: Bytes
    levels: Int8Array
    scales: FloatArray
    bias: Int32Array
    residual: Bytes | None
    y: Bytes
    epilogue: Epilogue
    absorbed: tuple[GraphNode, ...]

    @property
    def group(self) -> int:
        """Conv groups."""
        return int(self.absorbed[0].attrs.get("group", 1))


def read_qdq(editor: GraphEditor, conv: GraphNode, *, clipped: bool) -> QdqConv | str:
    """What `conv` computes with integers, or the reason why it cannot.

    `clipped` says that the QuantizeLinear behind it stands for an activation, too: what a sum
    reads of it is rounded, and cut off, before.
    """
    try:
        return _read(editor, conv, clipped=clipped)
    except UnsupportedError as reason:
        return str(reason)


def _read(editor: GraphEditor, conv: GraphNode, *, clipped: bool) -> QdqConv:
    x = _bytes_behind(editor, conv.inputs[0], "its input")
    levels, scales = _weight(editor, conv)
    _check_shape(conv, levels)
    bias = _bias(editor, conv, x.scale, scales, levels.shape[0])
    sums = np.abs(levels.astype(np.int64)).reshape(len(levels), -1).sum(axis=1) * 255
    if (sums + np.abs(bias.astype(np.int64)) > _MOST_SUM).any():
        raise UnsupportedError("its sums may be too large for 32 bits")
    rounded = () if clipped else _rounded_before_add(editor, conv.outputs[0])
    epilogue = match_epilogue(editor, conv) if not rounded else _behind(editor, conv, rounded)
    residual = None
    if epilogue.residual is not None:
        residual = _bytes_behind(editor, epilogue.residual, "the other operand of Add")
    if epilogue.activation.gate:
        raise UnsupportedError(f"{epilogue.fused[-1]} is not computed with integers")
    quantize = editor.only_consumer(epilogue.output)
    if quantize is None or not quantize.is_op("QuantizeLinear"):
        raise UnsupportedError("its result is needed as floats")
    y = _scaled(quantize.outputs[0], quantize, "its result")
    _check_scales(x, scales, y, residual)
    absorbed = (conv, *epilogue.absorbed, quantize)
    return QdqConv(x, levels, scales, bias, residual, y, epilogue, absorbed)


def _rounded_before_add(editor: GraphEditor, tensor: Tensor) -> tuple[GraphNode, ...]:
    """QuantizeLinear and DequantizeLinear between a convolution and an Add, and nothing else.

    Not where they do more than round: a zero point at an end of the bytes cuts off what a Relu
    does, which quantizers leave out then.
    """
    quantize = editor.only_consumer(tensor)
    if quantize is None or not quantize.is_op("QuantizeLinear"):
        return ()
    dequantize = editor.only_consumer(quantize.outputs[0])
    if dequantize is None or not dequantize.is_op("DequantizeLinear"):
        return ()
    add = editor.only_consumer(dequantize.outputs[0])
    if add is None or not add.is_op("Add"):
        return ()
    try:
        made, read = (_scaled(quantize.outputs[0], node, "") for node in (quantize, dequantize))
    except UnsupportedError:
        return ()
    if (made.scale, made.zero_point) != (read.scale, read.zero_point):
        return ()
    return () if int(made.zero_point) in (0, 255) else (quantize, dequantize)


def _behind(editor: GraphEditor, conv: GraphNode, rounded: tuple[GraphNode, ...]) -> Epilogue:
    """The Add behind a pair that rounds the convolution's result.

    Sums are rounded once, behind the Add, where the file rounds them twice. Where there is no
    such Add, the first of the pair is what rounds the result.
    """
    found = match_epilogue(editor, rounded[-1])
    if found.residual is None:
        return Epilogue(output=conv.outputs[0])
    try:
        _bytes_behind(editor, found.residual, "")
    except UnsupportedError:
        return Epilogue(output=conv.outputs[0])
    last = editor.only_consumer(found.output)
    if found.activation.gate or last is None or not last.is_op("QuantizeLinear"):
        return Epilogue(output=conv.outputs[0])
    return replace(found, absorbed=(*rounded, *found.absorbed))


def _bytes_behind(editor: GraphEditor, tensor: Tensor, what: str) -> Bytes:
    """The bytes that a DequantizeLinear makes `tensor` of."""
    node = editor.producer(tensor)
    if node is None or not node.is_op("DequantizeLinear"):
        raise UnsupportedError(f"{what} is not quantized")
    return _scaled(node.inputs[0], node, what)


def _scaled(tensor: Tensor, node: GraphNode, what: str) -> Bytes:
    """`tensor`, read or computed by a node that (de)quantizes, with its scalars."""
    scale, zero = node.constant(1), node.constant(2)
    if scale is None or (zero is None and len(node.inputs) > 2 and node.inputs[2].name):
        raise UnsupportedError(f"the scale of {what} is computed at run time")
    if zero is None:
        # Only QuantizeLinear may say what it makes in another way; then its result has that type.
        default = np.dtype(np.uint8) if node.is_op("QuantizeLinear") else None
        dtype = tensor.dtype or default
        if dtype is None or node.attrs.get("output_dtype"):
            raise UnsupportedError(f"the type of {what} is not said by a zero point")
        zero = np.zeros((), dtype)
    if zero.dtype != np.uint8:
        raise UnsupportedError(f"{what} is {zero.dtype.name}, not uint8")
    if scale.size != 1 or zero.size != 1:
        raise UnsupportedError(f"{what} has a scale for each channel")
    if scale.dtype != np.float32 or not np.isfinite(scale).all() or not (scale > 0).all():
        raise UnsupportedError(f"the scale of {what} is {scale.reshape(-1)[0]}")
    return Bytes(tensor, scale.reshape(()), zero.reshape(()))


def _weight(editor: GraphEditor, conv: GraphNode) -> tuple[Int8Array, FloatArray]:
    node = editor.producer(conv.inputs[1])
    if node is None or not node.is_op("DequantizeLinear"):
        raise UnsupportedError("its weights are not quantized")
    levels, scale, zero = (node.constant(i) for i in range(3))
    if levels is None or scale is None:
        raise UnsupportedError("its weights are computed at run time")
    if node.attrs.get("block_size"):
        raise UnsupportedError("its weights have scales for blocks")
    if levels.dtype != np.int8 or (zero is not None and zero.any()):
        raise UnsupportedError("its weights are not int8 about 0")
    if scale.size > 1 and int(node.attrs.get("axis", 1)) % levels.ndim != 0:
        raise UnsupportedError("its weights have scales along another axis than the first")
    if scale.size not in (1, len(levels)) or not (np.isfinite(scale) & (scale > 0)).all():
        raise UnsupportedError("the scales of its weights are not all finite and greater than 0")
    return levels, np.broadcast_to(scale.reshape(-1).astype(np.float32), levels.shape[:1])


def _bias(
    editor: GraphEditor, conv: GraphNode, x_scale: Array, scales: FloatArray, rows: int
) -> Int32Array:
    """In steps of x_scale * scales."""
    if len(conv.inputs) < 3 or not conv.inputs[2].name:
        return np.zeros(rows, np.int32)
    steps = x_scale.astype(np.float64) * scales
    node = editor.producer(conv.inputs[2])
    if node is None:
        real = constant(conv.inputs[2])
    else:
        integers, own = node.constant(0), node.constant(1)
        if not node.is_op("DequantizeLinear") or integers is None or own is None:
            raise UnsupportedError("its bias is computed at run time")
        zero = node.constant(2)
        real = integers.astype(np.float64) * own
        if zero is not None and zero.any():
            raise UnsupportedError("its bias has a zero point")
    if real is None:
        raise UnsupportedError("its bias is computed at run time")
    wanted = np.rint(real.astype(np.float64) / steps)
    if not (np.abs(wanted) <= _MOST_SUM).all():
        raise UnsupportedError("its bias is too large for 32 bits")
    return wanted.astype(np.int32)


def _check_scales(x: Bytes, scales: FloatArray, y: Bytes, residual: Bytes | None) -> None:
    """What sums are multiplied by must be floats."""
    with np.errstate(over="ignore"):
        products = [x.scale * scales / y.scale]
        if residual is not None:
            products.append(residual.scale / y.scale)
    if not all(np.isfinite(each).all() for each in products):
        raise UnsupportedError("its scales are too far apart")


def _check_shape(conv: GraphNode, levels: Int8Array) -> None:
    spatial, group = levels.ndim - 2, int(conv.attrs.get("group", 1))
    channels = levels.shape[1] * group
    if spatial not in (1, 2):
        raise UnsupportedError(f"it has {spatial} spatial dimensions, only 1 and 2 are supported")
    if conv.attrs.get("auto_pad", "NOTSET") != "NOTSET":
        raise UnsupportedError("its automatic padding could not be resolved")
    reason = reason_no_words(levels.shape[0], channels, group)
    if reason:
        raise UnsupportedError(reason)
    if is_depthwise(levels.shape[0], channels, group):
        kernels = set(levels.shape[2:])
        strides = set(conv.ints_attribute("strides") or (1,))
        dilations = set(conv.ints_attribute("dilations") or (1,))
        windows = {(kernel, stride) for kernel in kernels for stride in strides}
        if spatial != 2 or dilations != {1} or len(windows) > 1 or not windows <= _DEPTHWISE:
            raise UnsupportedError("the library has no kernel of integers for its window")
