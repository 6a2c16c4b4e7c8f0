"""Softmax and its kin, which worked on a matrix until 12 and work along one axis since."""

from __future__ import annotations

from onnx import helper

from alcs_onnx.graph.upgrade.node import NodeUpgrade
from alcs_onnx.graph.upgrade.registry import upgrades


@upgrades("Softmax", below=13)
@upgrades("LogSoftmax", below=13)
@upgrades("Hardmax", below=13)
def softmax_12(node: NodeUpgrade) -> None:
    """13: they work along `axis`, by default the last one.

    Until 12 the data is a matrix of which the axes from `axis` on, by default 1, make the rows.
    Where that is the last axis alone both are the same. Otherwise the data is laid out as that
    matrix and put back into its shape afterwards.
    """
    axis = node.take("axis") or helper.make_attribute("axis", 1)
    rank = node.scope.ranks.get(node.input(0))
    if rank and not axis.ref_attr_name and axis.i in (rank - 1, -1):
        node.set(axis=-1)
        return
    data = node.input(0)
    matrix = node.before("Flatten", [data], "matrix", axis=axis)
    shape = node.before("Shape", [data], "shape")
    node.set_inputs(matrix)
    node.set(axis=-1)
    old, new = node.rename_output(0)
    node.after("Reshape", [new, shape], old)
