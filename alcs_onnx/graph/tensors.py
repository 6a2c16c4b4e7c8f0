"""Looking into a model file as it is, without normalising it: which tensors it computes."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

import onnx
from google.protobuf.message import EncodeError  # type: ignore[import-untyped,unused-ignore]

from alcs_onnx.errors import AlcsError, ModelError
from alcs_onnx.graph.external_data import attribute_tensors, external_bytes, load_all
from alcs_onnx.graph.parse import check_split, check_text, parse
from alcs_onnx.graph.proto import one_line
from alcs_onnx.graph.surgeon import export_model, import_model
from alcs_onnx.serialized import Serialized, StoredModel

#: Bytes that protobuf takes.
LARGEST = 2**31 - 1
_TOO_LARGE = "with its weights it is larger than 2 GB"


@dataclass(frozen=True)
class ComputedTensor:
    """Output number `position` of a node; `op` has its domain before it unless it is ONNX's."""

    name: str
    node: str
    op: str
    position: int


def self_contained(path: Path) -> Serialized:
    """The file at `path` with weights that lie in other files inside; else its very bytes.

    Where that is more than a message can be, the file as it is. Raises `ModelError` naming the
    file where it cannot be read.
    """
    try:
        proto = parse(path)
        check_text(proto)
        check_split(proto)
        tensors = (*proto.graph.initializer, *attribute_tensors(proto.graph))
        # Before anything is read, which takes a while and as much memory.
        if external_bytes(tensors) > LARGEST:
            return StoredModel(path)
        external = load_all(tensors, path.parent)
    except AlcsError as error:
        raise type(error)(" ".join(f"{path}: {error}".split())) from error
    except (TypeError, ValueError) as error:
        raise ModelError(f"{path}: the ONNX file is damaged: {one_line(error)}") from error
    if not external:
        return path.read_bytes()
    try:
        data: bytes = proto.SerializeToString()
        return data
    except (EncodeError, ValueError):
        return StoredModel(path)


def computed_tensors(model: Serialized) -> tuple[ComputedTensor, ...]:
    """What the nodes of the main graph compute, in their order, which is topological."""
    return tuple(
        ComputedTensor(
            tensor.name,
            node.name,
            f"{node.domain}::{node.op}" if node.domain else node.op,
            position,
        )
        for node in import_model(_message(model)).nodes
        for position, tensor in enumerate(node.outputs)
        if tensor.name
    )


@overload
def with_outputs(model: bytes, names: Sequence[str]) -> bytes: ...


@overload
def with_outputs(model: Serialized, names: Sequence[str]) -> Serialized: ...


def with_outputs(model: Serialized, names: Sequence[str]) -> Serialized:
    """The model with the named tensors as its only outputs, intermediate ones included.

    Their types are left for the runtime to infer. Raises `ModelError` for a file beyond 2 GB that
    is not a temporary one: a copy would have to lie beside its weights.
    """
    graph = import_model(_message(model))
    tensors = graph.tensors()
    graph.outputs = [tensors[name] for name in names]
    data: bytes = export_model(graph).SerializeToString()
    if isinstance(model, bytes):
        return data
    if model.folder is None:
        raise ModelError(f"{model.path}: {_TOO_LARGE}")
    path = model.path.with_name(f"{secrets.token_hex(8)}.onnx")
    path.write_bytes(data)
    return StoredModel(path, model.folder)


def _message(model: Serialized) -> onnx.ModelProto:
    """The message; weights in other files stay there."""
    if isinstance(model, bytes):
        return onnx.load_model_from_string(model)
    return onnx.load_model(model.path, load_external_data=False)
