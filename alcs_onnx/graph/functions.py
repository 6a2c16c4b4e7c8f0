"""The ONNX function bodies of SimdSparseConv, SimdSparseConvAdd and SimdMaxPool.

They make a written file run in any ONNX Runtime without the custom-op library: the dense
weight is rebuilt from `values` and `positions` and given to an ordinary Conv. All sizes are
derived from the attributes by arithmetic on constants, and the stored weights are constants
too, so that a runtime folds everything but Conv and the activation when it loads the file.

A body cannot branch on a missing input; hence the residual form has its own name. It can
branch on attributes through If with a constant condition, which ONNX Runtime (1.18 and newer
tried) replaces by the branch taken, before it fuses activations into Conv. So the activation
clip(max(v, slope * v), low, high) costs what it did in the original model:

    t = v                    if slope = 1           else LeakyRelu(v, slope)   (slope <= 1)
    y = t                    if low, high are the float limits
      = Relu(t)              if low = 0 and high is the limit                 else Clip(t)
      = t * HardSigmoid(t)   if gate = 1                  t * Sigmoid(t)      if gate = 2

A gate comes with slope = 1 and the limits, so that t = v. That attribute is newer than the others
and alone may be absent, which means no gate: the bodies of older files do not know it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from alcs_onnx.graph.model import Node
from alcs_onnx.sparse_format import OP_CONV, OP_CONV_ADD, OP_DOMAIN, OP_MAX_POOL
from alcs_onnx.types import Activation, Gate

INT_ATTRIBUTES = ("out_channels", "in_channels", "simd_group", "group")
LIST_ATTRIBUTES = ("kernel_shape", "strides", "pads", "dilations")
FLOAT_ATTRIBUTES = ("slope", "low", "high")
POOL_ATTRIBUTES = ("kernel_shape", "strides", "pads")


class _Body:
    """Collects the nodes of a function body; every method returns a tensor name."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []

    def op(self, op_type: str, *inputs: str, out: str | None = None, **attributes: Any) -> str:
        out = out or f"{op_type.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op_type, inputs, [out], **attributes))
        return out

    def constant(self, *values: int) -> str:
        return self.op("Constant", value_ints=list(values))

    def referred(self, attribute: str, field: str, kind: int) -> str:
        """A constant taken from an attribute of the function."""
        node = helper.make_node("Constant", [], [f"attr_{attribute}"])
        node.attribute.append(
            onnx.AttributeProto(name=field, ref_attr_name=attribute, type=kind)  # type: ignore[arg-type]
        )
        self.nodes.append(node)
        return f"attr_{attribute}"

    def int_vector(self, attribute: str) -> str:
        """An integer attribute as a vector of one element."""
        scalar = self.referred(attribute, "value_int", onnx.AttributeProto.INT)
        return self.op("Reshape", scalar, self.constant(1))


def _rebuilt_weight(body: _Body) -> str:
    """Nodes that turn `values` and `positions` into the dense weight [M, C/group, *kernel]."""
    m, c, g, group = (
        body.int_vector(name) for name in ("out_channels", "in_channels", "simd_group", "group")
    )
    kernel = body.referred("kernel_shape", "value_ints", onnx.AttributeProto.INTS)
    one = body.constant(1)
    channels = body.op("Div", c, group)
    # ReduceProd without axes means the same in every opset, axes attribute or axes input.
    taps = body.op("Reshape", body.op("ReduceProd", kernel, keepdims=1), one)
    columns = body.op("Mul", channels, taps)
    rows = body.op("Div", m, group)
    blocks = body.op("Div", body.op("Add", rows, body.op("Sub", g, one)), g)
    all_blocks = body.op("Mul", blocks, group)
    empty = body.op(
        "ConstantOfShape",
        body.op("Concat", body.op("Mul", all_blocks, columns), g, axis=0),
        value=numpy_helper.from_array(np.zeros(1, np.float32)),
    )
    indices = body.op("Cast", "positions", to=onnx.TensorProto.INT64)
    indices = body.op("Unsqueeze", indices, one)
    stored = body.op("ScatterND", empty, indices, "values")
    stored = body.op("Reshape", stored, body.op("Concat", all_blocks, columns, g, axis=0))
    stored = body.op("Transpose", stored, perm=[0, 2, 1])
    padded = body.op("Mul", blocks, g)
    stored = body.op("Reshape", stored, body.op("Concat", group, padded, columns, axis=0))
    stored = body.op("Slice", stored, body.constant(0), rows, one)
    return body.op("Reshape", stored, body.op("Concat", m, channels, kernel, axis=0))


def _branch(nodes: Sequence[onnx.NodeProto]) -> onnx.GraphProto:
    """A branch of If, whose result is that of the last node."""
    output = helper.make_tensor_value_info(nodes[-1].output[0], onnx.TensorProto.FLOAT, None)
    return helper.make_graph(nodes, "branch", [], [output])


def _either(
    condition: str,
    then: Sequence[onnx.NodeProto],
    otherwise: Sequence[onnx.NodeProto],
    out: str,
) -> onnx.NodeProto:
    branches = {"then_branch": _branch(then), "else_branch": _branch(otherwise)}
    return helper.make_node("If", [condition], [out], **branches)


