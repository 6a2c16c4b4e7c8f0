"""Reading an ONNX file: bytes to values, every fault of the file named in one line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped,unused-ignore]
from onnx import inliner, numpy_helper

from alcs_onnx.errors import ModelError, UnsupportedError
from alcs_onnx.graph.external_data import attribute_tensors, load_all, read_tensor
from alcs_onnx.graph.input_shapes import Dims
from alcs_onnx.graph.model import Array, Model, TensorInfo
from alcs_onnx.graph.proto import (
    MIN_IR_VERSION,
    ONNX_ERRORS,
    SMALL_TENSOR,
    name_nodes,
    numpy_dtype,
    one_line,
    read_initializers,
    static_shape,
    value_info,
)
from alcs_onnx.graph.surgeon import read_nodes
from alcs_onnx.graph.upgrade import default_opset, upgrade
from alcs_onnx.sparse_format import OP_DOMAIN
from alcs_onnx.types import Shape


@dataclass(frozen=True, eq=False)
class RawModel:
    """A model as read: opset and names settled, shapes not yet.

    `input_dims` has the declared dimensions of each input, None for an unknown rank.
    `declared` has what the file says of intermediate tensors and outputs. `proto` is the file's
    own message without initializers, whose values are in `arrays`; `freed` were declared as inputs
    as well, and are no longer.
    """

    proto: onnx.ModelProto
    arrays: Mapping[str, Array]
    freed: tuple[str, ...]
    model: Model
    input_dims: Mapping[str, Dims | None]
    declared: Mapping[str, tuple[np.dtype[Any], Shape | None]]


def read_arrays(proto: onnx.ModelProto, folder: Path) -> dict[str, Array]:
    """All initializers; values in other files are mapped, or loaded where attributes have them."""
    load_all(attribute_tensors(proto.graph), folder)
    return read_initializers(proto.graph, lambda tensor: read_tensor(tensor, folder))


def read_model(path: Path) -> RawModel:
    """Read the file at `path`; `ModelError` or `UnsupportedError` for anything wrong with it."""
    proto = parse(path)
    try:
        check_text(proto)
        _check_opsets(proto)
        check_split(proto)
        arrays = read_arrays(proto, path.parent)
        freed = tuple(info.name for info in proto.graph.input if info.name in arrays)
        particular = particular_initializers(proto.graph)
        declare_large(proto, arrays)
        proto = upgrade(proto)
        arrays.update(read_initializers(proto.graph))
        original = onnx.ModelProto()
        original.CopyFrom(proto)
        drop_initializers(original, arrays)
        original.graph.MergeFrom(particular)
        name_nodes(proto.graph)
        proto = inline_functions(proto)
        _check_operators(proto)
        return _raw_model(proto, arrays, original, freed)
    except (TypeError, ValueError) as error:
        # Damage inside a well-formed message: names that are no text, impossible sizes.
        raise ModelError(f"the ONNX file is damaged: {one_line(error)}") from error


def particular_initializers(graph: onnx.GraphProto) -> onnx.GraphProto:
    """What arrays cannot say of initializers: documentation, and that one is sparse."""
    documented = [
        onnx.TensorProto(name=t.name, doc_string=t.doc_string, metadata_props=t.metadata_props)
        for t in graph.initializer
        if t.doc_string or t.metadata_props
    ]
    return onnx.GraphProto(initializer=documented, sparse_initializer=graph.sparse_initializer)


def drop_initializers(proto: onnx.ModelProto, arrays: Mapping[str, Array]) -> None:
    """Leave the values of initializers to `arrays`; inputs that are one are inputs no longer."""
    inputs = [info for info in proto.graph.input if info.name not in arrays]
    del proto.graph.input[:], proto.graph.initializer[:], proto.graph.sparse_initializer[:]
    proto.graph.input.extend(inputs)


def check_split(proto: onnx.ModelProto) -> None:
    """Refuse nodes of many outputs, such as Split, that leave one without a name.

    The standard lets only optional outputs have none; ONNX Runtime loads such a file, and its
    process ends when it runs.
    """
    version = opset_of(proto)
    for index, node in enumerate(proto.graph.node):
        if "" not in node.output or node.domain not in ("", "ai.onnx"):
            continue
        if onnx.defs.has(node.op_type, version) and _is_variadic(node.op_type, version):
            position = list(node.output).index("")
            raise ModelError(
                f"node '{node.name or index}' ({node.op_type}) leaves output {position} without a "
                "name, on which ONNX Runtime crashes: name it, even if nothing reads it"
            )


def _is_variadic(op_type: str, version: int) -> bool:
    outputs = onnx.defs.get_schema(op_type, version).outputs
    variadic = onnx.defs.OpSchema.FormalParameterOption.Variadic
    return any(output.option == variadic for output in outputs)


def parse(path: Path) -> onnx.ModelProto:
    """The message in the file at `path`; `ModelError` where there is none."""
    if path.is_dir():
        raise ModelError("it is a directory, not an ONNX file")
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise ModelError("the file does not exist") from error
    except OSError as error:
        raise ModelError(f"the file cannot be read: {error.strerror}") from error
    if not data:
        raise ModelError("the file is empty")
    proto = onnx.ModelProto()
    try:
        proto.ParseFromString(data)
    except DecodeError as error:
        # Every ONNX writer puts ir_version (field 1, a small number) first.
        looks_right = len(data) > 2 and data[0] == 0x08 and data[1] < 0x20
        reason = "the ONNX file is truncated or damaged" if looks_right else "not an ONNX file"
        raise ModelError(reason) from error
    if not proto.ir_version or not proto.HasField("graph"):
        raise ModelError("not an ONNX file: it holds no graph")
    return proto


def check_text(proto: onnx.ModelProto) -> None:
    """Refuse names that are not UTF-8; protobuf hands them out as bytes."""
    graph = proto.graph
    names: list[object] = [graph.name, *(o.domain for o in proto.opset_import)]
    names += [text for entry in proto.metadata_props for text in (entry.key, entry.value)]
    for node in graph.node:
        names += [node.name, node.op_type, node.domain, *node.input, *node.output]
        names += [attribute.name for attribute in node.attribute]
    for info in (*graph.input, *graph.output, *graph.value_info):
        names += [info.name, *(d.dim_param for d in info.type.tensor_type.shape.dim)]
    names += [tensor.name for tensor in graph.initializer]
    for name in names:
        if not isinstance(name, str):
            raise ValueError(f"{name!r} is not a name")


def _check_opsets(proto: onnx.ModelProto) -> None:
    newest = onnx.defs.onnx_opset_version()
    version = opset_of(proto)
    if version < 1:
        raise ModelError("the file does not say which opset it uses")
    if version > newest:
        raise UnsupportedError(
            f"opset {version} is newer than the installed onnx package knows ({newest})"
        )


def opset_of(proto: onnx.ModelProto) -> int:
    """Version of the default domain, 0 where the file does not say."""
    return default_opset(proto.opset_import)


def declare_large(proto: onnx.ModelProto, arrays: Mapping[str, Array]) -> None:
    """Turn large initializers into plain inputs: nothing below has to copy weights."""
    inputs = {info.name for info in proto.graph.input}
    small = [
        numpy_helper.from_array(arrays[t.name], t.name) if t.external_data else t
        for t in proto.graph.initializer
        if arrays[t.name].size <= SMALL_TENSOR
    ]
    # Sparse initializers have become dense arrays; they are declared like large ones.
    declared = arrays.keys() - {t.name for t in small} - inputs
    del proto.graph.initializer[:]
    del proto.graph.sparse_initializer[:]
    proto.graph.initializer.extend(small)
    proto.graph.input.extend(
        value_info(name, arrays[name].dtype, arrays[name].shape) for name in sorted(declared)
    )


def inline_functions(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Inline the file's own functions, but not ours: our nodes are read as they are."""
    ours = [(f.domain, f.name) for f in proto.functions if f.domain == OP_DOMAIN]
    if len(ours) < len(proto.functions):
        try:
            proto = inliner.inline_selected_functions(proto, ours, exclude=True)
        except ONNX_ERRORS as error:
            raise ModelError(f"a local function is invalid: {one_line(error)}") from error
    del proto.functions[:]
    return proto


