"""What a rule may ask about the graph that its node is in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper

from alcs_onnx.graph.proto import ONNX_ERRORS, free_name, subgraphs

#: Both names of the domain of ONNX's own operators.
DEFAULT_DOMAINS = ("", "ai.onnx")

Imports = Iterable[onnx.OperatorSetIdProto]


def default_opset(imports: Imports) -> int:
    """Version of the default domain, 0 where it is not imported."""
    return max((o.version for o in imports if o.domain in DEFAULT_DOMAINS), default=0)


def set_opset(imports: Imports, version: int) -> None:
    """Change the version of the default domain where it is imported."""
    for entry in imports:
        if entry.domain in DEFAULT_DOMAINS:
            entry.version = version


def with_types(proto: onnx.ModelProto) -> onnx.ModelProto:
    """`proto` with the inferred types of its tensors; as it is where inference fails."""
    try:
        return onnx.shape_inference.infer_shapes(proto)
    except ONNX_ERRORS:
        return proto


class Names:
    """All names of a model, those of subgraphs and functions included."""

    def __init__(self, proto: onnx.ModelProto) -> None:
        self._taken: set[str] = set()
        self._read: set[str] = set()
        for graph in all_graphs(proto.graph.node, proto.graph):
            self._take(graph.node)
            values = (*graph.input, *graph.output, *graph.value_info)
            self._taken.update(value.name for value in values)
            self._taken.update(tensor.name for tensor in graph.initializer)
            self._taken.update(tensor.values.name for tensor in graph.sparse_initializer)
            self._read.update(output.name for output in graph.output)
        for function in proto.functions:
            self._take(function.node)
            for graph in all_graphs(function.node):
                self._take(graph.node)
            self._taken.update((*function.input, *function.output))
            self._read.update(function.output)

    def _take(self, nodes: Any) -> None:
        for node in nodes:
            self._taken.update((node.name, *node.input, *node.output))
            self._read.update(node.input)

    def fresh(self, wanted: str) -> str:
        """`wanted`, or that with a number behind it where it is taken."""
        name = free_name(wanted, self._taken)
        self._taken.add(name)
        return name

    def note_read(self, tensors: Iterable[str]) -> None:
        """A new node reads these tensors."""
        self._read.update(tensors)

    def is_read(self, tensor: str) -> bool:
        """Whether a node or a graph output anywhere reads a tensor of that name."""
        return tensor in self._read


def all_graphs(nodes: Any, *first: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """`first`, and the graphs in the attributes of `nodes`, at any depth."""
    yield from first
    for node in nodes:
        for attribute in node.attribute:
            for graph in subgraphs(attribute):
                yield from all_graphs(graph.node, graph)


@dataclass(frozen=True)
class Scope:
    """What is known of the tensors visible in one graph, those outside it included.

    `types` are element types, `ranks` numbers of axes.
    """

    names: Names
    types: Mapping[str, int]
    ranks: Mapping[str, int]
    constants: Mapping[str, onnx.TensorProto]

    def inside(self, graph: onnx.GraphProto, typed: onnx.GraphProto) -> Scope:
        """The scope in `graph`; `typed` is the same graph with all that is known of its types."""
        types, ranks, constants = dict(self.types), dict(self.ranks), dict(self.constants)
        # A name of this graph hides the same name outside it.
        for name in (*(i.name for i in graph.input), *(o for n in graph.node for o in n.output)):
            types.pop(name, None), ranks.pop(name, None), constants.pop(name, None)
        for value in (*typed.input, *typed.value_info, *typed.output):
            if value.type.tensor_type.elem_type:
                types[value.name] = value.type.tensor_type.elem_type
            if value.type.tensor_type.HasField("shape"):
                ranks[value.name] = len(value.type.tensor_type.shape.dim)
        types.update((tensor.name, tensor.data_type) for tensor in graph.initializer)
        ranks.update((tensor.name, len(tensor.dims)) for tensor in graph.initializer)
        constants.update((tensor.name, tensor) for tensor in graph.initializer)
        constants.update(_constant_nodes(graph))
        return Scope(self.names, types, ranks, constants)

    def constant(self, tensor: str) -> npt.NDArray[Any] | None:
        """The value of a constant tensor of the file; None for what is computed or elsewhere."""
        found = self.constants.get(tensor)
        if found is None or found.external_data:
            return None
        return np.asarray(numpy_helper.to_array(found))


def _constant_nodes(graph: onnx.GraphProto) -> Iterator[tuple[str, onnx.TensorProto]]:
    for node in graph.node:
        if node.op_type == "Constant" and node.domain in DEFAULT_DOMAINS:
            for attribute in node.attribute:
                if attribute.name == "value":
                    yield node.output[0], attribute.t
