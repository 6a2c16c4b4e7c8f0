"""Nodes that no graph output depends on are removed. Precondition: none."""

from __future__ import annotations

from collections.abc import Callable

from alcs_onnx.graph.editor import GraphEditor


def run(editor: GraphEditor, note: Callable[[str], None]) -> int:
    """Remove unused nodes; returns how many."""
    return editor.drop_unused()
