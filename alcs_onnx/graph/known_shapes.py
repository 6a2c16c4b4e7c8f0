"""Shapes of a file's tensors, as far as they can be known: nothing here refuses a model."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

import numpy as np

from alcs_onnx.graph.editor import GraphEditor
from alcs_onnx.graph.functions import LIST_ATTRIBUTES, POOL_ATTRIBUTES, SPARSE_CONVS, WORD_OPS
from alcs_onnx.graph.input_shapes import Dims
from alcs_onnx.graph.model import Model, Node, TensorInfo
from alcs_onnx.graph.passes import fold_constants
from alcs_onnx.graph.shapes import Declared, Found, Inference, behind_unknown, gaps
from alcs_onnx.graph.sparse_conv import weight_shape
from alcs_onnx.integer_format import OP_PACK, OP_WORD_POOL, WORD
from alcs_onnx.integer_format import words as words_of
from alcs_onnx.sparse_format import OP_DOMAIN, OP_MAX_POOL


def known_shapes(model: Model, dims: Mapping[str, Dims | None], declared: Declared) -> Found:
    """Shapes and element types of the tensors of `model`, whose inputs have these dimensions.

    Sizes that are made of constants are computed where that helps. What is not known then is taken
    from what the file has `declared`.
    """
    words = _words(model)
    declared = {name: shape for name, shape in declared.items() if name not in words}
    graph = GraphEditor(_standing_in(model))
    trusted = behind_unknown(model, declared)
    known = Found({}, {}, {})
    while True:
        model = graph.snapshot()
        found = Inference(model, trusted, dims, {}, strict=False).run()
        known.shapes.update(found.shapes)
        known.dtypes.update(found.dtypes)
        graph.learn(replace(model, shapes=found.shapes, dtypes=found.dtypes))
        if gaps(model, found.shapes) and fold_constants.run(graph, lambda text: None):
            continue
        missing = {name: declared[name] for name in declared.keys() - known.shapes.keys()}
        if not missing.keys() - trusted.keys():
            known.partial.update((n, d) for n, d in found.partial.items() if n not in known.shapes)
            return _with_words(known, words)
        trusted = {**trusted, **missing}


def _words(model: Model) -> frozenset[str]:
    """The tensors in which our operators have channels in words of four."""
    makers = {OP_PACK, OP_WORD_POOL, *(name for name, op in SPARSE_CONVS.items() if op.integers)}
    ours = (node for node in model.nodes if node.domain == OP_DOMAIN)
    return frozenset(node.outputs[0] for node in ours if node.op_type in makers)


def _with_words(planes: Found, names: Collection[str]) -> Found:
    """What was found with channels in planes, where `names` have them in words."""
    shapes, partial = dict(planes.shapes), dict(planes.partial)
    for name in names:
        found, dims = shapes.get(name), partial.get(name)
        if found is not None:
            shapes[name] = (found[0], words_of(found[1]), *found[2:], WORD)
        if dims is not None and isinstance(dims[1], int):
            partial[name] = (dims[0], words_of(dims[1]), *dims[2:], WORD)
        else:
            partial.pop(name, None)
    return planes._replace(shapes=shapes, partial=partial)


def _standing_in(model: Model) -> Model:
    """The model with standard operators of the same output shape in place of ours.

    Words of four channels are planes in it.
    """
    nodes, weights = [], []
    for node in model.nodes:
        if node.is_ours(*SPARSE_CONVS):
            weight = TensorInfo(f"{node.name}\0weight", np.dtype(np.float32), weight_shape(node))
            weights.append(weight)
            inputs = (node.inputs[0], weight.name)
            node = _replaced(node, "Conv", inputs, (*LIST_ATTRIBUTES, "group"))
        elif node.is_ours(OP_MAX_POOL):
            node = _replaced(node, "MaxPool", node.inputs[:1], POOL_ATTRIBUTES)
        elif node.is_ours(*WORD_OPS):
            node = _replaced(node, "Identity", node.inputs[:1], ())
        nodes.append(node)
    return replace(model, nodes=tuple(nodes), inputs=(*model.inputs, *weights))


def _replaced(node: Node, op_type: str, inputs: tuple[str, ...], names: tuple[str, ...]) -> Node:
    attributes = {name: node.attributes[name] for name in names if name in node.attributes}
    return Node(node.name, op_type, inputs, node.outputs[:1], attributes)
