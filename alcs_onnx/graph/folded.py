"""The file of a model with its convolutions as the analysis has them.

Loading takes normalizations, affine operators and Pad into the convolutions in front of them, and
constants that a file computes into weights. A file that is written keeps all that as it is, node
for node; who looks for convolutions in the file finds plain ones in this form of it.
"""

from __future__ import annotations

from dataclasses import replace

from alcs_onnx.graph.file_graph import FileGraph
from alcs_onnx.graph.model import Model, Node
from alcs_onnx.graph.touched import same_array


def folded(model: Model) -> Model:
    """The model, whose written file has every convolution as it is here.

    Convolutions (Conv and ConvTranspose) that the file has as they are, but for attributes spelled
    in another way, stay message for message. One inside a function or a branch that is always
    taken is written out. A model that was built in memory is itself.
    """
    if model.origin is None:
        return model
    file = FileGraph(model.origin)
    changed = frozenset(
        node.name
        for node in model.nodes
        if node.is_op("Conv", "ConvTranspose") and not _in_file(file, model, node)
    )
    return replace(model, written=model.written | changed)


def _in_file(file: FileGraph, model: Model, node: Node) -> bool:
    """Whether the file computes the result of `node` by the same operator of the same tensors."""
    index = file.producers.get(node.outputs[0])
    if index is None:
        return False
    found = file.graph.node[index]
    return (
        (found.op_type, found.domain) == (node.op_type, "")
        and [name for name in found.input if name] == [name for name in node.inputs if name]
        and all(
            same_array(model.initializers[name], file.origin.arrays.get(name))
            for name in node.reads
            if name in model.initializers
        )
    )
