"""Shapes of what a Loop carries from round to round, which ONNX shape inference does not tell.

Where a round that is given tensors of the first shapes returns tensors of the same shapes, so does
every round: the results have them too, however many rounds there are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx

from alcs_onnx.graph.proto import (
    ONNX_ERRORS,
    attribute_captures,
    partial_shape,
    value_info,
)
from alcs_onnx.types import Shape

#: Inputs of a Loop, and of its body, before the first that is carried.
_BEFORE = 2


def carried_shapes(
    model: onnx.ModelProto, shapes: Mapping[str, Shape], dtypes: Mapping[str, np.dtype[Any]]
) -> dict[str, str]:
    """Results of the Loops of `model` without a shape, with the tensor whose shape each has.

    `shapes` and `dtypes` are those of the tensors of `model` that are known.
    """
    found: dict[str, str] = {}
    for node in model.graph.node:
        if node.op_type != "Loop" or node.domain not in ("", "ai.onnx"):
            continue
        carried = node.input[_BEFORE:]
        open_ = {name for name in node.output[: len(carried)] if name and name not in shapes}
        if not open_:
            continue
        for index in _kept(model, node, shapes, dtypes):
            if node.output[index] in open_:
                found[node.output[index]] = carried[index]
    return found


def _kept(
    model: onnx.ModelProto,
    node: onnx.NodeProto,
    shapes: Mapping[str, Shape],
    dtypes: Mapping[str, np.dtype[Any]],
) -> set[int]:
    """Which tensors a round returns in the shapes it was given them; the others may have any."""
    carried = node.input[_BEFORE:]
    kept = {index for index, name in enumerate(carried) if name in shapes and name in dtypes}
    while kept:
        given = {index: (dtypes[carried[index]], shapes[carried[index]]) for index in kept}
        returned = _round(model, node, given, shapes, dtypes)
        same = {index for index in kept if returned.get(index) == shapes[carried[index]]}
        if same == kept:
            break
        kept = same
    return kept


def _round(
    model: onnx.ModelProto,
    node: onnx.NodeProto,
    given: Mapping[int, tuple[np.dtype[Any], Shape]],
    shapes: Mapping[str, Shape],
    dtypes: Mapping[str, np.dtype[Any]],
) -> dict[int, tuple[int | None, ...] | None]:
    """The shapes that one round returns, by number of the tensor that is carried."""
    (body,) = (attribute for attribute in node.attribute if attribute.name == "body")
    once = onnx.ModelProto(ir_version=model.ir_version, opset_import=model.opset_import)
    once.graph.CopyFrom(body.g)
    for index, (dtype, shape) in given.items():
        info = once.graph.input[_BEFORE + index]
        info.CopyFrom(value_info(info.name, dtype, shape))
    for index in range(len(node.input) - _BEFORE):
        if index not in given:
            once.graph.input[_BEFORE + index].type.tensor_type.ClearField("shape")
    captured = set(attribute_captures(body))
    constants = [tensor for tensor in model.graph.initializer if tensor.name in captured]
    once.graph.initializer.extend(constants)
    for name in sorted(captured - {tensor.name for tensor in constants}):
        once.graph.input.append(value_info(name, dtypes.get(name), shapes.get(name)))
    # What is declared inside may be untrue.
    names = [info.name for info in once.graph.output]
    del once.graph.value_info[:], once.graph.output[:]
    once.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    try:
        inferred = onnx.shape_inference.infer_shapes(once, data_prop=True)
    except ONNX_ERRORS:
        return {}
    known = (*inferred.graph.input, *inferred.graph.value_info, *inferred.graph.output)
    found = {info.name: partial_shape(info) for info in known}
    return {index: found.get(name) for index, name in enumerate(names[1:])}
