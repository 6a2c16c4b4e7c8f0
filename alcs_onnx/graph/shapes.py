"""Static shapes and element types of every tensor, through ONNX shape inference."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple, cast

import numpy as np
import onnx

from alcs_onnx.errors import ModelError, UnsupportedError
from alcs_onnx.graph.input_shapes import Dims
from alcs_onnx.graph.loop_states import carried_shapes
from alcs_onnx.graph.model import Array, Model, TensorInfo
from alcs_onnx.graph.proto import (
    ONNX_ERRORS,
    numpy_dtype,
    one_line,
    partial_shape,
    value_info,
)
from alcs_onnx.graph.size_values import Values, as_size_values, size_values
from alcs_onnx.graph.surgeon import write_model
from alcs_onnx.types import PartialShape, Shape

Declared = Mapping[str, tuple[np.dtype[Any], Shape | None]]


class Found(NamedTuple):
    """Of the tensors of a graph: static shapes, those that are known in part, element types."""

    shapes: dict[str, Shape]
    partial: dict[str, PartialShape]
    dtypes: dict[str, np.dtype[Any]]


def infer(model: Model, declared: Declared) -> Model:
    """The model with shapes, element types and outputs inferred anew from its inputs.

    At the measured sizes, and at the other ones where the file leaves sizes open. What inference
    cannot tell (behind operators of unknown domains) is taken from `declared`. Raises `ModelError`
    when the graph contradicts itself.
    """
    sets: list[Mapping[str, Shape]] = [{info.name: info.shape for info in model.inputs}]
    if model.other_inputs:
        sets.append(model.other_inputs)
    trusted = behind_unknown(model, declared)
    values: dict[str, Values] = {}
    while True:
        found = [
            Inference(model, trusted, shapes, {n: v.at[i] for n, v in values.items()}).run()
            for i, shapes in enumerate(sets)
        ]
        more = size_values(model, [at.shapes for at in found], values)
        done = len(more) == len(values) or not gaps(model, found[0].shapes)
        values = more
        if done:
            break
    return replace(
        model,
        shapes=found[0].shapes,
        dtypes=found[0].dtypes,
        other_shapes=found[1].shapes if len(found) > 1 else {},
        size_values=as_size_values(values),
        outputs=tuple(_output_info(info, found[0], declared) for info in model.outputs),
    )


def gaps(model: Model, shapes: Mapping[str, Shape]) -> bool:
    """Whether there is a tensor whose shape is not known."""
    return any(name and name not in shapes for node in model.nodes for name in node.outputs)


def behind_unknown(model: Model, declared: Declared) -> Declared:
    """Of `declared` the outputs of nodes whose operator the onnx package does not know."""
    unknown = {
        name
        for node in model.nodes
        if not onnx.defs.has(node.op_type, domain=node.domain)
        for name in node.outputs
    }
    return {name: declared[name] for name in sorted(unknown & declared.keys())}


class Inference:
    """Inference for inputs of the given shapes, which may be known in part.

    `trusted` are shapes that are taken as they are, and `values` known tensors that nodes compute.
    If `strict`, `run` raises `ModelError` when the graph contradicts itself; else nothing is said
    about the tensors in question.
    """

    def __init__(
        self,
        model: Model,
        trusted: Declared,
        input_shapes: Mapping[str, Dims | None],
        values: Mapping[str, Array],
        *,
        strict: bool = True,
    ) -> None:
        self._model, self._values, self._strict = model, values, strict
        known = {n.name for n in model.nodes if values.keys() >= {o for o in n.outputs if o}}
        computed = {o for n in model.nodes if n.name in known for o in n.outputs if o}
        proto = write_model(
            replace(
                model,
                nodes=tuple(node for node in model.nodes if node.name not in known),
                inputs=(),
                initializers={**model.initializers, **{name: values[name] for name in computed}},
            ),
            declare_large=True,
        )
        for info in model.inputs:
            dtype = info.dtype
            if dtype is not None and dtype.kind == "O" and not strict:
                dtype = None
            shape = input_shapes.get(info.name, info.shape)
            proto.graph.input.append(value_info(info.name, dtype, shape))
        del proto.graph.output[:]
        # Outputs are declared without a type, so that a wrong declaration cannot win.
        given = {i.name for i in (*proto.graph.input, *proto.graph.initializer)}
        proto.graph.output.extend(
            onnx.ValueInfoProto(name=info.name) for info in model.outputs if info.name not in given
        )
        self._proto = proto
        self._declare({name: trusted[name] for name in trusted if name not in given})

    def _declare(self, known: Declared) -> None:
        self._proto.graph.value_info.extend(
            value_info(name, dtype, shape)
            for name, (dtype, shape) in known.items()
            if shape is not None
        )

    def run(self) -> Found:
        """What can be known."""
        found = self._inferred()
        while missing := self._gaps(found):
            self._declare(missing)
            found = self._inferred()
        found.shapes.update((name, value.shape) for name, value in self._values.items())
        found.dtypes.update((name, value.dtype) for name, value in self._values.items())
        return found

    def _gaps(self, found: Found) -> Declared:
        """What inference left open and is of the same shape as a tensor that is known."""
        values = self._values
        shapes = {**found.shapes, **{name: value.shape for name, value in values.items()}}
        dtypes = {**found.dtypes, **{name: value.dtype for name, value in values.items()}}
        same = carried_shapes(self._proto, shapes, dtypes) | _same_shape_gaps(self._model, shapes)
        told = {info.name for info in self._proto.graph.value_info}
        return {name: (dtypes[x], shapes[x]) for name, x in same.items() if name not in told}

    def _inferred(self) -> Found:
        try:
            inferred = onnx.shape_inference.infer_shapes(
                self._proto, check_type=self._strict, strict_mode=self._strict, data_prop=True
            )
        except ONNX_ERRORS as error:
            if self._strict:
                raise ModelError(f"shape inference failed: {_explain(error)}") from error
            inferred = self._proto
        arrays = self._model.initializers
        found = Found(
            {name: array.shape for name, array in arrays.items()},
            {},
            {name: array.dtype for name, array in arrays.items()},
        )
        for info in (*inferred.graph.input, *inferred.graph.value_info, *inferred.graph.output):
            if info.type.HasField("tensor_type") and info.type.tensor_type.elem_type:
                self._add(info, found)
        return found

    def _add(self, info: onnx.ValueInfoProto, found: Found) -> None:
        try:
            found.dtypes[info.name] = numpy_dtype(info.type.tensor_type.elem_type)
        except UnsupportedError:
            if self._strict:
                raise
        if self._strict:
            _refuse_negative(self._model, info)
        dims = partial_shape(info)
        if dims is not None and None not in dims:
            found.shapes[info.name] = cast(Shape, dims)
        elif dims is not None:
            found.partial[info.name] = dims


#: Operators whose output is shaped as their first input, which the onnx package does not know.
_SAME_SHAPE = frozenset(
    {
        ("", "GroupNormalization"),
        *(
            ("com.microsoft", name)
            for name in (
                "BiasGelu",
                "FastGelu",
                "Gelu",
                "GroupNorm",
                "LayerNormalization",
                "QuickGelu",
                "SimplifiedLayerNormalization",
            )
        ),
    }
)


def _same_shape_gaps(model: Model, shapes: Mapping[str, Shape]) -> dict[str, str]:
    """Outputs of such operators that inference left open, with the input of known shape."""
    return {
        node.outputs[0]: node.inputs[0]
        for node in model.nodes
        if (node.domain, node.op_type) in _SAME_SHAPE
        and node.outputs[0] not in shapes
        and node.inputs[0] in shapes
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


def _output_info(info: TensorInfo, found: Found, declared: Declared) -> TensorInfo:
    dtype, shape = declared.get(info.name, (info.dtype, None))
    known = found.shapes.get(info.name)
    if known is None and info.name in found.partial:
        known = tuple(-1 if size is None else size for size in found.partial[info.name])
    if known is None:
        known = (-1,) if shape is None else shape
    return TensorInfo(info.name, found.dtypes.get(info.name, dtype), known)


def _explain(error: BaseException) -> str:
    """The line of an inference error that names the node, without file and line noise."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    for line in lines:
        if "node" in line.lower():
            return line
    return one_line(error)
