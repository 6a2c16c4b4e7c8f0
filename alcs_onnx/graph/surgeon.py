"""The boundary to onnx-graphsurgeon: what it reads and writes of messages, and what it would lose.

Graphs that passes and rewrites work on are graphsurgeon's (`editor.py`). Its importer and exporter
are mended here, and nowhere else:

1. It skips attributes that hold several tensors or graphs, types or sparse tensors, and fails on
   strings that are no UTF-8. These, and subgraphs, whose declarations and documentation it drops,
   stay messages: `Opaque`. What a subgraph captures stands behind the inputs of its node, so that
   graphsurgeon sees the node as the reader of it (`Node.captured`).
2. Exporting, it loses the type of empty lists, documentation, metadata and annotations of nodes,
   and packs tensors of strings and of 4-bit integers wrongly. A node that nobody changed is
   written as the very message that it was read from, and tensors by the onnx package.
3. It drops metadata and annotations of models, initializers that nothing reads or that are inputs
   as well, and the order and odd types of declarations. A graph that was read keeps them, `head`.
4. Its nodes compare by all that they hold, and so are slow to remove from lists and cannot be in
   sets. Ours equal themselves only.
5. It sorts by levels, recursively: all nodes of a graph with branches move, and deep graphs end in
   an error. `sorting.py` sorts instead.
6. It prints. Here it does not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol, TypeAlias

import numpy as np
import onnx
import onnx_graphsurgeon as gs
from onnx import helper, numpy_helper
from onnx_graphsurgeon.exporters.onnx_exporter import OnnxExporter
from onnx_graphsurgeon.logger import G_LOGGER

from alcs_onnx.errors import ModelError
from alcs_onnx.graph import model as values
from alcs_onnx.graph.model import Array, AttributeValue, Model, Opaque, Operator
from alcs_onnx.graph.proto import SMALL_TENSOR, attribute_captures, one_line, value_info
from alcs_onnx.types import Shape

G_LOGGER.severity = G_LOGGER.CRITICAL + 1

_Kind = onnx.AttributeProto
#: What graphsurgeon reads without a loss.
_READ = (
    _Kind.FLOAT,
    _Kind.INT,
    _Kind.STRING,
    _Kind.TENSOR,
    _Kind.FLOATS,
    _Kind.INTS,
    _Kind.STRINGS,
)


#: graphsurgeon's graph.
Graph: TypeAlias = gs.Graph


class Tensor(Protocol):
    """What is used of graphsurgeon's Variable and Constant. A constant has `values`, too.

    `inputs` are the nodes that compute it, at most one, and `outputs` those that read it, once for
    each use. Absent inputs and outputs of nodes are tensors without a name.
    """

    name: str
    dtype: np.dtype[Any] | None
    shape: Shape | None
    values: Array
    inputs: Sequence[Node]
    outputs: Sequence[Node]


class Node(gs.Node, Operator):  # type: ignore[misc]
    """A node of a graph that is worked on.

    `attrs` has values as `values.Node` has. The last `captured` of `inputs` are no inputs but
    what subgraphs of the node read. `source` is the value that it was made of, and `message` what
    it was imported from.
    """

    inputs: list[Tensor]
    outputs: list[Tensor]
    captured = 0
    source: values.Node | None = None
    message: onnx.NodeProto | None = None

    __eq__ = object.__eq__
    __hash__ = object.__hash__

    @property
    def op_type(self) -> str:
        """Its operator."""
        return str(self.op)

    @property
    def attributes(self) -> dict[str, AttributeValue]:
        """Its attributes."""
        return self.attrs  # type: ignore[no-any-return]

    def input(self, index: int) -> Tensor | None:
        """Input `index`, None when it is absent."""
        present = index < len(self.inputs) - self.captured and self.inputs[index].name
        return self.inputs[index] if present else None

    def constant(self, index: int) -> Array | None:
        """The value of input `index`; None where it is not constant or absent."""
        tensor = self.input(index)
        return None if tensor is None else constant(tensor)

    def values(self, index: int) -> Array:
        """The value of input `index`, which is constant."""
        found = self.constant(index)
        assert found is not None
        return found

    def set_input(self, index: int, tensor: Tensor) -> None:
        """Give input `index` to `tensor`; absent ones before it stay so."""
        missing = index + 1 - len(self.inputs)
        self.inputs.extend([variable("") for _ in range(missing)])
        self.inputs[index] = tensor

    def reads(self, tensor: Tensor) -> int:
        """How many inputs `tensor` is, captures not counted."""
        return sum(given is tensor for given in self.inputs[: len(self.inputs) - self.captured])


def constant(tensor: Tensor) -> Array | None:
    """The value of a constant, None for any other tensor."""
    return tensor.values if isinstance(tensor, gs.Constant) else None


def variable(name: str, dtype: np.dtype[Any] | None = None, shape: Shape | None = None) -> Tensor:
    """A tensor that a node computes or that is given."""
    found: Tensor = gs.Variable(name, dtype, shape)
    return found


def new_constant(name: str, array: Array) -> Tensor:
    """A tensor of known value."""
    found: Tensor = gs.Constant(name, array)
    return found


def import_model(proto: onnx.ModelProto) -> Graph:
    """The graph of `proto`, which it keeps as its `head`; its nodes are `Node`s with a `source`.

    Tensors have no types, and none is a constant. Raises `ModelError` naming a node with an
    attribute that cannot be read.
    """
    plain = onnx.ModelProto(ir_version=proto.ir_version, opset_import=proto.opset_import)
    plain.graph.name = proto.graph.name
    plain.graph.input.extend(onnx.ValueInfoProto(name=i.name) for i in proto.graph.input)
    plain.graph.output.extend(onnx.ValueInfoProto(name=o.name) for o in proto.graph.output)
    plain.graph.node.extend(_plain(node) for node in proto.graph.node)
    graph = _imported(plain)
    tensors = {t.name: t for node in graph.nodes for t in (*node.inputs, *node.outputs)}
    tensors |= {tensor.name: tensor for tensor in (*graph.inputs, *graph.outputs)}
    for node, message in zip(graph.nodes, proto.graph.node, strict=True):
        try:
            _mend(node, message, tensors)
        except (TypeError, ValueError) as error:
            raise _unreadable(message, error) from error
    graph.head = proto
    return graph


def _imported(plain: onnx.ModelProto) -> Graph:
    try:
        return gs.import_onnx(plain)
    except (gs.OnnxGraphSurgeonException, KeyError) as error:
        if len(plain.graph.node) == 1:
            raise _unreadable(plain.graph.node[0], error) from error
    for node in plain.graph.node:  # which one it is
        _imported(onnx.ModelProto(graph=onnx.GraphProto(node=[node])))
    raise ModelError("the graph cannot be read")


def _unreadable(node: onnx.NodeProto, error: Exception) -> ModelError:
    return ModelError(
        f"node '{node.name}' ({node.op_type}): a tensor in its attributes cannot be read: "
        f"{one_line(error)}"
    )


def read_nodes(messages: Iterable[onnx.NodeProto]) -> tuple[values.Node, ...]:
    """The values of nodes; the default domain is always the empty string."""
    graph = import_model(onnx.ModelProto(graph=onnx.GraphProto(node=messages)))
    return tuple(as_value(node) for node in graph.nodes)


def _plain(node: onnx.NodeProto) -> onnx.NodeProto:
    plain = onnx.NodeProto(
        name=node.name, op_type=node.op_type, input=node.input, output=node.output
    )
    plain.attribute.extend(attribute for attribute in node.attribute if _readable(attribute))
    return plain


def _readable(attribute: onnx.AttributeProto) -> bool:
    if attribute.type not in _READ or attribute.ref_attr_name:
        return False
    try:
        for text in (attribute.s, *attribute.strings):
            text.decode()
    except UnicodeDecodeError:
        return False
    return True


def _mend(node: gs.Node, message: onnx.NodeProto, tensors: dict[str, Tensor]) -> None:
    """Make a `Node` of a node that was imported without what graphsurgeon cannot read."""
    node.__class__ = Node  # as graphsurgeon itself makes a Variable a Constant
    node.domain = "" if message.domain == "ai.onnx" else message.domain
    attributes = {a.name: _value(node.attrs.get(a.name), a) for a in message.attribute}
    node.attrs = dict(attributes)
    add_captured(node, tensors)
    source = values.Node(
        node.name,
        node.op,
        tuple(message.input),
        tuple(message.output),
        attributes,
        node.domain,
    )
    node.message = onnx.NodeProto()
    node.message.CopyFrom(message)
    # Where the default domain has its long name, checks and inference do not know it.
    node.source = source.read_from(node.message) if message.domain == node.domain else source


def _value(imported: Any, attribute: onnx.AttributeProto) -> AttributeValue:
    if isinstance(imported, gs.Constant):
        return np.asarray(imported.values)
    if imported is None:
        data = attribute.SerializeToString(deterministic=True)
        return Opaque(data, attribute_captures(attribute))
    return tuple(imported) if isinstance(imported, list) else imported


def add_captured(node: Node, tensors: dict[str, Tensor]) -> None:
    """Put what subgraphs of `node` read of `tensors`, by name, behind its inputs."""
    kept = (value for value in node.attrs.values() if isinstance(value, Opaque))
    names = [name for value in kept for name in value.captures]
    if names:
        node.inputs.extend([tensors.setdefault(name, variable(name)) for name in names])
        node.captured = len(names)


def as_value(node: Node) -> values.Node:
    """The value of `node`: its `source` if it is what that was."""
    end = len(node.inputs) - node.captured
    inputs = tuple(tensor.name for tensor in node.inputs[:end])
    outputs = tuple(tensor.name for tensor in node.outputs)
    old = node.source
    if (
        old is not None
        and (old.name, old.op_type, old.domain) == (node.name, node.op, node.domain)
        and (old.inputs, old.outputs) == (inputs, outputs)
        and old.attributes.keys() == node.attrs.keys()
        and all(value is node.attrs[name] for name, value in old.attributes.items())
    ):
        return old
    return values.Node(node.name, node.op, inputs, outputs, dict(node.attrs), node.domain)


def write_node(node: values.Node) -> onnx.NodeProto:
    """The message of `node`: the one that it was read from, else attributes sorted by name."""
    if node.message is not None:
        return node.message
    special = {n: _special(node, n, value) for n, value in node.attributes.items()}
    bare = gs.Node(
        node.op_type,
        node.name,
        {name: value for name, value in node.attributes.items() if special[name] is None},
        [gs.Variable(name) for name in node.inputs],
        [gs.Variable(name) for name in node.outputs],
        node.domain or None,
    )
    proto: onnx.NodeProto = OnnxExporter.export_node(bare)
    proto.attribute.extend(kept for kept in special.values() if kept is not None)
    proto.attribute.sort(key=lambda attribute: attribute.name)
    return proto


def _special(node: values.Node, name: str, value: AttributeValue) -> onnx.AttributeProto | None:
    """The message of an attribute that graphsurgeon would not write rightly."""
    if isinstance(value, Opaque):
        kept = onnx.AttributeProto()
        kept.ParseFromString(value.data)
        return kept
    if isinstance(value, np.ndarray):
        return helper.make_attribute(name, numpy_helper.from_array(value))
    if value == ():
        return helper.make_attribute(name, [], attr_type=_empty_list_type(node, name))
    return None


def _empty_list_type(node: values.Node, name: str) -> int:
    """An empty list does not show its type: ask the operator's schema, else integers."""
    try:
        schema = onnx.defs.get_schema(node.op_type, domain=node.domain)
        return int(schema.attributes[name].type.value)  # type: ignore[attr-defined]
    except (onnx.defs.SchemaError, KeyError):
        return int(onnx.AttributeProto.INTS)


