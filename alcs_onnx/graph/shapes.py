"""Static shapes and element types of every tensor, through ONNX shape inference."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import onnx

from alcs_onnx.errors import ModelError
from alcs_onnx.graph.model import Model, TensorInfo
from alcs_onnx.graph.proto import (
    ONNX_ERRORS,
    numpy_dtype,
    one_line,
    static_shape,
    value_info,
    write_proto,
)
from alcs_onnx.types import Shape

Declared = Mapping[str, tuple[np.dtype[Any], Shape | None]]


def infer(model: Model, declared: Declared) -> Model:
    """The model with `shapes`, `dtypes` and outputs inferred anew from its inputs.

    What inference cannot tell (behind operators of unknown domains) is taken from
    `declared`. Raises `ModelError` when the graph contradicts itself.
    """
    proto = write_proto(model, declare_large=True)
    del proto.graph.output[:]
    # Outputs are declared without a type, so that a wrong declaration cannot win.
    proto.graph.output.extend(onnx.ValueInfoProto(name=info.name) for info in model.outputs)
    known = {i.name for i in (*proto.graph.input, *proto.graph.initializer)}
    trusted = _behind_unknown(model) & declared.keys()
    for name in sorted(trusted - known):
        dtype, shape = declared[name]
        if shape is not None:
            proto.graph.value_info.append(value_info(name, dtype, shape))
    inferred, shapes, dtypes = _inferred(model, proto)
    while gaps := same_shape_gaps(model, shapes):
        for name, source in gaps.items():
            proto.graph.value_info.append(value_info(name, dtypes[source], shapes[source]))
        inferred, shapes, dtypes = _inferred(model, proto)
    ranks = {
        info.name: _partial_shape(info)
        for info in inferred.graph.output
        if info.type.HasField("tensor_type")
    }
    outputs = tuple(
        _output_info(info, shapes, dtypes, ranks.get(info.name), declared) for info in model.outputs
    )
    return replace(model, shapes=shapes, dtypes=dtypes, outputs=outputs)


def _inferred(
    model: Model, proto: onnx.ModelProto
) -> tuple[onnx.ModelProto, dict[str, Shape], dict[str, np.dtype[Any]]]:
    """What inference says about `proto`, and the static shapes and element types in it."""
    try:
        inferred = onnx.shape_inference.infer_shapes(
            proto, check_type=True, strict_mode=True, data_prop=True
        )
    except ONNX_ERRORS as error:
        raise ModelError(f"shape inference failed: {_explain(error)}") from error
    shapes: dict[str, Shape] = {name: array.shape for name, array in model.initializers.items()}
    dtypes = {name: array.dtype for name, array in model.initializers.items()}
    for info in (*inferred.graph.input, *inferred.graph.value_info, *inferred.graph.output):
        if info.type.HasField("tensor_type") and info.type.tensor_type.elem_type:
            dtypes[info.name] = numpy_dtype(info.type.tensor_type.elem_type)
            _refuse_negative(model, info)
            shape = static_shape(info)
            if shape is not None:
                shapes[info.name] = shape
    return inferred, shapes, dtypes


#: Operators whose output is shaped as their first input, which the onnx package does not know.
_SAME_SHAPE = ("GroupNormalization",)


def same_shape_gaps(model: Model, shapes: Mapping[str, Shape]) -> dict[str, str]:
    """Outputs of such operators that inference left open, with the input of known shape."""
    return {
        node.outputs[0]: node.inputs[0]
        for node in model.nodes
        if node.is_op(*_SAME_SHAPE) and node.outputs[0] not in shapes and node.inputs[0] in shapes
    }


def _refuse_negative(model: Model, info: onnx.ValueInfoProto) -> None:
    """Inference happily computes sizes below zero where an input is too small."""
    dims = [d.dim_value for d in info.type.tensor_type.shape.dim]
    if min(dims, default=0) < 0:
        node = model.producer(info.name)
        where = f"node '{node.name}' ({node.op_type})" if node else f"tensor '{info.name}'"
        raise ModelError(
            f"shape inference failed: {where} would give {dims}; is the input too small?"
        )


def _behind_unknown(model: Model) -> set[str]:
    """Outputs of nodes whose operator the onnx package does not know."""
    return {
        name
        for node in model.nodes
        if node.domain != "" and not onnx.defs.has(node.op_type, domain=node.domain)
        for name in node.outputs
        if name
    }


def _partial_shape(info: onnx.ValueInfoProto) -> Shape | None:
    tensor = info.type.tensor_type
    if not tensor.HasField("shape"):
        return None
    return tuple(d.dim_value if d.HasField("dim_value") else -1 for d in tensor.shape.dim)


def _output_info(
    info: TensorInfo,
    shapes: Mapping[str, Shape],
    dtypes: Mapping[str, np.dtype[Any]],
    partial: Shape | None,
    declared: Declared,
) -> TensorInfo:
    dtype, shape = declared.get(info.name, (info.dtype, None))
    found = shapes.get(info.name, partial)
    if found is None:
        found = shape if shape is not None else (-1,)
    return TensorInfo(info.name, dtypes.get(info.name, dtype), found)


def _explain(error: BaseException) -> str:
    """The line of an inference error that names the node, without file and line noise."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    for line in lines:
        if "node" in line.lower():
            return line
    return one_line(error)
