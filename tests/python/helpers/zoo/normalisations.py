"""Graphs of operators that work channel by channel, and of some that mix channels."""

from __future__ import annotations

import numpy as np
import onnx

from .builder import Builder


def batch_norm() -> onnx.ModelProto:
    """Normalisations that cannot be folded: after a sum, after a concatenation, on the input."""
    b = Builder()
    x = b.norm("input_norm", b.input((1, 3, 8, 8)), 3)
    x = b.relu(b.conv("stem", x, 3, 8))
    y = b.norm("sum_norm", b.op("Add", x, b.conv("body", x, 8, 8)), 8)
    y = b.op("Concat", x, b.relu(y), axis=1)
    y = b.relu(b.norm("concat_norm", y, 16))
    return b.proto(b.head(b.relu(b.conv("tail", y, 16, 12)), 12))


def instance_norm() -> onnx.ModelProto:
    """InstanceNormalization between convolutions."""
    b = Builder()
    x = b.conv("stem", b.input((1, 3, 8, 8)), 3, 8)
    x = b.op("InstanceNormalization", x, b.uniform("s", 8), b.uniform("t", 8, low=-1), name="norm")
    x = b.relu(x)
    y = b.op("Add", x, b.conv("body", x, 8, 8))
    return b.proto(b.head(b.relu(b.conv("tail", y, 8, 12)), 12))


def prelu() -> onnx.ModelProto:
    """Slopes per channel, one slope for all, and slopes for each channel and row."""
    b = Builder()
    x = b.conv("stem", b.input((1, 3, 8, 8)), 3, 8)
    x = b.op("PRelu", x, b.uniform("per_channel", 8, 1, 1, low=-0.5, high=0.5))
    x = b.op("PRelu", b.conv("body", x, 8, 12), b.uniform("single", 1, low=0.1, high=0.3))
    x = b.op("PRelu", b.conv("tail", x, 12, 10), b.uniform("rows", 10, 8, 1, low=-0.5, high=0.5))
    return b.proto(b.head(x, 10))


def affine() -> onnx.ModelProto:
    """Constants per channel in Mul, Add, Sub and Div, of several ranks, that nothing folds."""
    b = Builder()
    x = b.relu(b.conv("stem", b.input((1, 3, 8, 8)), 3, 8))
    x = b.op("Mul", x, b.uniform("factor", 8, 1, 1))
    x = b.relu(b.op("Add", b.uniform("term", 1, 8, 1, 1, low=-0.5, high=0.5), x))
    x = b.relu(b.op("Sub", x, b.uniform("level", 1)))
    x = b.op("Div", x, b.uniform("divisor", 8, 8, 8))
    return b.proto(b.head(b.relu(b.conv("tail", x, 8, 12)), 12))


def softmax() -> onnx.ModelProto:
    """Softmax over channels in the middle: each channel depends on all others."""
    b = Builder()
    x = b.relu(b.conv("stem", b.input((1, 3, 8, 8)), 3, 8))
    weights = b.op("Softmax", b.conv("scores", x, 8, 6), axis=1)
    y = b.relu(b.conv("tail", weights, 6, 12))
    return b.proto(b.head(b.op("Concat", x, y, axis=1), 20))


def reduce_mean() -> onnx.ModelProto:
    """Means and maxima over the channels as spatial attention."""
    b = Builder(opset=18)
    x = b.relu(b.conv("stem", b.input((1, 3, 8, 8)), 3, 8))
    mean = b.op("ReduceMean", x, b.const([1]), keepdims=1)
    largest = b.op("ReduceMax", x, b.const([1]), keepdims=1)
    y = b.op("Concat", mean, largest, axis=1)
    y = b.op("Sigmoid", b.conv("attend", y, 2, 1, 7))
    z = b.relu(b.conv("tail", b.relu(b.conv("body", b.op("Mul", x, y), 8, 12)), 12, 12))
    return b.proto(b.head(z, 12))


def spatial_attention() -> onnx.ModelProto:
    """A conv with one output channel that scales all channels of another."""
    b = Builder()
    x = b.relu(b.conv("stem", b.input((1, 3, 8, 8)), 3, 12))
    gate = b.op("Sigmoid", b.conv("attend", x, 12, 1, 1))
    y = b.op("Mul", gate, b.relu(b.conv("body", x, 12, 16)))
    return b.proto(b.head(b.relu(b.conv("tail", y, 16, 8)), 8))


def lrn() -> onnx.ModelProto:
    """LRN, in which neighbours among the channels matter."""
    b = Builder()
    x = b.relu(b.conv("stem", b.input((1, 3, 8, 8)), 3, 8))
    x = b.op("LRN", x, size=3, alpha=0.5, beta=0.75, bias=1.0)
    x = b.relu(b.conv("body", x, 8, 40))
    return b.proto(b.head(b.relu(b.conv("tail", x, 40, 40)), 40))


def group_norm() -> onnx.ModelProto:
    """GroupNormalization: the channels of a group share their statistics."""
    b = Builder(opset=21)
    x = b.conv("stem", b.input((1, 3, 8, 8)), 3, 8)
    x = b.op("GroupNormalization", x, b.uniform("s", 8), b.uniform("t", 8, low=-1), num_groups=2)
    x = b.relu(b.conv("body", b.relu(x), 8, 40))
    return b.proto(b.head(b.relu(b.conv("tail", x, 40, 40)), 40))


def exported_group_norm() -> onnx.ModelProto:
    """The same as exporters write it: Reshape, InstanceNormalization, Reshape, Mul, Add."""
    b = Builder()
    x = b.conv("stem", b.input((1, 3, 8, 8)), 3, 8)
    y = b.op("Reshape", x, b.const([0, 2, -1]))
    ones, zeros = np.ones(2, np.float32), np.zeros(2, np.float32)
    y = b.op("InstanceNormalization", y, b.const(ones), b.const(zeros))
    y = b.op("Reshape", y, b.const([0, 8, 8, 8]))
    y = b.op("Add", b.op("Mul", y, b.uniform("s", 8, 1, 1)), b.uniform("t", 8, 1, 1, low=-1))
    y = b.relu(b.conv("body", b.relu(y), 8, 40))
    return b.proto(b.head(b.relu(b.conv("tail", y, 40, 40)), 40))


GRAPHS = {
    "batch_norm": batch_norm,
    "instance_norm": instance_norm,
    "prelu": prelu,
    "affine": affine,
    "softmax": softmax,
    "reduce_mean": reduce_mean,
    "spatial_attention": spatial_attention,
    "lrn": lrn,
    "group_norm": group_norm,
    "exported_group_norm": exported_group_norm,
}
