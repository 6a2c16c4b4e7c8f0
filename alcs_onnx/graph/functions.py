"""The ONNX function bodies of our operators: sparse convolutions, SimdMaxPool, moves of channels.

They make a written file run in any ONNX Runtime without the custom-op library: the dense
weight is rebuilt from its stored form (`weight_bodies`) and given to an ordinary Conv. All sizes
are derived from the attributes by arithmetic on constants, and the stored weights are constants
too, so that a runtime folds everything but Conv and the activation when it loads the file.

They are written in ONNX's text syntax. ONNX Runtime reads a body in the opset of the model and
not in the one that the function asks for, so that each text is valid, and means the same, in every
opset from 12 on, where Constant first could hold an attribute of the function.

A body cannot branch on a missing input; hence the residual form has its own name. How it branches
on the attributes of the activation is in `activations/body.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import onnx
import onnx.parser

from alcs_onnx.graph.activations import FLOAT_ATTRIBUTES, activation_nodes
from alcs_onnx.graph.integer_bodies import (
    FLOATS,
    INTEGERS,
    PACK_NODES,
    POOL_NODES,
    RESIDUAL_SCALES,
    SCALES,
    UNPACK_NODES,
    integer_nodes,
)
from alcs_onnx.graph.model import Node
from alcs_onnx.graph.weight_bodies import PACKED, PLAIN, StoredForm
from alcs_onnx.integer_format import (
    OP_PACK,
    OP_QLINEAR_CONV,
    OP_QLINEAR_CONV_ADD,
    OP_UNPACK,
    OP_WORD_POOL,
)
from alcs_onnx.packed_format import OP_QUANT_CONV, OP_QUANT_CONV_ADD
from alcs_onnx.sparse_format import OP_CONV, OP_CONV_ADD, OP_DOMAIN, OP_MAX_POOL

LIST_ATTRIBUTES = ("kernel_shape", "strides", "pads", "dilations")
POOL_ATTRIBUTES = ("kernel_shape", "strides", "pads")
#: The other operators on words of four channels: their attributes, and their nodes.
WORD_OPS: Mapping[str, tuple[tuple[str, ...], str]] = {
    OP_PACK: (("channels",), PACK_NODES),
    OP_UNPACK: (("channels",), UNPACK_NODES),
    OP_WORD_POOL: (POOL_ATTRIBUTES, POOL_NODES),
}


@dataclass(frozen=True)
class SparseConvOp:
    """One of our convolutions: how its weights are stored, and whether a residual is added."""

    form: StoredForm
    residual: bool

    @property
    def integers(self) -> bool:
        """Whether it computes with bytes, in words of four channels (`integer_format`)."""
        return self.form is INTEGERS

    @property
    def bias(self) -> int:
        """Which input is the bias."""
        return 1 + len(self.form.inputs)

    @property
    def inputs(self) -> tuple[str, ...]:
        """All of them, in their order."""
        scales = SCALES if self.integers else ()
        residual = ("residual", *(RESIDUAL_SCALES if self.integers else ()))
        names = ("X", *self.form.inputs, "bias", *scales)
        return (*names, *residual) if self.residual else names


#: The convolutions among our operators.
SPARSE_CONVS: Mapping[str, SparseConvOp] = {
    OP_CONV: SparseConvOp(PLAIN, residual=False),
    OP_CONV_ADD: SparseConvOp(PLAIN, residual=True),
    OP_QUANT_CONV: SparseConvOp(PACKED, residual=False),
    OP_QUANT_CONV_ADD: SparseConvOp(PACKED, residual=True),
    OP_QLINEAR_CONV: SparseConvOp(INTEGERS, residual=False),
    OP_QLINEAR_CONV_ADD: SparseConvOp(INTEGERS, residual=True),
}


def sparse_conv_function(
    op_type: str, opset: int, slopes: Iterable[float] = ()
) -> onnx.FunctionProto:
    """The function body of one op, for a model of the given default opset (at least 12).

    It is right for every activation; LeakyRelu by one of `slopes` is a node that is fused.
    """
    op = SPARSE_CONVS[op_type]
    if op.integers:
        attributes = [*op.form.attributes, *LIST_ATTRIBUTES, *FLOATS]
        return _function(op_type, opset, op.inputs, attributes, integer_nodes(op.residual))
    nodes = f"""{op.form.nodes}
  v = Conv <{_referred(LIST_ATTRIBUTES)}, group: int = @group> (X, weight, bias)
"""
    if op.residual:
        nodes += "  sum = Add (v, residual)"
    nodes += activation_nodes("sum" if op.residual else "v", slopes)
    attributes = [*op.form.attributes, *LIST_ATTRIBUTES, *FLOAT_ATTRIBUTES, "gate: int = 0"]
    return _function(op_type, opset, op.inputs, attributes, nodes)


def max_pool_function(opset: int) -> onnx.FunctionProto:
    """SimdMaxPool is MaxPool."""
    nodes = f"Y = MaxPool <{_referred(POOL_ATTRIBUTES)}> (X)"
    return _function(OP_MAX_POOL, opset, ["X"], POOL_ATTRIBUTES, nodes)


def words_function(op_type: str, opset: int) -> onnx.FunctionProto:
    """One of `WORD_OPS`: PackNC4HW4 and UnpackNC4HW4 move bytes, MaxPoolNC4HW4 is MaxPool."""
    attributes, nodes = WORD_OPS[op_type]
    return _function(op_type, opset, ["X"], attributes, nodes)


def _referred(attributes: Iterable[str]) -> str:
    """The lists of a node that are the function's of the same names."""
    return ", ".join(f"{name}: ints = @{name}" for name in attributes)


def _function(
    op_type: str, opset: int, inputs: Iterable[str], attributes: Iterable[str], nodes: str
) -> onnx.FunctionProto:
    return onnx.parser.parse_function(
        f"""<domain: "{OP_DOMAIN}", opset_import: ["" : {opset}]>
{op_type} <{", ".join(attributes)}> ({", ".join(inputs)}) => (Y) {{
{nodes}
}}"""
    )


def used_functions(nodes: Iterable[Node], opset: int) -> list[onnx.FunctionProto]:
    """The bodies of those of our operators that `nodes` use."""
    slopes: dict[str, set[float]] = {}
    for node in nodes:
        if node.domain == OP_DOMAIN:
            slopes.setdefault(node.op_type, set()).add(node.float_attribute("slope", 1.0))
    convs = (
        sparse_conv_function(op_type, opset, slopes[op_type])
        for op_type in SPARSE_CONVS
        if op_type in slopes
    )
    words = (words_function(op_type, opset) for op_type in WORD_OPS if op_type in slopes)
    return [*convs, *words, *([max_pool_function(opset)] if OP_MAX_POOL in slopes else [])]
