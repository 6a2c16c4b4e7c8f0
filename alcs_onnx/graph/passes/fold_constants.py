"""Nodes whose inputs are all constant are computed now; so are Shape and Size.

Preconditions for a node: default domain, deterministic, no subgraph, every present input an
initializer (or, for Shape and Size, of static shape). DequantizeLinear is kept, because
runtimes recognise quantized layers by it. A result much larger than its inputs is kept as a
node, so that the file does not swell; but not that of Cast, behind which quantized weights are.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod

import numpy as np
import onnx

from alcs_onnx.graph.editor import GraphEditor
from alcs_onnx.graph.model import Array, Node, Opaque
from alcs_onnx.graph.proto import one_line, opset_imports, value_info, write_node

_NEVER = frozenset(
    {
        "Bernoulli",
        "DequantizeLinear",
        "Multinomial",
        "RandomNormal",
        "RandomNormalLike",
        "RandomUniform",
        "RandomUniformLike",
    }
)
_MAX_GROWTH_BYTES = 1 << 20


def _foldable(editor: GraphEditor, node: Node) -> bool:
    if node.domain or node.op_type in _NEVER or not any(node.outputs):
        return False
    if any(isinstance(value, Opaque) for value in node.attributes.values()):
        return False
    present = [name for name in node.inputs if name]
    return bool(present) and all(name in editor.initializers for name in present)


def _too_large(editor: GraphEditor, node: Node) -> bool:
    if node.is_op("Cast"):
        return False
    size = sum(
        prod(editor.shapes[name]) * editor.dtypes[name].itemsize
        for name in node.outputs
        if name in editor.shapes and name in editor.dtypes
    )
    inputs = sum(editor.initializers[name].nbytes for name in node.inputs if name)
    return size > inputs + _MAX_GROWTH_BYTES


def _shape_value(editor: GraphEditor, node: Node) -> Array | None:
    shape = editor.shapes.get(node.input(0))
    if shape is None:
        return None
    if node.is_op("Size"):
        return np.asarray(prod(shape), dtype=np.int64)
    start = node.int_attribute("start", 0)
    end = node.int_attribute("end", len(shape))
    return np.asarray(shape[start:end], dtype=np.int64)


def _evaluate(editor: GraphEditor, node: Node) -> list[Array]:
    from onnx.reference import ReferenceEvaluator  # slow to import, and often not needed

    inputs = {name: editor.initializers[name] for name in node.inputs if name}
    outputs = [name for name in node.outputs if name]
    graph = onnx.helper.make_graph(
        [write_node(node)],
        "constant",
        [value_info(name, array.dtype, array.shape) for name, array in inputs.items()],
        [onnx.ValueInfoProto(name=name) for name in outputs],
    )
    model = onnx.helper.make_model(graph, opset_imports=opset_imports(editor.opset, {}))
    return [np.asarray(value) for value in ReferenceEvaluator(model).run(outputs, inputs)]


def run(editor: GraphEditor, note: Callable[[str], None]) -> int:
    """Fold in topological order, so that one sweep folds whole chains; returns how many."""
    changes = 0
    for node in editor.nodes:
        if node.is_op("Shape", "Size"):
            value = _shape_value(editor, node)
            values = None if value is None else [value]
        elif _foldable(editor, node) and not _too_large(editor, node):
            try:
                values = _evaluate(editor, node)
            except Exception as error:  # the evaluator raises whatever an operator raises
                note(f"node '{node.name}' ({node.op_type}) was not folded: {one_line(error)}")
                continue
        else:
            continue
        if values is None:
            continue
        names = [name for name in node.outputs if name]
        editor.remove_nodes([node.name])
        for name, array in zip(names, values, strict=True):
            editor.add_initializer(name, np.ascontiguousarray(array).reshape(array.shape))
        changes += 1
    return changes