def export_model(graph: Graph) -> onnx.ModelProto:
    """The file that `graph` was imported from, with its nodes and outputs as they are now.

    An output that the file does not declare as one is declared without a type.
    """
    proto = onnx.ModelProto()
    proto.CopyFrom(graph.head)
    declared = {info.name: info for info in graph.head.graph.output}
    del proto.graph.node[:], proto.graph.output[:]
    proto.graph.node.extend(_message(node) for node in graph.nodes)
    proto.graph.output.extend(
        declared.get(tensor.name, onnx.ValueInfoProto(name=tensor.name)) for tensor in graph.outputs
    )
    return proto


def _message(node: Node) -> onnx.NodeProto:
    value = as_value(node)
    return node.message if node.message and value is node.source else write_node(value)


def write_model(
    model: Model, *, declare_large: bool = False, functions: Iterable[onnx.FunctionProto] = ()
) -> onnx.ModelProto:
    """The message of a model by itself.

    With `declare_large` initializers above `SMALL_TENSOR` elements become graph inputs, so
    that checks and shape inference neither copy weights nor meet protobuf's 2 GB limit.
    """
    graph = onnx.GraphProto(name=model.name)
    graph.node.extend(write_node(node) for node in model.nodes)
    for info in model.inputs:
        graph.input.append(value_info(info.name, info.dtype, info.shape))
    for info in model.outputs:
        shape = None if info.shape == (-1,) else info.shape
        graph.output.append(value_info(info.name, info.dtype, shape))
    for name, array in model.initializers.items():
        if declare_large and array.size > SMALL_TENSOR:
            graph.input.append(value_info(name, array.dtype, array.shape))
        else:
            graph.initializer.append(numpy_helper.from_array(array, name))
    return onnx.ModelProto(
        ir_version=model.ir_version,
        producer_name="alcs-onnx",
        graph=graph,
        opset_import=opset_imports(model.opset, model.other_opsets),
        functions=functions,
    )


def opset_imports(opset: int, others: Mapping[str, int]) -> list[onnx.OperatorSetIdProto]:
    """Opset import messages, the default domain first."""
    return [
        helper.make_opsetid(domain, version)
        for domain, version in (("", opset), *sorted(others.items()))
    ]
