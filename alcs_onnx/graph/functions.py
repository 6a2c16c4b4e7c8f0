"""The ONNX function bodies of our operators: sparse convolutions and SimdMaxPool.

They make a written file run in any ONNX Runtime without the custom-op library: the dense
weight is rebuilt from its stored form (`weight_bodies`) and given to an ordinary Conv. All sizes
are derived from the attributes by arithmetic on constants, and the stored weights are constants
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

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import onnx
from onnx import helper

from alcs_onnx.graph.function_body import FunctionBody, refer
from alcs_onnx.graph.model import Node
from alcs_onnx.graph.weight_bodies import PACKED, PLAIN, StoredForm
from alcs_onnx.packed_format import OP_QUANT_CONV, OP_QUANT_CONV_ADD
from alcs_onnx.sparse_format import OP_CONV, OP_CONV_ADD, OP_DOMAIN, OP_MAX_POOL
from alcs_onnx.types import Activation, Gate

LIST_ATTRIBUTES = ("kernel_shape", "strides", "pads", "dilations")
FLOAT_ATTRIBUTES = ("slope", "low", "high")
POOL_ATTRIBUTES = ("kernel_shape", "strides", "pads")


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


def _activation(body: FunctionBody, result: str) -> None:
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


@dataclass(frozen=True)
class SparseConvOp:
    """One of our convolutions: how its weights are stored, and whether a residual is added."""

    form: StoredForm
    residual: bool


#: The convolutions among our operators.
SPARSE_CONVS: Mapping[str, SparseConvOp] = {
    OP_CONV: SparseConvOp(PLAIN, residual=False),
    OP_CONV_ADD: SparseConvOp(PLAIN, residual=True),
    OP_QUANT_CONV: SparseConvOp(PACKED, residual=False),
    OP_QUANT_CONV_ADD: SparseConvOp(PACKED, residual=True),
}


def sparse_conv_function(op_type: str, opset: int) -> onnx.FunctionProto:
    """The function body of one op, for a model of the given default opset (at least 13)."""
    op = SPARSE_CONVS[op_type]
    body = FunctionBody()
    inputs = ["X", *op.form.inputs, "bias"]
    weight = op.form.rebuild(body)
    result = body.op("Conv", "X", weight, "bias")
    for name in LIST_ATTRIBUTES:
        body.refer(name, onnx.AttributeProto.INTS)
    body.refer("group", onnx.AttributeProto.INT)
    if op.residual:
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
        attributes=[*op.form.attributes, *LIST_ATTRIBUTES, *FLOAT_ATTRIBUTES],
        attribute_protos=[helper.make_attribute("gate", int(Gate.NONE))],
    )


def max_pool_function(op_type: str, opset: int) -> onnx.FunctionProto:
    """SimdMaxPool is MaxPool."""
    body = FunctionBody()
    body.op("MaxPool", "X", out="Y")
    for name in POOL_ATTRIBUTES:
        body.refer(name, onnx.AttributeProto.INTS)
    opsets = [helper.make_opsetid("", opset)]
    return helper.make_function(
        OP_DOMAIN, op_type, ["X"], ["Y"], body.nodes, opsets, attributes=list(POOL_ATTRIBUTES)
    )


#: The body of each operator for a given default opset.
FUNCTIONS: dict[str, Callable[[str, int], onnx.FunctionProto]] = {
    **dict.fromkeys(SPARSE_CONVS, sparse_conv_function),
    OP_MAX_POOL: max_pool_function,
}


def used_functions(nodes: Iterable[Node], opset: int) -> list[onnx.FunctionProto]:
    """The bodies of those of our operators that `nodes` use."""
    used = {node.op_type for node in nodes if node.domain == OP_DOMAIN}
    return [make(op_type, opset) for op_type, make in FUNCTIONS.items() if op_type in used]
