"""Dropout, which at inference hands on its data; what changed is its mask."""

from __future__ import annotations

from alcs_onnx.graph.upgrade.node import NodeUpgrade
from alcs_onnx.graph.upgrade.registry import upgrades


def _mask(node: NodeUpgrade) -> tuple[str, str] | None:
    """Old and new name of the mask output; None where nobody reads it: it is left out then."""
    if len(node.node.output) < 2:
        return None
    if not node.scope.names.is_read(node.node.output[1]):
        del node.node.output[1:]
        return None
    return node.rename_output(1)


@upgrades("Dropout", below=10)
def dropout_7(node: NodeUpgrade) -> None:
    """10: the mask is boolean; it had the type of the data."""
    if mask := _mask(node):
        old, new = mask
        node.after("Cast", [new], old, to=node.element_type(node.input(0)))


@upgrades("Dropout", below=12)
def dropout_10(node: NodeUpgrade) -> None:
    """12: `ratio` is an input, `training_mode` is new and off by default.

    The mask at inference was left open before 12; ONNX Runtime fills it with false. Since 12 it
    is true: everything stays.
    """
    node.set_inputs(node.input(0), node.as_input("ratio"))
    if mask := _mask(node):
        old, new = mask
        node.after("Not", [new], old)
