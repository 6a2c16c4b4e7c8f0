"""A mutable copy of a model for passes and rewrites; the only place where graphs change."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from heapq import heappop, heappush
from typing import Any

import numpy as np
import onnx

from alcs_onnx.errors import ModelError
from alcs_onnx.graph.functions import used_functions
from alcs_onnx.graph.model import Array, AttributeValue, Model, Node, TensorInfo
from alcs_onnx.graph.proto import ONNX_ERRORS, one_line, write_proto
from alcs_onnx.graph.shapes import infer
from alcs_onnx.sparse_format import OP_DOMAIN, OP_VERSION
from alcs_onnx.types import Shape

#: Place of a node in the order of the file, then order of insertion.
_Rank = tuple[int, int]


class GraphEditor:
    """Edits a copy of `model`; `build()` gives the checked, sorted result.

    Nodes are values: to change one, replace it. Names of nodes are unique at all times.
    Arrays are shared with the model and must not be written to.
    """

    def __init__(self, model: Model):
        self._model = model
        self._nodes: dict[str, Node] = {node.name: node for node in model.nodes}
        self.initializers: dict[str, Array] = dict(model.initializers)
        self.shapes: dict[str, Shape] = dict(model.shapes)
        self.dtypes: dict[str, np.dtype[Any]] = dict(model.dtypes)
        self.inputs: tuple[TensorInfo, ...] = model.inputs
        self.outputs: tuple[TensorInfo, ...] = model.outputs
        self._output_names = {info.name for info in model.outputs}
        self._producer: dict[str, str] = {}
        self._readers: dict[str, dict[str, None]] = {}
        self._input_names = {info.name for info in model.inputs}
        self._taken = {*self.initializers, *self._input_names}
        # A node put in place of a removed one of the same name takes its place in the order.
        self._rank: dict[str, _Rank] = {node.name: (i, 0) for i, node in enumerate(model.nodes)}
        for node in model.nodes:
            self._index(node)

    # -- reading -------------------------------------------------------------------------

    @property
    def opset(self) -> int:
        """Version of the default ONNX domain."""
        return self._model.opset

    @property
    def nodes(self) -> tuple[Node, ...]:
        """The nodes as they are now, in insertion order."""
        return tuple(self._nodes.values())

    def node(self, name: str) -> Node | None:
        """The node called `name`, None when it is not (or no longer) there."""
        return self._nodes.get(name)

    def producer(self, tensor: str) -> Node | None:
        """The node that computes `tensor`; None for inputs and initializers."""
        name = self._producer.get(tensor)
        return None if name is None else self._nodes[name]

    def consumers(self, tensor: str) -> tuple[Node, ...]:
        """The nodes that read `tensor`, each once, subgraph captures included."""
        return tuple(self._nodes[name] for name in self._readers.get(tensor, ()))

    def is_output(self, tensor: str) -> bool:
        """Whether `tensor` is an output of the graph."""
        return tensor in self._output_names

    def constant(self, tensor: str) -> Array | None:
        """The value of an initializer, None for any other tensor."""
        return self.initializers.get(tensor)

    def only_consumer(self, tensor: str) -> Node | None:
        """The one node that reads `tensor`, if there is one and nothing else needs it."""
        readers = self.consumers(tensor)
        return readers[0] if len(readers) == 1 and not self.is_output(tensor) else None

    def unique_name(self, base: str) -> str:
        """A tensor name that is not taken yet: `base`, or `base_1`, `base_2`, ..."""
        name, count = base, 0
        while name in self._taken or name in self._producer:
            count += 1
            name = f"{base}_{count}"
        return name

    # -- changing ------------------------------------------------------------------------

    def remove_nodes(self, names: Iterable[str]) -> None:
        """Remove nodes; a name that is not there is a `KeyError`."""
        for name in names:
            self._unindex(self._nodes.pop(name))

    def insert_node(self, node: Node) -> None:
        """Add a node; `build` finds its place in the order. Its name and outputs must be new."""
        if node.name in self._nodes:
            raise ModelError(f"the graph already has a node '{node.name}'")
        self._index(node)
        self._nodes[node.name] = node
        self._rank.setdefault(node.name, self._new_rank(node))

    def replace_node(self, node: Node) -> None:
        """Put `node` in place of the node of the same name."""
        self._unindex(self._nodes[node.name])
        self._index(node)
        self._nodes[node.name] = node

    def update_node(
        self,
        node: Node,
        *,
        inputs: tuple[str, ...] | None = None,
        attributes: Mapping[str, AttributeValue] | None = None,
    ) -> Node:
        """Replace a node's inputs or attributes; the changed node is returned."""
        changed = replace(
            node,
            inputs=node.inputs if inputs is None else inputs,
            attributes=node.attributes if attributes is None else attributes,
        )
        self.replace_node(changed)
        return changed

    def add_initializer(self, name: str, array: Array) -> str:
        """Add a constant under `name`, or a unique variation of it; the name is returned."""
        name = self.unique_name(name)
        self._taken.add(name)
        self.set_initializer(name, array)
        return name

    def set_initializer(self, name: str, array: Array) -> None:
        """Give a constant another value, of any shape, for all that read it."""
        self.initializers[name] = array
        self.shapes[name] = array.shape
        self.dtypes[name] = array.dtype

    def bypass(self, node: Node, tensor: str) -> bool:
        """Remove `node` and let `tensor` take the place of its first output.

        Graph outputs keep their names. Returns False, changing nothing, where that is
        impossible: the output is a graph output and `tensor` has another duty (graph input
        or output, initializer), or a subgraph captures a name that would change.
        """
        output = node.outputs[0]
        if not self.is_output(output):
            return self._redirect(node, output, tensor)
        source = self.producer(tensor)
        if source is None or self.is_output(tensor):
            return False
        readers = [reader for reader in self.consumers(tensor) if reader.name != node.name]
        if any(tensor not in reader.inputs for reader in readers):
            return False
        self.remove_nodes([node.name])
        renamed = tuple(output if name == tensor else name for name in source.outputs)
        self.replace_node(replace(source, outputs=renamed))
        for reader in readers:
            self._reread(reader, tensor, output)
        return True

    def _redirect(self, node: Node, old: str, new: str) -> bool:
        readers = self.consumers(old)
        if any(old not in reader.inputs for reader in readers):
            return False
        self.remove_nodes([node.name])
        for reader in readers:
            self._reread(reader, old, new)
        return True

    def _reread(self, reader: Node, old: str, new: str) -> None:
        inputs = tuple(new if name == old else name for name in reader.inputs)
        self.update_node(reader, inputs=inputs)

    def drop_unused(self) -> int:
        """Remove nodes that no output depends on; returns how many."""
        needed: set[str] = set()
        stack = list(self._output_names)
        while stack:
            producer = self._producer.get(stack.pop())
            if producer is not None and producer not in needed:
                needed.add(producer)
                stack.extend(self._nodes[producer].reads)
        dead = [name for name in self._nodes if name not in needed]
        self.remove_nodes(dead)
        return len(dead)

    # -- result --------------------------------------------------------------------------

    def snapshot(self) -> Model:
        """The graph as it is, sorted but unchecked, unused initializers dropped."""
        nodes = self._sorted()
        used = {name for node in nodes for name in node.reads} | self._output_names
        kept = {name: array for name, array in self.initializers.items() if name in used}
        alive = {*kept, *(info.name for info in self.inputs), *self._producer}
        others = dict(self._model.other_opsets)
        if any(node.domain == OP_DOMAIN for node in nodes):
            others[OP_DOMAIN] = OP_VERSION
        return replace(
            self._model,
            nodes=nodes,
            inputs=self.inputs,
            outputs=self.outputs,
            initializers=kept,
            shapes={name: shape for name, shape in self.shapes.items() if name in alive},
            dtypes={name: dtype for name, dtype in self.dtypes.items() if name in alive},
            other_opsets=others,
        )

    def build(self, *, infer_shapes: bool = False) -> Model:
        """The finished model: sorted, checked by onnx.checker, unused initializers dropped.

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

    def _sorted(self) -> tuple[Node, ...]:
        """Topological order; among nodes that could come next, the one of lowest rank."""
        ready: list[tuple[_Rank, str]] = []
        missing: dict[str, int] = {}
        waiting: dict[str, list[str]] = {}
        for node in self._nodes.values():
            unmet = 0
            for name in dict.fromkeys(node.reads):
                if name in self._producer:
                    waiting.setdefault(self._producer[name], []).append(node.name)
                    unmet += 1
                elif name not in self.initializers and name not in self._input_names:
                    raise ModelError(
                        f"node '{node.name}' ({node.op_type}) reads tensor '{name}', "
                        "which nothing produces"
                    )
            missing[node.name] = unmet
            if not unmet:
                heappush(ready, (self._rank[node.name], node.name))
        order: list[Node] = []
        while ready:
            _, current = heappop(ready)
            order.append(self._nodes[current])
            for reader in waiting.get(current, ()):
                missing[reader] -= 1
                if not missing[reader]:
                    heappush(ready, (self._rank[reader], reader))
        if len(order) != len(self._nodes):
            stuck = next(name for name, count in missing.items() if count)
            raise ModelError(f"node '{stuck}' is part of a cycle")
        known = {*self._producer, *self.initializers, *self._input_names}
        for name in self._output_names:
            if name not in known:
                raise ModelError(f"graph output '{name}' is produced by no node")
        return tuple(order)

    def _new_rank(self, node: Node) -> _Rank:
        """Behind the last producer of its inputs, behind nodes inserted there before."""
        producers = [self._producer[name] for name in node.reads if name in self._producer]
        ranks = [self._rank[name][0] for name in producers if name in self._rank]
        return max(ranks, default=-1), len(self._rank)

    def _index(self, node: Node) -> None:
        for name in node.outputs:
            if name and (name in self._producer or name in self._taken):
                raise ModelError(f"tensor '{name}' is produced twice (node '{node.name}')")
        for name in node.outputs:
            if name:
                self._producer[name] = node.name
        for name in node.reads:
            self._readers.setdefault(name, {})[node.name] = None

    def _unindex(self, node: Node) -> None:
        for name in node.outputs:
            self._producer.pop(name, None)
        for name in node.reads:
            self._readers.get(name, {}).pop(node.name, None)


def check(model: Model) -> None:
    """Run onnx.checker over the model, without copying its weights; `ModelError` if invalid."""
    proto = write_proto(
        model, declare_large=True, functions=used_functions(model.nodes, model.opset)
    )
    for info in proto.graph.output:
        # Legal for a runtime, refused by the checker: an output of unknown rank.
        info.type.tensor_type.shape.SetInParent()
    try:
        onnx.checker.check_model(proto)
    except ONNX_ERRORS as error:
        raise ModelError(f"the model is not valid ONNX: {one_line(error)}") from error
