"""The loaded model as immutable values: nodes, tensors, initializers and static shapes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import onnx

from alcs_onnx.errors import ModelError
from alcs_onnx.sparse_format import OP_DOMAIN
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


class _Called(Protocol):
    """An operator with its attributes."""

    @property
    def op_type(self) -> str: ...
    @property
    def domain(self) -> str: ...
    @property
    def attributes(self) -> Mapping[str, AttributeValue]: ...


class Operator:
    """What can be asked of a node, be it of a model or of a graph that is worked on."""

    def is_op(self: _Called, *op_types: str) -> bool:
        """Whether this is one of the given operators of the default ONNX domain."""
        return self.domain == "" and self.op_type in op_types

    def is_ours(self: _Called, *op_types: str) -> bool:
        """Whether this is one of the given operators of this package's domain."""
        return self.domain == OP_DOMAIN and self.op_type in op_types

    def int_attribute(self: _Called, name: str, default: int) -> int:
        """Integer attribute, or `default` when absent."""
        value = self.attributes.get(name, default)
        return int(value) if isinstance(value, (int, float)) else default

    def float_attribute(self: _Called, name: str, default: float) -> float:
        """Float attribute, or `default` when absent."""
        value = self.attributes.get(name, default)
        return float(value) if isinstance(value, (int, float)) else default

    def str_attribute(self: _Called, name: str, default: str) -> str:
        """String attribute, or `default` when absent."""
        value = self.attributes.get(name, default)
        return value if isinstance(value, str) else default

    def ints_attribute(self: _Called, name: str, default: Shape = ()) -> Shape:
        """Integer list attribute, or `default` when absent."""
        value = self.attributes.get(name, default)
        return tuple(int(v) for v in value) if isinstance(value, tuple) else default


@dataclass(frozen=True, eq=False)
class Node(Operator):
    """One operator call. Absent optional inputs and outputs are empty strings.

    `message` is what it was read from; a node that is made of another one has none.
    """

    name: str
    op_type: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, AttributeValue] = field(default_factory=dict)
    domain: str = ""
    message: onnx.NodeProto | None = field(default=None, init=False, repr=False)

    def read_from(self, message: onnx.NodeProto) -> Node:
        """The same node with its message, which nobody may change."""
        copy = replace(self)
        object.__setattr__(copy, "message", message)
        return copy

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


@dataclass(frozen=True)
class TensorInfo:
    """A graph input or output. Dimensions that are not static are -1 (outputs only).

    An output of unknown rank has shape (-1,) and no entry in `Model.shapes`. One that is no tensor
    (a sequence, an optional, a map) has no `dtype` and no `shape` either: it is a name, whose type
    the file and its nodes know.
    """

    name: str
    dtype: np.dtype[Any] | None
    shape: Shape


@dataclass(frozen=True, eq=False)
class SizeValue:
    """The value of a tensor that is computed from sizes, at the measured sizes of the inputs.

    `varies` is of the same shape: True for the numbers that other sizes of the inputs change.
    `fixed`: there is none, and the shape is always the same, too.
    """

    value: Array
    varies: npt.NDArray[np.bool_]
    fixed: bool


