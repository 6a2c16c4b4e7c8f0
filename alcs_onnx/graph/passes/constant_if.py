"""An If whose condition is constant is replaced by the nodes of the branch that is taken.

Precondition: the condition is an initializer; the branch is in the ordinary form, nodes and
initializers. Names of its tensors and nodes are made unique in the graph; its outputs take the
names of the outputs of the If.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import onnx

from alcs_onnx.graph.editor import GraphEditor
from alcs_onnx.graph.model import Opaque
from alcs_onnx.graph.proto import name_nodes, read_initializers, renamed, subgraphs
from alcs_onnx.graph.surgeon import Node, read_nodes


def run(editor: GraphEditor, note: Callable[[str], None]) -> int:
    """Replace such nodes; returns how many."""
    changes = 0
    for node in list(editor.nodes):
        condition = node.constant(0) if node.is_op("If") else None
        if condition is None:
            continue
        taken = "then_branch" if bool(np.all(condition)) else "else_branch"
        branch = node.attrs.get(taken)
        if isinstance(branch, Opaque):
            attribute = onnx.AttributeProto.FromString(branch.data)
            _inline(editor, node, subgraphs(attribute)[0])
            changes += 1
    return changes


def _inline(editor: GraphEditor, node: Node, branch: onnx.GraphProto) -> None:
    name_nodes(branch)
    arrays = read_initializers(branch)
    results = list(node.outputs)
    editor.remove(node)
    names = {name: editor.add_constant(name, array).name for name, array in arrays.items()}
    computed = {name for inner in branch.node for name in inner.output if name}
    outputs = [info.name for info in branch.output]
    for name, outer in zip(outputs, results, strict=True):
        if name in computed and name not in names and outer.name:
            names[name] = outer.name
    for name in sorted(computed - names.keys()):
        names[name] = editor.add_tensor(name).name
    for inner in read_nodes(renamed(inner, names) for inner in branch.node):
        name = editor.unique_node_name(f"{node.name}/{inner.name}")
        editor.insert_node(replace(inner, name=name))
    for index, (name, outer) in enumerate(zip(outputs, results, strict=True)):
        if outer.name and names.get(name, name) != outer.name:
            unique = editor.unique_node_name(f"{node.name}/output_{index}")
            value = editor.tensor(names.get(name, name))
            editor.add_node(unique, "Identity", [value], [outer])
