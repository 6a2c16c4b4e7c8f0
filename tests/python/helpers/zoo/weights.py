"""Graphs with unusual weights: quantized, shared, transposed, inside nodes; unknown operators."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import onnx
from onnx import helper, numpy_helper

from .builder import Builder


def quantized_activations() -> onnx.ModelProto:
    """Activations through 8 bits, one scale per tensor.

    Weights and scales are multiples of small powers of two, so that sums are exact and no order
    of summing them rounds to another integer.
    """
    b = Builder()
    x = b.input((1, 3, 8, 8))
    widths = (3, 8, 12, 16)
    for index, (inputs, outputs) in enumerate(pairwise(widths)):
        params = [
            b.const(np.float32(2**-5), f"scale{index}"),
            b.const(np.uint8(128 if index == 0 else 10), f"zero{index}"),
        ]
        x = b.op("DequantizeLinear", b.op("QuantizeLinear", x, *params), *params)
        x = b.relu(b.conv(f"conv{index}", x, inputs, outputs))
    proto = b.proto(b.head(x, 16))
    for tensor in proto.graph.initializer:
        if tensor.name.startswith("conv"):
            rounded = np.round(numpy_helper.to_array(tensor) * 64) / np.float32(64)
            tensor.CopyFrom(numpy_helper.from_array(rounded, tensor.name))
    return proto


def _quantized_weight(b: Builder, name: str, *shape: int, axis: int | None = None) -> str:
    """An int8 weight behind DequantizeLinear; one scale per channel where `axis` is given."""
    weight = b.rng.integers(-100, 101, shape).astype(np.int8)
    step = (2 / np.prod(shape[1:])) ** 0.5 / 60
    if axis is None:
        scale, zero = np.array(step, np.float32), np.array(3, np.int8)
    else:
        scale = (step * b.rng.uniform(0.5, 1.5, shape[axis])).astype(np.float32)
        zero = np.zeros(shape[axis], np.int8)
    tensors = [
        b.const(weight, f"{name}.q"),
        b.const(scale, f"{name}.scale"),
        b.const(zero, f"{name}.zero"),
    ]
    attributes = {} if axis is None else {"axis": axis}
    return b.op("DequantizeLinear", *tensors, name=f"{name}.dq", **attributes)


def quantized_weights() -> onnx.ModelProto:
    """Weights in 8 bits: per channel, per tensor, depthwise; and a Gemm per channel."""
    b = Builder()
    x = b.relu(b.conv("stem", b.input((1, 3, 8, 8)), 3, 8))
    for name, shape, axis, group in (
        ("per_channel", (12, 8, 3, 3), 0, 1),
        ("per_tensor", (12, 12, 3, 3), None, 1),
        ("depthwise", (12, 1, 3, 3), 0, 12),
    ):
        weight = _quantized_weight(b, name, *shape, axis=axis)
        x = b.op(
            "Conv", x, weight, b.uniform(f"{name}.b", 12), name=name, pads=[1] * 4, group=group
        )
        x = b.relu(x)
    x = b.op("Flatten", b.op("GlobalAveragePool", x))
    weight = _quantized_weight(b, "logits", 5, 12, axis=0)
    return b.proto(b.op("Gemm", x, weight, b.uniform("logits.b", 5), name="logits", transB=1))


def shared_weights() -> onnx.ModelProto:
    """One weight in two convolutions on different tensors, with different biases."""
    b = Builder()
    x = b.relu(b.conv("stem", b.input((1, 3, 8, 8)), 3, 8))
    weight = b.normal("shared.w", 8, 8, 3, 3)
    y = b.op("Conv", x, weight, b.uniform("one.b", 8), name="one", pads=[1] * 4)
    y = b.relu(b.conv("between", b.relu(y), 8, 8))
    z = b.relu(b.op("Conv", y, weight, b.uniform("two.b", 8), name="two", pads=[1] * 4))
    return b.proto(b.head(b.relu(b.conv("tail", z, 8, 12)), 12))


def shared_head() -> onnx.ModelProto:
    """One head on two scales, as in detectors; the last conv of it makes both outputs."""
    b = Builder()
    x = b.relu(b.conv("stem", b.input((1, 3, 16, 16)), 3, 16))
    fine = b.relu(b.conv("fine", x, 16, 32))
    coarse = b.relu(b.conv("coarse", fine, 32, 32, stride=2))
    body = [b.normal("body.w", 32, 32, 3, 3), b.uniform("body.b", 32)]
    last = [b.normal("last.w", 6, 32, 1, 1), b.uniform("last.b", 6)]
    outputs = []
    for name, source in (("a", fine), ("b", coarse)):
        y = b.relu(b.op("Conv", source, *body, name=f"body_{name}", pads=[1] * 4))
        outputs.append(b.op("Conv", y, *last, name=f"last_{name}"))
    return b.proto(*outputs)


def constant_nodes() -> onnx.ModelProto:
    """All weights as Constant nodes, as some exporters write them."""
    b = Builder()
    x = b.relu(b.norm("norm", b.conv("stem", b.input((1, 3, 8, 8)), 3, 8), 8))
    y = b.relu(b.op("Add", x, b.conv("body", x, 8, 8)))
    proto = b.proto(b.head(b.relu(b.conv("tail", y, 8, 12)), 12))
    constants = [
        helper.make_node("Constant", [], [tensor.name], value=tensor, name=f"make_{tensor.name}")
        for tensor in proto.graph.initializer
    ]
    nodes = [*constants, *proto.graph.node]
    del proto.graph.initializer[:]
    del proto.graph.node[:]
    proto.graph.node.extend(nodes)
    return proto


def tied_initializers() -> onnx.ModelProto:
    """One array as bias of two layers of different groups, and as factor of a third."""
    b = Builder()
    x = b.relu(b.conv("stem", b.input((1, 3, 8, 8)), 3, 8))
    vector = b.uniform("shared.b", 8)
    y = b.op("Conv", x, b.normal("one.w", 8, 8, 3, 3), vector, name="one", pads=[1] * 4)
    z = b.op("Conv", b.relu(y), b.normal("two.w", 8, 8, 3, 3), vector, name="two", pads=[1] * 4)
    return b.proto(b.head(b.relu(b.conv("tail", b.relu(z), 8, 12)), 12))


def transposed() -> onnx.ModelProto:
    """ConvTranspose: whole, grouped, depthwise, and the last one tied to the output."""
    b = Builder()
    x = b.relu(b.conv("stem", b.input((1, 3, 4, 4)), 3, 12))
    for name, outputs, group in (("whole", 8, 1), ("grouped", 12, 2), ("depth", 12, 12)):
        inputs = 8 if name == "grouped" else 12
        weights = [
            b.normal(f"{name}.w", inputs, outputs // group, 2, 2),
            b.uniform(f"{name}.b", outputs, low=-0.3, high=0.3),
        ]
        strides = [1, 1] if name == "depth" else [2, 2]
        x = b.relu(b.op("ConvTranspose", x, *weights, name=name, group=group, strides=strides))
    weight = b.normal("last.w", 12, 2, 2, 2)
    return b.proto(b.op("ConvTranspose", x, weight, name="last", strides=[2, 2]))


def resized() -> onnx.ModelProto:
    """Resize by scales and by sizes, summed with what was not resized."""
    b = Builder()
    x = b.relu(b.conv("stem", b.input((1, 3, 8, 8)), 3, 8))
    y = b.relu(b.conv("down", x, 8, 8, stride=2))
    scales = b.const(np.array([1, 1, 2, 2], np.float32))
    y = b.op("Add", x, b.op("Resize", y, "", scales, mode="nearest"))
    z = b.relu(b.conv("down2", b.relu(y), 8, 12, stride=2))
    z = b.op("Resize", z, "", "", b.const([1, 12, 8, 8]), mode="linear")
    y = b.op("Concat", y, z, axis=1)
    return b.proto(b.head(b.relu(b.conv("tail", y, 20, 12)), 12))


def unknown_operator() -> onnx.ModelProto:
    """An operator of an unknown domain between two convolutions; ONNX Runtime cannot run it."""
    b = Builder()
    x = b.relu(b.conv("stem", b.input((1, 3, 8, 8)), 3, 8))
    x = b.relu(b.conv("before", x, 8, 8))
    (x,) = b.ops("Mystery", x, count=1, domain="com.example", name="mystery")
    x = b.relu(b.conv("after", x, 8, 40))
    b.declare("mystery.y", (1, 8, 8, 8))
    return b.proto(b.head(b.relu(b.conv("tail", x, 40, 40)), 40))


def deep_residual(blocks: int = 100, width: int = 8) -> onnx.ModelProto:
    """A residual network of 5 nodes per block: conv, relu, conv, add, relu."""
    b = Builder()
    x = b.relu(b.conv("stem", b.input((1, 3, 4, 4)), 3, width))
    for index in range(blocks):
        y = b.relu(b.conv(f"a{index}", x, width, width))
        y = b.conv(f"b{index}", y, width, width)
        x = b.relu(b.op("Add", y, x))
    proto = b.proto(b.head(x, width))
    for tensor in proto.graph.initializer:  # so that the sum of all blocks stays small
        if tensor.name.startswith("b") and tensor.name.endswith(".w"):
            damped = numpy_helper.to_array(tensor) * np.float32(0.2)
            tensor.CopyFrom(numpy_helper.from_array(damped, tensor.name))
    return proto


#: `unknown_operator` cannot run and stands apart.
GRAPHS = {
    "quantized_activations": quantized_activations,
    "quantized_weights": quantized_weights,
    "shared_weights": shared_weights,
    "shared_head": shared_head,
    "constant_nodes": constant_nodes,
    "tied_initializers": tied_initializers,
    "transposed": transposed,
    "resized": resized,
    "deep_residual": deep_residual,
}
