"""Where a graph repeats the batch that the file fixes, it is written for any batch.

1. A constant target of a Reshape of samples, [1, 1280] say: the first size becomes -1, which is
   what is left. The other sizes are those of the result, which no batch changes.
2. Constant sizes of a Resize: the first becomes that of the tensor that is resized.
3. A constant that is joined to samples by Concat: its one row is repeated for all of them.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from alcs_onnx.graph.editor import GraphEditor
from alcs_onnx.graph.model import Model
from alcs_onnx.graph.surgeon import Node, Tensor


def write_for_any_batch(model: Model, batched: Collection[str]) -> Model:
    """The same values for the file's own batch; `batched` are the tensors with rows of samples.

    Shapes of new tensors are left to inference.
    """
    editor = GraphEditor(model)
    for node in list(editor.nodes):
        if node.is_op("Reshape") and node.inputs[0].name in batched:
            _reshape(editor, node)
        elif node.is_op("Resize") and node.inputs[0].name in batched:
            _resize(editor, node)
        elif node.is_op("Concat"):
            _concat(editor, node, batched)
    return editor.snapshot()


def _reshape(editor: GraphEditor, node: Node) -> None:
    target, result = node.constant(1), node.outputs[0].shape
    if target is None or not result or 0 in result:
        return
    open_first = target[0] == -1 or (target[0] == 0 and not node.int_attribute("allowzero", 0))
    if open_first:
        return
    sizes = np.array([-1, *result[1:]], np.int64)
    node.inputs[1] = editor.add_constant(f"{node.name}.shape", sizes)
    node.attrs.pop("allowzero", None)


def _resize(editor: GraphEditor, node: Node) -> None:
    sizes = node.constant(3)
    if sizes is None or "axes" in node.attrs:
        return
    rest = editor.add_constant(f"{node.name}.sizes", sizes[1:].astype(np.int64))
    node.inputs[3] = _with_rows_of(editor, node, node.inputs[0], rest)


def _concat(editor: GraphEditor, node: Node, batched: Collection[str]) -> None:
    samples = next((tensor for tensor in node.inputs if tensor.name in batched), None)
    rank = len(samples.shape or ()) if samples else 0
    if samples is None or not rank or node.int_attribute("axis", 0) % rank == 0:
        return
    for index, tensor in enumerate(node.inputs):
        shape = tensor.shape or ()
        if tensor.name in batched or tensor.name in editor.size_values or shape[:1] != (1,):
            continue
        rest = editor.add_constant(f"{node.name}.rest", np.array(shape[1:], np.int64))
        repeated = editor.add_tensor(f"{tensor.name}.repeated", tensor.dtype)
        target = _with_rows_of(editor, node, samples, rest)
        name = editor.unique_node_name(f"{node.name}.repeat")
        editor.add_node(name, "Expand", [tensor, target], [repeated])
        node.inputs[index] = repeated


def _with_rows_of(editor: GraphEditor, node: Node, samples: Tensor, rest: Tensor) -> Tensor:
    """A tensor of sizes: the first of `samples`, then `rest`."""
    begin = editor.add_constant(f"{node.name}.begin", np.array([0], np.int64))
    end = editor.add_constant(f"{node.name}.end", np.array([1], np.int64))
    made = samples
    for op_type, others, attributes in (
        ("Shape", (), {}),
        ("Slice", (begin, end), {}),
        ("Concat", (rest,), {"axis": 0}),
    ):
        name = editor.unique_node_name(f"{node.name}.{op_type.lower()}")
        output = editor.add_tensor(name, np.dtype(np.int64))
        editor.add_node(name, op_type, [made, *others], [output], attributes)
        made = output
    return made
