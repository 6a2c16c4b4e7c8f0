"""CastLike becomes the Cast that it is, which other passes fold or remove.

Precondition: the type of its second input is known; no value of that input is read. torch's
exporter writes the zeros of a convolution without bias so, like the activations that it reads.
"""

from __future__ import annotations

from collections.abc import Callable

from alcs_onnx.graph.editor import GraphEditor
from alcs_onnx.graph.proto import element_type


def run(editor: GraphEditor, note: Callable[[str], None]) -> int:
    """Replace such nodes; returns how many."""
    changes = 0
    for node in editor.nodes:
        if node.is_op("CastLike") and node.inputs[1].dtype is not None:
            node.op = "Cast"
            node.attrs["to"] = element_type(node.inputs[1].dtype)
            del node.inputs[1]
            changes += 1
    return changes
