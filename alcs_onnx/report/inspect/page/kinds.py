"""Kinds of operators, for colours."""

from __future__ import annotations

from alcs_onnx.op_traits import OPS, Kind, qualified
from alcs_onnx.pipeline.inspect.result import NodeFacts
from alcs_onnx.sparse_format import OP_DOMAIN

_SPARSE = "sparse convolution"
_OTHER = "other"

#: The fill of each kind, in the order of the legend: the colours of the style sheet.
KINDS = {
    Kind.CONVOLUTION.value: "kind-0",
    _SPARSE: "kind-1",
    Kind.PRODUCT.value: "kind-2",
    Kind.NORMALIZATION.value: "kind-3",
    Kind.ACTIVATION.value: "kind-4",
    Kind.ARITHMETIC.value: "kind-5",
    Kind.POOLING.value: "kind-6",
    Kind.MOVEMENT.value: "kind-7",
    _OTHER: "kind-8",
}


def kind_of(node: NodeFacts) -> str:
    """The kind of a node, one of `KINDS`."""
    if node.domain == OP_DOMAIN:
        return _SPARSE
    row = OPS.get(qualified(node.domain, node.op))
    return _OTHER if row is None else row.kind.value
