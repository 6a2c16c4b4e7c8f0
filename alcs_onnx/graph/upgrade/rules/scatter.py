"""Scatter."""

from __future__ import annotations

from alcs_onnx.graph.upgrade.node import NodeUpgrade
from alcs_onnx.graph.upgrade.registry import upgrades


@upgrades("Scatter", below=11)
def scatter(node: NodeUpgrade) -> None:
    """11: it is called ScatterElements."""
    node.node.op_type = "ScatterElements"
