"""The activation in the ONNX function bodies of our convolutions.

A body can branch on attributes through If with a constant condition, which ONNX Runtime (1.18 and
newer tried) replaces by the branch taken, before it fuses activations into Conv. So the activation
clip(max(v, slope * v), low, high) costs what it did in the original model:

    t = v                    if slope = 1           else LeakyRelu(v, slope)   (slope <= 1)
    y = t                    if low, high are the float limits
      = Relu(t)              if low = 0 and high is the limit                 else Clip(t)
      = t * HardSigmoid(t)   if gate = 1                  t * Sigmoid(t)      if gate = 2

and so on, by the registry. A gate comes with slope = 1 and the limits, so that t = v. That
attribute is newer than the others and alone may be absent, which means no gate: the bodies of older
files do not know it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import onnx
from onnx import helper

from alcs_onnx.graph.activations.registry import GATES, Gate
from alcs_onnx.graph.function_body import FunctionBody, refer
from alcs_onnx.types import Activation

FLOAT_ATTRIBUTES = ("slope", "low", "high")

_Nodes = Sequence[onnx.NodeProto]


def add_activation(body: FunctionBody, result: str) -> None:
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
    refer(leaky, "alpha", onnx.AttributeProto.FLOAT, to="slope")
    kept = helper.make_node("Identity", [result], ["kept"])
    body.nodes.append(_either(flat, [kept], [leaky], "sloped"))
    relu = helper.make_node("Relu", ["sloped"], ["relu"])
    clip = helper.make_node("Clip", ["sloped", low, high], ["clip"])
    bounded = _either(rectified, [relu], [clip], "bounded")
    open_ended = _gate_or_none(body, "sloped", "open_ended")
    body.nodes.append(_either(unbounded, [open_ended], [bounded], "Y"))


def _gate_or_none(body: FunctionBody, x: str, out: str) -> onnx.NodeProto:
    """The choice between x and its gates; the last of them needs no condition."""
    *others, last = GATES.values()
    gate = body.referred("gate", "value_int", onnx.AttributeProto.INT)
    none, *conditions = (
        body.op("Equal", gate, body.op("Constant", value_int=number))
        for number in (0, *(other.number for other in others))
    )
    nodes = _product(last, x)
    for index in range(len(others) - 1, -1, -1):
        name = f"gated_{index}" if index else "gated"
        nodes = [_either(conditions[index], _product(others[index], x), nodes, name)]
    return _either(none, [helper.make_node("Identity", [x], ["unclipped"])], nodes, out)


def _product(gate: Gate, x: str) -> list[onnx.NodeProto]:
    nodes, factor = [], x
    for call in gate.factor:
        read, factor = factor, _snake_case(call.op_type)
        node = helper.make_node(call.op_type, [read], [factor])
        attributes = sorted(call.attributes.items())
        node.attribute.extend(helper.make_attribute(name, value) for name, value in attributes)
        nodes.append(node)
    return [*nodes, helper.make_node("Mul", [x, factor], [_snake_case(gate.name)])]


def _snake_case(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


def _branch(nodes: _Nodes) -> onnx.GraphProto:
    """A branch of If, whose result is that of the last node."""
    output = helper.make_tensor_value_info(nodes[-1].output[0], onnx.TensorProto.FLOAT, None)
    return helper.make_graph(nodes, "branch", [], [output])


def _either(condition: str, then: _Nodes, otherwise: _Nodes, out: str) -> onnx.NodeProto:
    branches = {"then_branch": _branch(then), "else_branch": _branch(otherwise)}
    return helper.make_node("If", [condition], [out], **branches)
