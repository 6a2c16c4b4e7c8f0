"""Reading a model file to look at it: its own nodes, and of their shapes what can be known.

`load_model` makes a model that can be changed and refuses what it cannot handle. Here every
valid file is read, whatever operators it has.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from alcs_onnx.errors import AlcsError, ModelError
from alcs_onnx.graph.editor import GraphEditor
from alcs_onnx.graph.input_shapes import known_dims, numbers, static, with_sizes
from alcs_onnx.graph.known_shapes import known_shapes
from alcs_onnx.graph.model import Model, TensorInfo
from alcs_onnx.graph.parse import (
    check_text,
    declare_large,
    declared_dims,
    inline_functions,
    opset_of,
    parse,
    read_arrays,
)
from alcs_onnx.graph.passes import constant_nodes
from alcs_onnx.graph.proto import name_nodes, numpy_dtype, one_line
from alcs_onnx.graph.shapes import Declared
from alcs_onnx.graph.surgeon import read_nodes
from alcs_onnx.types import PartialShape, Shape


@dataclass(frozen=True)
class FileTensor:
    """An input or output as the file declares it.

    `shape` has None for sizes that are not known, and is None where not even the rank is.
    """

    name: str
    dtype: str
    shape: PartialShape | None


@dataclass(frozen=True, eq=False)
class ModelFile:
    """A model file as it is.

    `model` has the file's nodes in topological order under unique names; the file's own
    functions are inlined, and what Constant nodes hold is among the initializers. `shapes` and
    `dtypes` of it have what is known; `partial` has the shapes of which only some sizes are, None
    for the others. `file_bytes` counts external data, too.
    """

    model: Model
    inputs: tuple[FileTensor, ...]
    outputs: tuple[FileTensor, ...]
    producer: str
    file_bytes: int
    notes: tuple[str, ...]
    partial: Mapping[str, PartialShape]

    def shape(self, tensor: str) -> PartialShape | None:
        """What is known of the shape of `tensor`; None where not even the rank is."""
        return self.model.shapes.get(tensor, self.partial.get(tensor))


def read_file(path: str | Path, input_shapes: Mapping[str, Shape] | None = None) -> ModelFile:
    """Read the ONNX file at `path` without changing what is in it.

    `input_shapes` as for `load_model`; a dynamic batch is taken as 1, other dynamic sizes stay
    unknown. Raises `ModelError` for a file that is missing, not ONNX, damaged or no graph.
    """
    given = {name: tuple(shape) for name, shape in (input_shapes or {}).items()}
    try:
        return _read(Path(path), given)
    except AlcsError as error:
        # Names from the file may hold anything, line breaks included.
        raise type(error)(" ".join(f"{path}: {error}".split())) from error
    except (TypeError, ValueError) as error:
        raise ModelError(f"{path}: the ONNX file is damaged: {one_line(error)}") from error


def _read(path: Path, given: Mapping[str, Shape]) -> ModelFile:
    proto = parse(path)
    check_text(proto)
    file_bytes = path.stat().st_size + _external_bytes(proto, path.parent)
    producer = f"{proto.producer_name} {proto.producer_version}".strip()
    versions = {o.domain: o.version for o in proto.opset_import if o.domain not in ("", "ai.onnx")}
    arrays = read_arrays(proto, path.parent)
    inputs = [info for info in proto.graph.input if info.name not in arrays]
    outputs = [
        (info.name, _type_name(info), _dtype(info), declared_dims(info))
        for info in proto.graph.output
    ]
    if len({info.name for info in inputs}) != len(inputs):
        raise ModelError("two graph inputs have the same name")
    found, sizes = known_dims({info.name: declared_dims(info) for info in inputs}, given)
    declare_large(proto, arrays)
    name_nodes(proto.graph)
    inlined = inline_functions(proto)
    name_nodes(inlined.graph)
    notes = _notes(proto)
    model = Model(
        nodes=read_nodes(inlined.graph.node),
        inputs=tuple(TensorInfo(x.name, _dtype(x), static(found[x.name]) or (-1,)) for x in inputs),
        outputs=tuple(TensorInfo(name, dtype, (-1,)) for name, _, dtype, _ in outputs),
        opset=opset_of(proto),
        initializers=arrays,
        shapes={},
        dtypes={},
        other_opsets=versions,
        ir_version=proto.ir_version,
        name=proto.graph.name or "model",
    )
    editor = GraphEditor(model)
    constants = constant_nodes.run(editor, notes.append)
    model = editor.snapshot()
    known = known_shapes(model, found, _declared(inlined.graph, sizes))
    if constants:
        notes.append(f"{constants} Constant nodes count as initializers")
    return ModelFile(
        replace(model, shapes=known.shapes, dtypes=known.dtypes),
        tuple(FileTensor(x.name, _type_name(x), numbers(found[x.name])) for x in inputs),
        tuple(
            FileTensor(
                name,
                kind,
                known.shapes.get(name)
                or known.partial.get(name)
                or numbers(dims and with_sizes(dims, sizes)),
            )
            for name, kind, _, dims in outputs
        ),
        producer,
        file_bytes,
        tuple(notes),
        known.partial,
    )


def _declared(graph: onnx.GraphProto, sizes: Mapping[str, int]) -> Declared:
    """The static shapes that the file states."""
    declared = {}
    for info in (*graph.value_info, *graph.output):
        dims = declared_dims(info)
        shape = static(None if dims is None else with_sizes(dims, sizes))
        if shape is not None and _dtype(info).kind != "O":
            declared[info.name] = (_dtype(info), shape)
    return declared


def _notes(proto: onnx.ModelProto) -> list[str]:
    notes = []
    newest = onnx.defs.onnx_opset_version()
    if opset_of(proto) > newest:
        notes.append(
            f"opset {opset_of(proto)} is newer than the installed onnx package knows ({newest}): "
            "shapes may be missing"
        )
    return notes


def _external_bytes(proto: onnx.ModelProto, folder: Path) -> int:
    places = {
        entry.value
        for tensor in proto.graph.initializer
        for entry in tensor.external_data
        if entry.key == "location"
    }
    files = [folder / place for place in places]
    return sum(file.stat().st_size for file in files if file.is_file())


def _dtype(info: onnx.ValueInfoProto) -> np.dtype[Any]:
    """The element type, object for what is no tensor or has no numpy type."""
    try:
        return numpy_dtype(info.type.tensor_type.elem_type)
    except AlcsError:
        return np.dtype(object)


def _type_name(info: onnx.ValueInfoProto) -> str:
    kind = info.type.WhichOneof("value")
    if kind != "tensor_type":
        return "unknown" if kind is None else kind.removesuffix("_type")
    element = info.type.tensor_type.elem_type
    dtype = _dtype(info)
    if dtype.kind != "O":
        return str(dtype.name)
    return str(onnx.TensorProto.DataType.Name(element)).lower()