def _check_operators(proto: onnx.ModelProto) -> None:
    version = opset_of(proto)
    known = {o.domain for o in proto.opset_import} | {"", "ai.onnx"}
    for index, node in enumerate(proto.graph.node):
        label = f"node '{node.name or index}' ({node.op_type or 'no operator'})"
        if node.domain not in known:
            raise ModelError(f"{label} uses domain '{node.domain}', which the file does not import")
        if node.domain in ("", "ai.onnx") and not onnx.defs.has(node.op_type, version):
            raise ModelError(f"{label} is no operator of ONNX opset {version}")


def _raw_model(
    proto: onnx.ModelProto,
    arrays: dict[str, Array],
    original: onnx.ModelProto,
    freed: tuple[str, ...],
) -> RawModel:
    graph = proto.graph
    name_nodes(graph)  # inlined and upgraded nodes may have no names
    inputs = [info for info in graph.input if info.name not in arrays]
    for info in inputs:
        kind = info.type.WhichOneof("value")
        if kind not in (None, "tensor_type"):
            raise UnsupportedError(
                f"input '{info.name}' is a {kind.removesuffix('_type')}, not a tensor"
            )
    dims = {info.name: declared_dims(info) for info in inputs}
    names = [info.name for info in inputs]
    if len(set(names)) != len(names):
        raise ModelError("two graph inputs have the same name")
    declared = {
        info.name: (numpy_dtype(info.type.tensor_type.elem_type), static_shape(info))
        for info in (*graph.value_info, *graph.output)
        if info.type.HasField("tensor_type") and info.type.tensor_type.elem_type
    }
    model = Model(
        nodes=read_nodes(graph.node),
        inputs=tuple(
            TensorInfo(info.name, numpy_dtype(info.type.tensor_type.elem_type), ())
            for info in inputs
        ),
        outputs=tuple(
            TensorInfo(info.name, _output_dtype(info, declared.get(info.name)), (-1,))
            for info in graph.output
        ),
        opset=opset_of(proto),
        initializers=arrays,
        shapes={},
        dtypes={},
        other_opsets={
            o.domain: o.version for o in proto.opset_import if o.domain not in ("", "ai.onnx")
        },
        ir_version=max(proto.ir_version, MIN_IR_VERSION),
        name=graph.name or "model",
    )
    return RawModel(original, arrays, freed, model, dims, declared)


def _output_dtype(
    info: onnx.ValueInfoProto, declared: tuple[np.dtype[Any], Shape | None] | None
) -> np.dtype[Any] | None:
    if info.type.WhichOneof("value") not in (None, "tensor_type"):
        return None
    return np.dtype(np.float32) if declared is None else declared[0]


def declared_dims(info: onnx.ValueInfoProto) -> Dims | None:
    """The dimensions that the file declares for a tensor, None for an unknown rank."""
    tensor = info.type.tensor_type
    if not tensor.HasField("shape"):
        return None
    return tuple(
        d.dim_value if d.HasField("dim_value") and d.dim_value > 0 else d.dim_param or None
        for d in tensor.shape.dim
    )
