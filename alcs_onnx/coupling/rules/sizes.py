"""Shape and Size: they read how large a tensor is, and nothing of it."""

from __future__ import annotations

from alcs_onnx.coupling.linker import Linker
from alcs_onnx.coupling.rules.registry import couples
from alcs_onnx.graph import Node


@couples("Shape", "Size", reads_first=False)
def sizes(linker: Linker, node: Node) -> None:
    """What comes of sizes carries no channels, though its numbers may count some."""
    linker.set_sizes(node)
