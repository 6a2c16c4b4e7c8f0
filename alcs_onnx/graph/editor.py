"""A mutable copy of a model for passes and rewrites; the only place where graphs change."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import onnx

from alcs_onnx.errors import ModelError
from alcs_onnx.graph import model as values
from alcs_onnx.graph.functions import used_functions
from alcs_onnx.graph.model import Array, AttributeValue, Model, SizeValue
from alcs_onnx.graph.proto import ONNX_ERRORS, free_name, one_line
from alcs_onnx.graph.shapes import infer
from alcs_onnx.graph.sorting import stable_order
from alcs_onnx.graph.surgeon import (
    Graph,
    Node,
    Tensor,
    add_captured,
    as_value,
    constant,
    new_constant,
    variable,
    write_model,
)
from alcs_onnx.sparse_format import OP_DOMAIN, OP_VERSION
from alcs_onnx.types import Shape


class GraphEditor(Graph):  # type: ignore[misc]
    """graphsurgeon's graph of a copy of `model`; `build()` gives the checked, sorted result.

    Names of nodes and tensors are unique at all times. A tensor keeps its name as long as it lives:
    it has always the same values. Its `shape` and `dtype` are None where they are not known.
    Arrays are shared with the model and must not be written to.
    """

    nodes: list[Node]
    inputs: list[Tensor]
    outputs: list[Tensor]

    def __init__(self, model: Model):
        super().__init__(name=model.name, opset=model.opset)
        self._model = model
        self.other_shapes: dict[str, Shape] = dict(model.other_shapes)
        self.size_values: dict[str, SizeValue] = dict(model.size_values)
        self._tensors: dict[str, Tensor] = {
            name: new_constant(name, array) for name, array in model.initializers.items()
        }
        self._named: dict[str, Node] = {}
        # A tensor of the file keeps its name for itself, though the model may not have it any more.
        self._reserved = model.origin.names if model.origin else frozenset[str]()
        # Place of a node in the order of the file, then order of insertion. A node put in place
        # of a removed one of the same name takes its place.
        self._rank: dict[str, tuple[int, int]] = {n.name: (i, 0) for i, n in enumerate(model.nodes)}
        self.inputs = [self._known(info.name) for info in model.inputs]
        for node in model.nodes:
            self.insert_node(node)
        self.outputs = [self._known(info.name) for info in model.outputs]

    def _known(self, name: str) -> Tensor:
        """The tensor called `name`, with what the model knows of it."""
        if not name:
            return variable("")
        if name not in self._tensors:
            model = self._model
            self._tensors[name] = variable(name, model.dtypes.get(name), model.shapes.get(name))
        return self._tensors[name]

    # -- reading -------------------------------------------------------------------------

    def node(self, name: str) -> Node:
        """The node called `name`; a `KeyError` when it is not (or no longer) there."""
        return self._named[name]

    def tensor(self, name: str) -> Tensor:
        """The tensor called `name`; a `KeyError` when there is none."""
        return self._tensors[name]

    def producer(self, tensor: Tensor) -> Node | None:
        """The node that computes `tensor`; None for inputs and constants."""
        return tensor.inputs[0] if tensor.inputs else None

    def consumers(self, tensor: Tensor) -> tuple[Node, ...]:
        """The nodes that read `tensor`, each once, subgraph captures included."""
        return tuple(dict.fromkeys(tensor.outputs))

    def is_output(self, tensor: Tensor) -> bool:
        """Whether `tensor` is an output of the graph."""
        return any(output is tensor for output in self.outputs)

    def is_input(self, tensor: Tensor) -> bool:
        """Whether `tensor` is an input of the graph."""
        return any(given is tensor for given in self.inputs)

    def is_used(self, tensor: Tensor) -> bool:
        """Whether anything needs `tensor`."""
        return bool(tensor.outputs) or self.is_output(tensor)

    def only_consumer(self, tensor: Tensor) -> Node | None:
        """The one node that reads `tensor`, if there is one and nothing else needs it."""
        readers = self.consumers(tensor)
        return readers[0] if len(readers) == 1 and not self.is_output(tensor) else None

    def all_shapes(self, tensor: Tensor) -> tuple[Shape | None, ...]:
        """The shape of `tensor` at the measured sizes, and at the other ones if there are any."""
        other = (self._other_shape(tensor),) if self._model.other_inputs else ()
        return (tensor.shape, *other)

    def _other_shape(self, tensor: Tensor) -> Shape | None:
        return tensor.shape if constant(tensor) is not None else self.other_shapes.get(tensor.name)

    def unique_node_name(self, base: str) -> str:
        """A name that no node has yet: `base`, or `base_1`, `base_2`, ..."""
        return free_name(base, self._named)

    def _free_tensor(self, base: str) -> str:
        """The same for a tensor. Names of the file, of tensors inside branches too, are taken."""
        return free_name(base, self._tensors, self._reserved)

    # -- changing ------------------------------------------------------------------------

    def add_tensor(
        self, base: str, dtype: np.dtype[Any] | None = None, shape: Shape | None = None
    ) -> Tensor:
        """A new tensor for a node to compute, called `base` or a unique variation of it."""
        name = self._free_tensor(base)
        self._tensors[name] = variable(name, dtype, shape)
        return self._tensors[name]

    def add_constant(self, base: str, array: Array) -> Tensor:
        """A new constant, called `base` or a unique variation of it."""
        name = self._free_tensor(base)
        self._tensors[name] = new_constant(name, array)
        return self._tensors[name]

    def add_node(
        self,
        name: str,
        op_type: str,
        inputs: Iterable[Tensor | None],
        outputs: Iterable[Tensor],
        attributes: Mapping[str, AttributeValue] | None = None,
        domain: str = "",
    ) -> Node:
        """Add a node; `build` finds its place in the order.

        An input that is None is absent. `ModelError` where the name of the node is taken or an
        output is computed already.
        """
        if name in self._named:
            raise ModelError(f"the graph already has a node '{name}'")
        outputs = list(outputs)
        for output in outputs:
            if output.inputs or constant(output) is not None or self.is_input(output):
                raise ModelError(f"tensor '{output.name}' is produced twice (node '{name}')")
        given = [variable("") if tensor is None else tensor for tensor in inputs]
        node = Node(op_type, name, dict(attributes or {}), given, outputs, domain)
        add_captured(node, self._tensors)
        self._rank.setdefault(name, self._new_rank(node))
        self._named[name] = node
        self.nodes.append(node)
        return node

    def insert_node(self, node: values.Node) -> Node:
        """Add a node that names its tensors; those that are new are added as well."""
        inputs = [self._known(name) for name in node.inputs]
        outputs = [self._known(name) for name in node.outputs]
        added = self.add_node(
            node.name, node.op_type, inputs, outputs, node.attributes, node.domain
        )
        added.source = node
        return added

    def remove(self, node: Node) -> None:
        """Remove a node; what it computed can be computed by another one."""
        self.nodes.remove(node)
        self._forget(node)

    def _forget(self, node: Node) -> None:
        del self._named[node.name]
        node.inputs.clear()
        node.outputs.clear()

    def set_constant(self, node: Node, arrays: Iterable[Array]) -> None:
        """Put constants in place of `node`: the values of its present outputs."""
        outputs = [tensor for tensor in node.outputs if tensor.name]
        self.remove(node)
        for tensor, array in zip(outputs, arrays, strict=True):
            tensor.to_constant(array)  # type: ignore[attr-defined]

    def redirect(self, old: Tensor, new: Tensor, *readers: Node) -> None:
        """Let all nodes that read `old` read `new`, or those of them that are given."""
        for reader in readers or self.consumers(old):
            for index, tensor in enumerate(reader.inputs):
                if tensor is old:
                    reader.inputs[index] = new

    def take_over(self, node: Node, removed: Node) -> None:
        """Let `node` compute the first output of `removed`, which is removed."""
        output = removed.outputs[0]
        self.remove(removed)
        node.outputs[0] = output

    def bypass(self, node: Node, tensor: Tensor) -> bool:
        """Remove `node` and let `tensor` take the place of its first output.

        Graph outputs keep their names. Returns False, changing nothing, where that is
        impossible: the output is a graph output and `tensor` has another duty (graph input
        or output, constant), or a subgraph captures what would be gone.
        """
        output = node.outputs[0]
        source = self.producer(tensor)
        result = self.is_output(output)
        gone = tensor if result else output
        if any(reader.reads(gone) < reader.inputs.count(gone) for reader in self.consumers(gone)):
            return False
        if result and (source is None or self.is_output(tensor)):
            return False
        self.remove(node)
        if not result or source is None:
            self.redirect(output, tensor)
            return True
        source.outputs[source.outputs.index(tensor)] = output
        self.redirect(tensor, output)
        return True

    def drop_unused(self) -> int:
        """Remove nodes that no output depends on; returns how many."""
        before = list(self.nodes)
        self.cleanup(recurse_subgraphs=False, recurse_functions=False)
        left = set(self.nodes)
        dead = [node for node in before if node not in left]
        for node in dead:
            del self._named[node.name]
        return len(dead)

    def settle(self) -> None:
        """Sort the nodes and forget tensors that nothing reads or computes.

        Raises `ModelError` for a tensor that nothing computes and for a cycle.
        """
        for node in self.nodes:
            for tensor in node.inputs:
                if tensor.name and not self._is_given(tensor):
                    raise ModelError(
                        f"node '{node.name}' ({node.op}) reads tensor '{tensor.name}', "
                        "which nothing produces"
                    )
        self.nodes = stable_order(
            [(self._rank[node.name], node) for node in self.nodes],
            lambda node: (tensor.name for tensor in node.inputs),
            lambda node: (tensor.name for tensor in node.outputs),
        )
        for output in self.outputs:
            if not self._is_given(output):
                raise ModelError(f"graph output '{output.name}' is produced by no node")
        self._rank = {node.name: (place, 0) for place, node in enumerate(self.nodes)}
        self._tensors = {
            name: tensor
            for name, tensor in self._tensors.items()
            if tensor.inputs or self.is_used(tensor) or self.is_input(tensor)
        }

    def _is_given(self, tensor: Tensor) -> bool:
        return bool(tensor.inputs) or constant(tensor) is not None or self.is_input(tensor)

    def _new_rank(self, node: Node) -> tuple[int, int]:
        """Behind the last producer of its inputs, behind nodes inserted there before."""
        ranks = [self._rank[p.name][0] for tensor in node.inputs for p in tensor.inputs]
        return max(ranks, default=-1), len(self._rank)

    # -- result --------------------------------------------------------------------------

    def learn(self, model: Model) -> None:
        """Take over the shapes and types of `model`, a snapshot of this graph."""
        self._model = model
        self.other_shapes, self.size_values = dict(model.other_shapes), dict(model.size_values)
        for name, tensor in self._tensors.items():
            if constant(tensor) is None:
                tensor.shape, tensor.dtype = model.shapes.get(name), model.dtypes.get(name)

    def snapshot(self) -> Model:
        """The graph as it is, sorted but unchecked, unused constants dropped."""
        self.settle()
        nodes = tuple(as_value(node) for node in self.nodes)
        arrays = {name: constant(tensor) for name, tensor in self._tensors.items()}
        others = dict(self._model.other_opsets)
        if any(node.domain == OP_DOMAIN for node in nodes):
            others[OP_DOMAIN] = OP_VERSION
        tensors = self._tensors.values()
        shapes = {x.name: x.shape for x in tensors if x.shape is not None}
        there = {x.name: self._other_shape(x) for x in tensors} if self._model.other_inputs else {}
        return replace(
            self._model,
            nodes=nodes,
            initializers={name: array for name, array in arrays.items() if array is not None},
            shapes=shapes,
            dtypes={x.name: x.dtype for x in tensors if x.dtype is not None},
            other_shapes={name: shape for name, shape in there.items() if shape is not None},
            size_values={n: v for n, v in self.size_values.items() if n in self._tensors},
            other_opsets=others,
        )

    def build(self, *, infer_shapes: bool = False) -> Model:
        """The finished model: sorted, checked by onnx.checker, unused constants dropped.

        `infer_shapes` after changes of sizes; behind operators that inference does not know
        the shapes stay as they were. Raises `ModelError` for a dangling tensor, a cycle or an
        invalid node.
        """
        model = self.snapshot()
        check(model)
        if not infer_shapes:
            return model
        known = {name: (model.dtypes[name], shape) for name, shape in model.shapes.items()}
        return infer(model, known)


def check(model: Model) -> None:
    """Run onnx.checker over the model, without copying its weights; `ModelError` if invalid."""
    proto = write_model(
        model, declare_large=True, functions=used_functions(model.nodes, model.opset)
    )
    # Legal for a runtime, refused by the checker: outputs of unknown type and of unknown rank.
    tensors = [info for info in proto.graph.output if info.HasField("type")]
    del proto.graph.output[:]
    proto.graph.output.extend(tensors)
    for info in proto.graph.output:
        info.type.tensor_type.shape.SetInParent()
    try:
        onnx.checker.check_model(proto)
    except ONNX_ERRORS as error:
        raise ModelError(f"the model is not valid ONNX: {one_line(error)}") from error
