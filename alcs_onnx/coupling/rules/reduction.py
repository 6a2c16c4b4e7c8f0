"""Reductions along axes, Softmax and the like."""

from __future__ import annotations

from alcs_onnx.coupling.linker import Linker, told
from alcs_onnx.coupling.rules.axes import named_axes
from alcs_onnx.coupling.rules.registry import couples
from alcs_onnx.graph import Node
from alcs_onnx.types import Shape


@couples(
    "ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean",
    "ReduceMin", "ReduceProd", "ReduceSum", "ReduceSumSquare",
)  # fmt: skip
def reduce(linker: Linker, node: Node) -> None:
    """Over pixels the channels stay; over channels they have to."""
    source, output = node.inputs[0], node.outputs[0]
    found = linker.channels[source]
    rank = len(linker.shape(source))
    axes = _axes(linker, node, rank)
    if axes is None or found.axis is None or found.axis in axes:
        over = found.axis is not None and axes is not None
        reason = f"{told(node)} reduces over {'them' if over else 'axes that cannot be followed'}"
        linker.freeze_tensor(source, reason)
        return linker.set_frozen(output, reason)
    keep = bool(node.int_attribute("keepdims", 1))
    axis = found.axis if keep else found.axis - sum(a < found.axis for a in axes)
    return linker.set(output, axis, found.ids)


def _axes(linker: Linker, node: Node, rank: int) -> Shape | None:
    """The reduced axes; None when they are not known."""
    named = named_axes(linker.model, node, rank)
    if named == () and not node.int_attribute("noop_with_empty_axes", 0):
        return tuple(range(rank))
    return named


@couples("ArgMax", "ArgMin", "CumSum", "Hardmax", "LogSoftmax", "Softmax")
def along_axis(linker: Linker, node: Node) -> None:
    """An operation along one axis: fine unless that is the axis of the channels."""
    source, output = node.inputs[0], node.outputs[0]
    found = linker.channels[source]
    rank = len(linker.shape(source))
    axis = node.int_attribute("axis", 0 if node.is_op("ArgMax", "ArgMin") else -1) % rank
    simple = node.is_op("Softmax", "LogSoftmax", "Hardmax") and linker.model.opset >= 13
    if found.axis is None or found.axis == axis or not simple:
        reason = f"{told(node)} works across channels"
        linker.freeze_tensor(source, reason)
        return linker.set_frozen(output, reason)
    return linker.set(output, found.axis, found.ids)
