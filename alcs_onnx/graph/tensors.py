"""Looking into a model file as it is, without normalising it: which tensors it computes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx
from google.protobuf.message import EncodeError  # type: ignore[import-untyped,unused-ignore]

from alcs_onnx.errors import AlcsError, ModelError
from alcs_onnx.graph.external_data import attribute_tensors, external_bytes, load_all
from alcs_onnx.graph.parse import check_text, parse
from alcs_onnx.graph.proto import one_line

#: Bytes that protobuf takes.
_LARGEST = 2**31 - 1
_TOO_LARGE = "with its weights it is larger than 2 GB"


@dataclass(frozen=True)
class ComputedTensor:
    """Output number `position` of a node; `op` has its domain before it unless it is ONNX's."""

    name: str
    node: str
    op: str
    position: int


def self_contained(path: Path) -> bytes:
    """The file at `path` with weights that lie in other files inside; else its very bytes.

    Raises `ModelError` naming the file where it cannot be read or is larger than 2 GB.
    """
    try:
        proto = parse(path)
        check_text(proto)
        tensors = (*proto.graph.initializer, *attribute_tensors(proto.graph))
        # Before anything is read, which takes a while and as much memory.
        if external_bytes(tensors) > _LARGEST:
            raise ModelError(_TOO_LARGE)
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
    except (EncodeError, ValueError) as error:
        raise ModelError(f"{path}: {_TOO_LARGE}") from error


def computed_tensors(model: bytes) -> tuple[ComputedTensor, ...]:
    """What the nodes of the main graph compute, in their order, which is topological."""
    graph = onnx.load_model_from_string(model).graph
    return tuple(
        ComputedTensor(
            name,
            node.name,
            node.op_type if node.domain in ("", "ai.onnx") else f"{node.domain}::{node.op_type}",
            position,
        )
        for node in graph.node
        for position, name in enumerate(node.output)
        if name
    )


def with_outputs(model: bytes, names: Sequence[str]) -> bytes:
    """The model with the named tensors as its only outputs, intermediate ones included.

    Their types are left for the runtime to infer.
    """
    proto = onnx.load_model_from_string(model)
    declared = {info.name: info for info in proto.graph.output}
    outputs = [declared.get(name, onnx.ValueInfoProto(name=name)) for name in names]
    del proto.graph.output[:]
    proto.graph.output.extend(outputs)
    data: bytes = proto.SerializeToString()
    return data
