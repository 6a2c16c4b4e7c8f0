"""Shapes of a file's tensors, as far as they can be known: nothing here refuses a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from alcs_onnx.errors import AlcsError
from alcs_onnx.graph.editor import GraphEditor
from alcs_onnx.graph.functions import LIST_ATTRIBUTES, POOL_ATTRIBUTES, SPARSE_CONVS
from alcs_onnx.graph.input_shapes import Dims, static, with_sizes
from alcs_onnx.graph.macs import is_known
from alcs_onnx.graph.model import Model, Node
from alcs_onnx.graph.parse import declared_dims
from alcs_onnx.graph.passes import constant_nodes, fold_constants
from alcs_onnx.graph.proto import (
    ONNX_ERRORS,
    SMALL_TENSOR,
    numpy_dtype,
    partial_shape,
    static_shape,
    value_info,
    write_attribute,
)
from alcs_onnx.graph.shapes import same_shape_gaps
from alcs_onnx.graph.sparse_conv import weight_shape
from alcs_onnx.sparse_format import OP_DOMAIN, OP_MAX_POOL
from alcs_onnx.types import PartialShape, Shape


@dataclass(frozen=True)
class Known:
    """Of the tensors of a file: static shapes, shapes that are known in part, element types."""

    shapes: dict[str, Shape]
    partial: dict[str, PartialShape]
    dtypes: dict[str, np.dtype[Any]]


def known_shapes(
    proto: onnx.ModelProto, model: Model, dims: Mapping[str, Dims | None], sizes: Mapping[str, int]
) -> Known:
    """Shapes and element types of the tensors of `model`, which `proto` holds.

    `dims` are the dimensions of the graph inputs and `sizes` those of symbolic names. What
    inference cannot tell is taken from the file's declarations. `proto` is used up.
    """
    graph = proto.graph
    declared = _declared(graph, sizes)
    for info in graph.input:
        if info.name in dims and info.type.WhichOneof("value") == "tensor_type":
            new = value_info(info.name, _dtype(info), dims[info.name])
            info.CopyFrom(new)
    del graph.value_info[:]
    for info in graph.output:
        info.ClearField("type")  # a wrong declaration must not win
    unknown = {name for node in model.nodes if not is_known(node) for name in node.outputs if name}
    for name in sorted(unknown & declared.keys()):
        graph.value_info.append(value_info(name, *declared[name]))
    _stand_in(graph, model)
    shapes: dict[str, Shape] = {}
    while True:
        found = _inferred(proto, model)
        shapes |= found.shapes
        dtypes = found.dtypes
        folded = _fold(proto, replace(model, shapes=shapes, dtypes=dtypes))
        if folded is not None:
            model = folded
            continue
        gaps = {
            name: (dtypes.get(source), shapes[source])
            for name, source in same_shape_gaps(model, shapes).items()
        }
        gaps |= {n: d for n, d in declared.items() if n not in shapes and n not in unknown}
        if not gaps:
            partial = {n: dims for n, dims in found.partial.items() if n not in shapes}
            return Known(shapes, partial, dtypes)
        for name, (dtype, shape) in gaps.items():
            shapes[name] = shape
            if dtype is not None:
                graph.value_info.append(value_info(name, dtype, shape))


def _fold(proto: onnx.ModelProto, model: Model) -> Model | None:
    """Compute sizes that are made of constants; None where nothing that is missing needs it.

    The model that comes back has these values among its initializers, as `proto` then has.
    """
    if all(name in model.shapes for node in model.nodes for name in node.outputs if name):
        return None
    editor = GraphEditor(model)
    constant_nodes.run(editor, lambda text: None)
    if not fold_constants.run(editor, lambda text: None):
        return None
    folded = editor.snapshot()
    new = {n: a for n, a in editor.initializers.items() if n not in model.initializers}
    graph = proto.graph
    kept = [node for node in graph.node if not new.keys() >= {name for name in node.output if name}]
    del graph.node[:]
    graph.node.extend(kept)
    for name, array in new.items():
        if array.size <= SMALL_TENSOR:
            graph.initializer.append(numpy_helper.from_array(array, name))
        else:
            graph.input.append(value_info(name, array.dtype, array.shape))
    return replace(folded, initializers={**model.initializers, **new})


def _declared(
    graph: onnx.GraphProto, sizes: Mapping[str, int]
) -> dict[str, tuple[np.dtype[Any], Shape]]:
    declared = {}
    for info in (*graph.value_info, *graph.output):
        dims, dtype = declared_dims(info), _dtype(info)
        shape = static(None if dims is None else with_sizes(dims, sizes))
        if shape is not None and dtype is not None:
            declared[info.name] = (dtype, shape)
    return declared


def _dtype(info: onnx.ValueInfoProto) -> np.dtype[Any] | None:
    try:
        return numpy_dtype(info.type.tensor_type.elem_type)
    except AlcsError:
        return None


def _stand_in(graph: onnx.GraphProto, model: Model) -> None:
    """Put the standard operators of the same output shape in place of ours."""
    nodes = {node.name: node for node in model.nodes if node.domain == OP_DOMAIN}
    for proto in graph.node:
        node = nodes.get(proto.name)
        if node is None:
            continue
        if node.op_type in SPARSE_CONVS:
            weight = f"{node.name}\0weight"
            graph.input.append(value_info(weight, np.dtype(np.float32), weight_shape(node)))
            _replace(proto, node, "Conv", [node.inputs[0], weight], (*LIST_ATTRIBUTES, "group"))
        elif node.op_type == OP_MAX_POOL:
            _replace(proto, node, "MaxPool", [node.inputs[0]], POOL_ATTRIBUTES)


def _replace(
    proto: onnx.NodeProto, node: Node, op_type: str, inputs: list[str], names: tuple[str, ...]
) -> None:
    proto.CopyFrom(helper.make_node(op_type, inputs, node.outputs[:1], node.name))
    proto.attribute.extend(
        write_attribute(node, name, node.attributes[name])
        for name in names
        if name in node.attributes
    )


def _inferred(proto: onnx.ModelProto, model: Model) -> Known:
    shapes: dict[str, Shape] = {name: array.shape for name, array in model.initializers.items()}
    partial: dict[str, PartialShape] = {}
    dtypes = {name: array.dtype for name, array in model.initializers.items()}
    try:
        inferred = onnx.shape_inference.infer_shapes(proto, data_prop=True)
    except ONNX_ERRORS:
        inferred = proto
    for info in (*inferred.graph.input, *inferred.graph.value_info, *inferred.graph.output):
        dtype, shape, dims = _dtype(info), static_shape(info), partial_shape(info)
        if dtype is not None:
            dtypes[info.name] = dtype
        if shape is not None:
            shapes[info.name] = shape
        elif dims is not None:
            partial[info.name] = dims
    return Known(shapes, partial, dtypes)
