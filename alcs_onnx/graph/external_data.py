"""Tensors whose values lie in another file, mapped into memory: only what is used is read."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from math import prod
from pathlib import Path

import numpy as np
import onnx
from onnx import external_data_helper, numpy_helper

from alcs_onnx.errors import ModelError
from alcs_onnx.graph.model import Array
from alcs_onnx.graph.proto import ONNX_ERRORS, numpy_dtype, one_line, subgraphs


def read_tensor(tensor: onnx.TensorProto, folder: Path) -> Array:
    """The values of `tensor`, of a model file in `folder`.

    Raises `ModelError` for external data that is missing, too short or outside `folder`, and
    whatever `numpy_helper.to_array` does for a damaged tensor.
    """
    if not external_data_helper.uses_external_data(tensor):
        return numpy_helper.to_array(tensor)
    mapped = _mapped(tensor, folder)
    if mapped is not None:
        return mapped
    loaded = onnx.TensorProto()
    loaded.CopyFrom(tensor)
    load_values(loaded, folder)
    return numpy_helper.to_array(loaded)


def load_values(tensor: onnx.TensorProto, folder: Path) -> None:
    """Put the external values of `tensor` into it; `ModelError` as above."""
    place = _place(tensor)
    try:
        external_data_helper.load_external_data_for_tensor(tensor, str(folder))
    except (OSError, ValueError, *ONNX_ERRORS) as error:
        exists = (folder / place.get("location", "")).is_file()
        raise _fault(tensor, place, one_line(error) if exists else "the file is missing") from error
    tensor.data_location = onnx.TensorProto.DEFAULT
    del tensor.external_data[:]
    expected = place.get("length")
    if expected and len(tensor.raw_data) != int(expected):
        raise _fault(tensor, place, "the file is truncated")


def external_bytes(tensors: Iterable[onnx.TensorProto]) -> int:
    """What the external values of `tensors` take, as far as the file says how long they are."""
    lengths = (
        _place(tensor).get("length", "")
        for tensor in tensors
        if external_data_helper.uses_external_data(tensor)
    )
    return sum(int(length) for length in lengths if length.isdecimal())


def load_all(tensors: Iterable[onnx.TensorProto], folder: Path) -> bool:
    """Put the external values of `tensors` into them, and say whether there were any."""
    found = [tensor for tensor in tensors if external_data_helper.uses_external_data(tensor)]
    for tensor in found:
        load_values(tensor, folder)
    return bool(found)


def attribute_tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    """Every tensor in attributes, subgraphs with their initializers included."""
    for node in graph.node:
        for attribute in node.attribute:
            yield from (*attribute.tensors, *([attribute.t] if attribute.HasField("t") else []))
            for subgraph in subgraphs(attribute):
                yield from subgraph.initializer
                yield from attribute_tensors(subgraph)


def _mapped(tensor: onnx.TensorProto, folder: Path) -> Array | None:
    """The values without a copy; None where they are not laid out as numpy has them."""
    place = _place(tensor)
    dtype, shape = numpy_dtype(tensor.data_type), tuple(tensor.dims)
    offset, size = int(place.get("offset", 0)), prod(shape) * dtype.itemsize
    native = dtype.kind in "fiub" and sys.byteorder == "little"
    if not native or size <= 0 or offset < 0 or offset % dtype.itemsize:
        return None
    if int(place.get("length", size)) != size:
        return None
    path = folder / place.get("location", "")
    # The onnx package, which reads whatever is not mapped, says what is wrong with a place.
    if path.is_symlink() or not path.is_file():
        return None
    if not path.resolve().is_relative_to(folder.resolve()):
        return None
    if path.stat().st_size < offset + size:
        raise _fault(tensor, place, "the file is truncated")
    try:
        return np.asarray(np.memmap(path, dtype, "r", offset, shape))
    except OSError as error:
        raise _fault(tensor, place, error.strerror or str(error)) from error


def _place(tensor: onnx.TensorProto) -> dict[str, str]:
    return {entry.key: entry.value for entry in tensor.external_data}


def _fault(tensor: onnx.TensorProto, place: dict[str, str], reason: str) -> ModelError:
    location = place.get("location", "")
    return ModelError(f"external data '{location}' of initializer '{tensor.name}': {reason}")
