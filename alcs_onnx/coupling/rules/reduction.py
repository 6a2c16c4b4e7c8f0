"""Reductions along axes, Softmax and the like."""

from __future__ import annotations

from alcs_onnx.coupling.linker import Linker
from alcs_onnx.coupling.rules.axes import named_axes
from alcs_onnx.coupling.rules.registry import couples
from alcs_onnx.graph import Node, told
from alcs_onnx.types import Shape


@couples(
    "ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean",
    "ReduceMin", "ReduceProd", "ReduceSum", "ReduceSumSquare",
)  # fmt: skip
def reduce(linker: Linker, node: Node) -> None:
    """Over pixels the channels stay; over channels they become one value of those that are left."""
    source, output = node.inputs[0], node.outputs[0]
    found = linker.channels[source]
    rank = len(linker.shape(source))
    axes = _axes(linker, node, rank)
    if axes is None or found.axis is None:
        reason = f"{told(node)} reduces over axes that cannot be followed"
        return linker.pass_frozen(source, output, reason)
    if found.axis in axes:
        linker.mix(node, found.ids)
        return linker.set_frozen(output, f"{told(node)} makes one value of all channels")
    keep = bool(node.int_attribute("keepdims", 1))
    axis = found.axis if keep else found.axis - sum(a < found.axis for a in axes)
    return linker.set(output, axis, found.ids)


def _axes(linker: Linker, node: Node, rank: int) -> Shape | None:
    """The reduced axes; None when they are not known."""
    named = named_axes(linker.value, node, rank)
    if named == () and not node.int_attribute("noop_with_empty_axes", 0):
        return tuple(range(rank))
    return named


@couples("ArgMax", "ArgMin", "CumSum", "Hardmax", "LogSoftmax", "Softmax")
def along_axis(linker: Linker, node: Node) -> None:
    """An operation along one axis: fine unless that is the axis of the channels.

    Softmax and the like worked over all axes from the named one on, before opset 13.
    """
    source, output = node.inputs[0], node.outputs[0]
    found = linker.channels[source]
    rank = len(linker.shape(source))
    apart = False
    if found.axis is not None and node.is_op("Softmax", "LogSoftmax", "Hardmax"):
        if linker.model.opset >= 13:
            apart = found.axis != node.int_attribute("axis", -1) % rank
        else:
            apart = found.axis < node.int_attribute("axis", 1) % rank
    if not apart:
        reason = f"{told(node)} works across channels"
        return linker.pass_frozen(source, output, reason)
    return linker.set(output, found.axis, found.ids)