def gate_nodes(gate: Gate, x: str, out: str, factor: str) -> tuple[onnx.NodeProto, onnx.NodeProto]:
    """The gate of `x` in operators that every opset has; `factor` names what x is multiplied by."""
    if gate is Gate.HARD_SWISH:
        node = helper.make_node("HardSigmoid", [x], [factor], alpha=1 / 6, beta=0.5)
    else:
        node = helper.make_node("Sigmoid", [x], [factor])
    return node, helper.make_node("Mul", [x, factor], [out])


def _activation(body: _Body, result: str) -> None:
    """Nodes for Y = clip(max(result, slope * result), low, high), or the gate of result."""
    slope, low, high = (
        body.referred(name, "value_float", onnx.AttributeProto.FLOAT) for name in FLOAT_ATTRIBUTES
    )
    identity = Activation()
    limits = {
        name: body.op("Constant", value_float=value)
        for name, value in (
            ("one", 1.0),
            ("zero", 0.0),
            ("low", identity.low),
            ("high", identity.high),
        )
    }
    flat = body.op("Equal", slope, limits["one"])
    open_high = body.op("Equal", high, limits["high"])
    unbounded = body.op("And", body.op("Equal", low, limits["low"]), open_high)
    rectified = body.op("And", body.op("Equal", low, limits["zero"]), open_high)
    leaky = helper.make_node("LeakyRelu", [result], ["leaky"])
    _refer(leaky, "alpha", onnx.AttributeProto.FLOAT, to="slope")
    kept = helper.make_node("Identity", [result], ["kept"])
    body.nodes.append(_either(flat, [kept], [leaky], "sloped"))
    relu = helper.make_node("Relu", ["sloped"], ["relu"])
    clip = helper.make_node("Clip", ["sloped", low, high], ["clip"])
    kept = helper.make_node("Identity", ["sloped"], ["unclipped"])
    bounded = _either(rectified, [relu], [clip], "bounded")
    gate = body.referred("gate", "value_int", onnx.AttributeProto.INT)
    none, hard_swish = (
        body.op("Equal", gate, body.op("Constant", value_int=int(value)))
        for value in (Gate.NONE, Gate.HARD_SWISH)
    )
    gated = _either(
        hard_swish,
        gate_nodes(Gate.HARD_SWISH, "sloped", "hard_swish", "hard_sigmoid"),
        gate_nodes(Gate.SILU, "sloped", "silu", "sigmoid"),
        "gated",
    )
    open_ended = _either(none, [kept], [gated], "open_ended")
    body.nodes.append(_either(unbounded, [open_ended], [bounded], "Y"))


def _refer(node: onnx.NodeProto, name: str, kind: int, to: str | None = None) -> None:
    node.attribute.append(
        onnx.AttributeProto(name=name, ref_attr_name=to or name, type=kind)  # type: ignore[arg-type]
    )


def sparse_conv_function(op_type: str, opset: int) -> onnx.FunctionProto:
    """The function body of one op, for a model of the given default opset (at least 13)."""
    body = _Body()
    inputs = ["X", "values", "positions", "bias"]
    weight = _rebuilt_weight(body)
    result = body.op("Conv", "X", weight, "bias")
    for name in LIST_ATTRIBUTES:
        _refer(body.nodes[-1], name, onnx.AttributeProto.INTS)
    _refer(body.nodes[-1], "group", onnx.AttributeProto.INT)
    if op_type == OP_CONV_ADD:
        inputs.append("residual")
        result = body.op("Add", result, "residual")
    _activation(body, result)
    return helper.make_function(
        OP_DOMAIN,
        op_type,
        inputs,
        ["Y"],
        body.nodes,
        [helper.make_opsetid("", opset)],
        attributes=[*INT_ATTRIBUTES, *LIST_ATTRIBUTES, *FLOAT_ATTRIBUTES],
        attribute_protos=[helper.make_attribute("gate", int(Gate.NONE))],
    )


def max_pool_function(op_type: str, opset: int) -> onnx.FunctionProto:
    """SimdMaxPool is MaxPool."""
    body = _Body()
    body.op("MaxPool", "X", out="Y")
    for name in POOL_ATTRIBUTES:
        _refer(body.nodes[-1], name, onnx.AttributeProto.INTS)
    opsets = [helper.make_opsetid("", opset)]
    return helper.make_function(
        OP_DOMAIN, op_type, ["X"], ["Y"], body.nodes, opsets, attributes=list(POOL_ATTRIBUTES)
    )


#: The body of each operator for a given default opset.
FUNCTIONS: dict[str, Callable[[str, int], onnx.FunctionProto]] = {
    OP_CONV: sparse_conv_function,
    OP_CONV_ADD: sparse_conv_function,
    OP_MAX_POOL: max_pool_function,
}


def used_functions(nodes: Iterable[Node], opset: int) -> list[onnx.FunctionProto]:
    """The bodies of those of our operators that `nodes` use."""
    used = {node.op_type for node in nodes if node.domain == OP_DOMAIN}
    return [make(op_type, opset) for op_type, make in FUNCTIONS.items() if op_type in used]