@dataclass(frozen=True, eq=False)
class Model:
    """A normalised model; every change makes a new one, sharing the arrays.

    Nodes are in topological order and have unique names. `shapes` and `dtypes` hold every
    tensor that could be inferred, initializers included; all shapes are static: those of inputs of
    the measured sizes. Where the file leaves sizes of inputs open, `other_inputs` are the shapes
    of a second set of inputs, which differ in every such size, and `other_shapes` what becomes of
    all tensors then; so what the model computes is known to hold for every size.
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
    #: Input name -> shape; empty where the file fixes every size.
    other_inputs: Mapping[str, Shape] = field(default_factory=dict)
    other_shapes: Mapping[str, Shape] = field(default_factory=dict)
    #: Tensors that are computed from nothing but sizes and constants.
    size_values: Mapping[str, SizeValue] = field(default_factory=dict)
    #: The file that the model was loaded from; None for one that was built in memory.
    origin: Origin | None = None
    #: Nodes that are written as they are here though nothing about them changed since loading.
    written: frozenset[str] = frozenset()

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

    def varying_axes(self, tensor: str) -> tuple[int, ...]:
        """The axes of `tensor` whose size follows the open sizes of the inputs."""
        return varying_axes(self.shapes.get(tensor), self.other_shapes.get(tensor))

    @property
    def sample_inputs(self) -> tuple[str, ...]:
        """The inputs whose first axis counts samples; the others are the same for all samples.

        Where the file leaves first sizes open, they are these; else the inputs of at least two
        axes whose first size is that of the first such input.
        """
        opened = tuple(info.name for info in self.inputs if 0 in self.varying_axes(info.name))
        if opened:
            return opened
        batches = {info.name: info.shape[0] for info in self.inputs if len(info.shape) > 1}
        first = next(iter(batches.values()), None)
        return tuple(name for name, size in batches.items() if size == first)

    @property
    def takes_batches(self) -> bool:
        """Whether the file leaves the number of samples open, see `sample_inputs`."""
        return any(0 in self.varying_axes(name) for name in self.sample_inputs)

    def _digest_parts(self, weights: bool) -> Iterator[bytes]:
        yield repr((self.opset, sorted(self.other_opsets.items()))).encode()
        for info in (*self.inputs, *self.outputs):
            dtype = None if info.dtype is None else info.dtype.str
            yield repr((info.name, dtype, info.shape)).encode()
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

    @property
    def repairs(self) -> tuple[str, ...]:
        """What is set right in the file that is written, whatever else is done to it, in words."""
        if self.origin is None:
            return ()
        found = []
        if self.origin.freed:
            found.append(f"declaring no weights as inputs ({len(self.origin.freed)} were)")
        if self.origin.flushed:
            found.append(f"zeros for {self.origin.flushed:,} subnormal weights")
        return tuple(found)

    def as_loaded(self) -> Model:
        """The model as it was loaded from its file; itself if it was not."""
        return self if self.origin is None else replace(self.origin.base, origin=self.origin)

    def detached(self) -> Model:
        """The model by itself: serialized, it is this graph at its static sizes, not the file's."""
        return replace(self, origin=None)

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

    @property
    def weight_bytes(self) -> int:
        """Bytes of all initializers."""
        return sum(array.nbytes for array in self.initializers.values())


@dataclass(frozen=True, eq=False)
class Origin:
    """A file, and the model that loading made of it.

    `proto` is the file's own message. The values of its initializers are in `arrays`, by name; of
    the initializers themselves it has what is documented, and sparse ones.
    `base` is the loaded model. `freed` are weights that the file declares as inputs, too, so that
    a runtime may fold nothing; `proto` does not. `flushed` is how many subnormal weights of it
    have become zeros since.
    """

    proto: onnx.ModelProto
    arrays: Mapping[str, Array]
    base: Model
    freed: tuple[str, ...] = ()
    flushed: int = 0

    @cached_property
    def names(self) -> frozenset[str]:
        """The names of all tensors of the file, those of subgraphs included."""
        return frozenset({*_tensor_names(self.proto.graph), *self.arrays})


def _tensor_names(graph: onnx.GraphProto) -> Iterator[str]:
    yield from (item.name for item in (*graph.input, *graph.initializer))
    for node in graph.node:
        yield from node.output
        for attribute in node.attribute:
            for subgraph in (*attribute.graphs, attribute.g):
                yield from _tensor_names(subgraph)


def varying_axes(here: Shape | None, there: Shape | None) -> tuple[int, ...]:
    """The axes along which a tensor has other sizes for other inputs; none where not known."""
    if here is None or there is None or len(here) != len(there):
        return ()
    return tuple(axis for axis, size in enumerate(here) if size != there[axis])


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
