"""The ONNX function bodies of our operators: sparse convolutions and SimdMaxPool.

They make a written file run in any ONNX Runtime without the custom-op library: the dense
weight is rebuilt from its stored form (`weight_bodies`) and given to an ordinary Conv. All sizes
are derived from the attributes by arithmetic on constants, and the stored weights are constants
too, so that a runtime folds everything but Conv and the activation when it loads the file.

A body cannot branch on a missing input; hence the residual form has its own name. How it branches
on the attributes of the activation is in `activations/body.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import onnx
from onnx import helper

from alcs_onnx.graph.activations import FLOAT_ATTRIBUTES, add_activation
from alcs_onnx.graph.function_body import FunctionBody
from alcs_onnx.graph.model import Node
from alcs_onnx.graph.weight_bodies import PACKED, PLAIN, StoredForm
from alcs_onnx.packed_format import OP_QUANT_CONV, OP_QUANT_CONV_ADD
from alcs_onnx.sparse_format import OP_CONV, OP_CONV_ADD, OP_DOMAIN, OP_MAX_POOL

LIST_ATTRIBUTES = ("kernel_shape", "strides", "pads", "dilations")
POOL_ATTRIBUTES = ("kernel_shape", "strides", "pads")


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
    add_activation(body, result)
    return helper.make_function(
        OP_DOMAIN,
        op_type,
        inputs,
        ["Y"],
        body.nodes,
        [helper.make_opsetid("", opset)],
        attributes=[*op.form.attributes, *LIST_ATTRIBUTES, *FLOAT_ATTRIBUTES],
        attribute_protos=[helper.make_attribute("gate", 0)],
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
