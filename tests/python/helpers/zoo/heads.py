"""Graphs that leave the layout of images: linear layers, sequences, channels last."""

from __future__ import annotations

import onnx

from .builder import Builder


def flatten_gemm(trans_b: int = 1) -> onnx.ModelProto:
    """Every pixel of every channel goes into a Gemm, and hidden units into another."""
    b = Builder()
    x = b.relu(b.conv("stem", b.input((1, 3, 8, 8)), 3, 8))
    x = b.op("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
    x = b.relu(b.conv("body", x, 8, 12))
    x = b.relu(b.gemm("hidden", b.op("Flatten", x), 192, 20, trans_b))
    return b.proto(b.gemm("logits", x, 20, 5, trans_b))


def flatten_gemm_columns() -> onnx.ModelProto:
    """The same with weights that are not transposed."""
    return flatten_gemm(0)


def flatten_matmul() -> onnx.ModelProto:
    """MatMul and Add in place of Gemm, after a Reshape."""
    b = Builder()
    x = b.relu(b.conv("stem", b.input((1, 3, 6, 6)), 3, 8))
    x = b.relu(b.conv("body", x, 8, 12))
    x = b.op("Reshape", x, b.const([0, -1]))
    x = b.op("MatMul", x, b.normal("hidden.w", 432, 20), name="hidden")
    x = b.relu(b.op("Add", x, b.uniform("hidden.b", 20, low=-0.3, high=0.3)))
    x = b.op("MatMul", x, b.normal("logits.w", 20, 5), name="logits")
    return b.proto(b.op("Add", x, b.uniform("logits.b", 5, low=-0.3, high=0.3)))


def squeezed() -> onnx.ModelProto:
    """Mean over the image without the axes, a gate of Gemms, and Unsqueeze back."""
    b = Builder(opset=18)
    x = b.relu(b.conv("stem", b.input((1, 3, 8, 8)), 3, 12))
    y = b.op("ReduceMean", x, b.const([2, 3]), keepdims=0)
    y = b.relu(b.gemm("squeeze", y, 12, 6))
    y = b.op("HardSigmoid", b.gemm("expand", y, 6, 12))
    y = b.op("Mul", x, b.op("Unsqueeze", y, b.const([2, 3])))
    y = b.relu(b.conv("tail", y, 12, 10))
    y = b.op("Squeeze", b.op("GlobalMaxPool", y), b.const([2, 3]))
    return b.proto(b.gemm("logits", y, 10, 5))


def conv_1d() -> onnx.ModelProto:
    """A residual network over sequences, with a depthwise layer and pooling."""
    b = Builder()
    x = b.relu(b.conv("stem", b.input((1, 4, 32)), 4, 12, rank=1))
    y = b.relu(b.norm("norm", b.conv("depth", x, 12, 12, 5, group=12, rank=1), 12))
    x = b.relu(b.op("Add", x, b.conv("point", y, 12, 12, 1, rank=1)))
    x = b.op("MaxPool", x, kernel_shape=[2], strides=[2])
    x = b.relu(b.conv("tail", x, 12, 16, rank=1))
    return b.proto(b.head(x, 16))


def channels_last() -> onnx.ModelProto:
    """Input with channels last; in the middle a layer by MatMul, also with channels last."""
    b = Builder()
    x = b.op("Transpose", b.input((1, 8, 8, 3)), perm=[0, 3, 1, 2])
    x = b.relu(b.conv("stem", x, 3, 8))
    y = b.op("Transpose", x, perm=[0, 2, 3, 1])
    y = b.op("MatMul", y, b.normal("wide.w", 8, 24), name="wide")
    y = b.relu(b.op("Add", y, b.uniform("wide.b", 24, low=-0.3, high=0.3)))
    y = b.op("MatMul", y, b.normal("narrow.w", 24, 8), name="narrow")
    y = b.op("Add", x, b.op("Transpose", y, perm=[0, 3, 1, 2]))
    return b.proto(b.head(b.relu(b.conv("tail", y, 8, 12)), 12))


def tokens() -> onnx.ModelProto:
    """Image to sequence of pixels and back, with LayerNormalization, as in mobile transformers."""
    b = Builder()
    x = b.relu(b.conv("stem", b.input((1, 3, 8, 8)), 3, 8))
    y = b.op("Transpose", b.op("Reshape", x, b.const([0, 0, -1])), perm=[0, 2, 1])
    y = b.op("LayerNormalization", y, b.uniform("s", 8), b.uniform("t", 8, low=-1), axis=-1)
    y = b.op("MatMul", y, b.normal("wide.w", 8, 24), name="wide")
    y = b.op("MatMul", b.relu(y), b.normal("narrow.w", 24, 8), name="narrow")
    y = b.op("Reshape", b.op("Transpose", y, perm=[0, 2, 1]), b.const([0, 8, 8, 8]))
    y = b.op("Add", x, y)
    y = b.relu(b.conv("body", y, 8, 40))
    return b.proto(b.head(b.relu(b.conv("tail", y, 40, 40)), 40))


def tied_to_output() -> onnx.ModelProto:
    """Feature maps that are outputs of the graph, one of them through a residual sum."""
    b = Builder()
    x = b.relu(b.conv("stem", b.input((1, 3, 8, 8)), 3, 8))
    y = b.relu(b.conv("wide", x, 8, 24))
    out = b.op("Add", x, b.conv("back", y, 24, 8))
    return b.proto(out, b.head(b.relu(b.conv("tail", out, 8, 16)), 16))


GRAPHS = {
    "flatten_gemm": flatten_gemm,
    "flatten_gemm_columns": flatten_gemm_columns,
    "flatten_matmul": flatten_matmul,
    "squeezed": squeezed,
    "conv_1d": conv_1d,
    "channels_last": channels_last,
    "tokens": tokens,
    "tied_to_output": tied_to_output,
}
