"""The loaded model as immutable values: nodes, tensors, initializers and static shapes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from alcs_onnx.errors import ModelError
from alcs_onnx.types import Shape

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Opaque:
    """An attribute kept as it was read: a subgraph, a type, a sparse tensor.

    `data` is the serialized attribute; `captures` are the tensors of the enclosing graph
    that a subgraph reads.
    """

    data: bytes
    captures: tuple[str, ...] = ()


AttributeValue = (
    int | float | str | tuple[int, ...] | tuple[float, ...] | tuple[str, ...] | Array | Opaque
)


@dataclass(frozen=True, eq=False)
class Node:
    """One operator call. Absent optional inputs and outputs are empty strings."""

    name: str
    op_type: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, AttributeValue] = field(default_factory=dict)
    domain: str = ""

    @property
    def reads(self) -> tuple[str, ...]:
        """Every tensor the node depends on: its present inputs and what subgraphs capture."""
        captured = (
            name
            for value in self.attributes.values()
            if isinstance(value, Opaque)
            for name in value.captures
        )
        return (*(name for name in self.inputs if name), *captured)

    def input(self, index: int) -> str:
        """Name of input `index`, empty when it is absent."""
        return self.inputs[index] if index < len(self.inputs) else ""

    def is_op(self, *op_types: str) -> bool:
        """Whether this is one of the given operators of the default ONNX domain."""
        return self.domain == "" and self.op_type in op_types

    def int_attribute(self, name: str, default: int) -> int:
        """Integer attribute, or `default` when absent."""
        value = self.attributes.get(name, default)
        return int(value) if isinstance(value, (int, float)) else default

    def float_attribute(self, name: str, default: float) -> float:
        """Float attribute, or `default` when absent."""
        value = self.attributes.get(name, default)
        return float(value) if isinstance(value, (int, float)) else default

    def str_attribute(self, name: str, default: str) -> str:
        """String attribute, or `default` when absent."""
        value = self.attributes.get(name, default)
        return value if isinstance(value, str) else default

    def ints_attribute(self, name: str, default: Shape = ()) -> Shape:
        """Integer list attribute, or `default` when absent."""
        value = self.attributes.get(name, default)
        return tuple(int(v) for v in value) if isinstance(value, tuple) else default


@dataclass(frozen=True)
class TensorInfo:
    """A graph input or output. Dimensions that are not static are -1 (outputs only).

    An output of unknown rank has shape (-1,) and no entry in `Model.shapes`.
    """

    name: str
    dtype: np.dtype[Any]
    shape: Shape


@dataclass(frozen=True, eq=False)
class Model:
    """A normalised model; every change makes a new one, sharing the arrays.

    Nodes are in topological order and have unique names. `shapes` and `dtypes` hold every
    tensor that could be inferred, initializers included; all shapes are static.
    """

    nodes: tuple[Node, ...]
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    opset: int
    initializers: Mapping[str, Array]
    shapes: Mapping[str, Shape]
    dtypes: Mapping[str, np.dtype[Any]]
    #: Opset versions of domains other than the default one.
    other_opsets: Mapping[str, int] = field(default_factory=dict)
    ir_version: int = 8
    name: str = "model"
    metadata: Mapping[str, str] = field(default_factory=dict)
    #: Name of the symbolic first dimension that the file's inputs had, if any.
    batch_axis_name: str | None = None
    #: The inputs that had it.
    batch_inputs: tuple[str, ...] = ()
    #: Whether the model is written with that symbolic batch.
    dynamic_batch: bool = False

    @cached_property
    def _producers(self) -> Mapping[str, Node]:
        return {out: node for node in self.nodes for out in node.outputs if out}

    @cached_property
    def _consumers(self) -> Mapping[str, tuple[Node, ...]]:
        found: dict[str, list[Node]] = {}
        for node in self.nodes:
            for name in dict.fromkeys(node.reads):
                found.setdefault(name, []).append(node)
        return {name: tuple(nodes) for name, nodes in found.items()}

    @cached_property
    def _by_name(self) -> Mapping[str, Node]:
        return {node.name: node for node in self.nodes}

    def node(self, name: str) -> Node:
        """The node called `name`; raises `KeyError` when there is none."""
        return self._by_name[name]

    def producer(self, tensor: str) -> Node | None:
        """The node that computes `tensor`; None for inputs and initializers."""
        return self._producers.get(tensor)

    def consumers(self, tensor: str) -> tuple[Node, ...]:
        """The nodes that read `tensor`, each once, subgraph captures included."""
        return self._consumers.get(tensor, ())

    def is_output(self, tensor: str) -> bool:
        """Whether `tensor` is an output of the graph."""
        return any(output.name == tensor for output in self.outputs)

    def _digest_parts(self, weights: bool) -> Iterator[bytes]:
        yield repr((self.opset, sorted(self.other_opsets.items()))).encode()
        for info in (*self.inputs, *self.outputs):
            yield repr((info.name, info.dtype.str, info.shape)).encode()
        for node in self.nodes:
            yield repr((node.name, node.domain, node.op_type, node.inputs, node.outputs)).encode()
            for key, value in sorted(node.attributes.items()):
                yield key.encode()
                if isinstance(value, np.ndarray):
                    yield from _array_parts(value)
                else:
                    yield repr(value).encode()
        for name, array in sorted(self.initializers.items()):
            yield name.encode()
            if weights or not np.issubdtype(array.dtype, np.floating):
                yield from _array_parts(array)
            else:
                yield repr((array.dtype.str, array.shape)).encode()

    @cached_property
    def digest(self) -> str:
        """SHA-256 of topology, attributes, shapes and weights; equal for equal models."""
        return _sha256(self._digest_parts(weights=True))

    @cached_property
    def topology_digest(self) -> str:
        """The same without the values of float weights: training does not change it."""
        return _sha256(self._digest_parts(weights=False))

    def with_initializers(self, arrays: Mapping[str, Array]) -> Model:
        """The same model with other values for some initializers; nothing else is copied.

        Raises `ModelError` for a name that is no initializer or an array of another shape.
        Values are converted to the initializer's element type.
        """
        initializers = dict(self.initializers)
        for name, array in arrays.items():
            old = initializers.get(name)
            if old is None:
                raise ModelError(f"the model has no initializer '{name}'")
            if tuple(array.shape) != old.shape:
                raise ModelError(
                    f"initializer '{name}' has shape {list(old.shape)}, "
                    f"got an array of shape {list(array.shape)}"
                )
            initializers[name] = np.ascontiguousarray(array, dtype=old.dtype).reshape(old.shape)
        return replace(self, initializers=initializers)

    def with_dynamic_batch(self) -> Model:
        """The model, to be written with the symbolic batch that the file had.

        Returns the model unchanged when the file's batch was fixed.
        """
        return self if self.batch_axis_name is None else replace(self, dynamic_batch=True)

    @property
    def weight_bytes(self) -> int:
        """Bytes of all initializers."""
        return sum(array.nbytes for array in self.initializers.values())


def _sha256(parts: Iterator[bytes]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return digest.hexdigest()


def _array_parts(array: Array) -> Iterator[bytes]:
    yield repr((array.dtype.str, array.shape)).encode()
    if array.dtype == object:
        yield repr(array.tolist()).encode()
    else:
        yield np.ascontiguousarray(array).tobytes()
