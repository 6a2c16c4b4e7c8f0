"""Putting the changed nodes of a model into the file that it was loaded from.

A loaded model is an analysis of its file: constants are folded, normalizations taken into the
convolutions in front of them, functions and constant branches inlined, nodes named. What is written
is the file, edited: nodes of the model that are not what they were at loading, the *touched* ones,
take the place of whatever computes their outputs in the file; tensors are the same by their names,
since no pass gives a name to other values. All else stays, message for message.

A touched node may need more than itself:

1. An input that the file does not compute (a pass made it): the node that computes it comes along.
2. An output that the file does not have: its readers come along, until there is one that it has.
3. What the file computes between the inputs and the outputs of a touched node is gone with it. A
   node of the file that reads such a tensor from outside (the Shape of a convolution's result, say)
   is replaced by the model's own way to compute the same.
4. A node of the file with several outputs, a call of a function or a branch, is gone as a whole:
   the model's nodes for its other outputs come along. So a call is inlined where something
   inside is touched, and stays elsewhere. So is an If on a constant where the branch that is not
   taken no longer fits the tensors that it reads.
5. A constant of the model that the file computes from sizes (channels are a size, too) is written
   as a constant where the plan changed one of these sizes.
6. Constants of nodes that are written on request (`Model.written`) are written as such where the
   file computes them.

Nodes and initializers that nothing needs any more are left out. Those that nothing needed before
stay, but for nodes that read what is gone or has another shape.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import onnx

from alcs_onnx.graph.file_graph import SIZE_OPS, FileGraph, node_reads
from alcs_onnx.graph.model import Array, Model, Node, Origin
from alcs_onnx.graph.proto import free_name, renamed
from alcs_onnx.graph.sorting import stable_order
from alcs_onnx.graph.surgeon import write_node
from alcs_onnx.graph.touched import same_array, touched_nodes


@dataclass(frozen=True)
class Grafted:
    """The nodes of the edited file in order, and its initializers, by name.

    `placed` are the names of the tensors that nodes of the model compute in it, `gone` those of
    tensors that the file had, `reshaped` those of tensors that may have other shapes now.
    """

    nodes: tuple[onnx.NodeProto, ...]
    initializers: Mapping[str, Array]
    placed: frozenset[str]
    gone: frozenset[str]
    reshaped: frozenset[str]


def graft(model: Model, origin: Origin) -> Grafted:
    """The main graph of the file with what `model` changed since loading."""
    edit = _Edit(model, origin)
    edit.settle()
    return edit.result()


@dataclass
class _Edit:
    """The work on one file. `placed` are nodes of the model, `pinned` tensors made constant."""

    model: Model
    origin: Origin
    placed: set[str] = field(default_factory=set)
    pinned: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        base, shapes = self.origin.base, self.model.shapes
        self._file = FileGraph(self.origin)
        self._nodes = {node.name: node for node in self.model.nodes}
        changed = {n for n, shape in base.shapes.items() if shapes.get(n, shape) != shape}
        self._reshaped = self._file.reshaped(changed, base.shapes)
        self.placed = touched_nodes(self.model, base)
        self.pinned = self._changed_sizes() | self._written_constants()

    # -- what comes along ----------------------------------------------------------------

    def settle(self) -> None:
        """Place whatever the placed nodes need, until nothing more is needed."""
        while True:
            before = len(self.placed), len(self.pinned)
            self._bring_neighbours()
            self._bring_escapes()
            if before == (len(self.placed), len(self.pinned)):
                return

    def _bring_neighbours(self) -> None:
        """Cases 1, 2 and 4."""
        waiting = list(self.placed)
        while waiting:
            node = self._nodes[waiting.pop()]
            needed = [
                self.model.producer(name)
                for name in node.reads
                if name not in self._file.producers and name not in self._file.given
            ]
            for name in node.outputs:
                if name in self._file.producers:
                    others = self._file.siblings(name)
                    needed += [self.model.producer(other) for other in others]
                    self.pinned.update(self.model.initializers.keys() & others)
                elif name:
                    needed += self.model.consumers(name)
            for other in needed:
                if other is not None and other.name not in self.placed:
                    self.placed.add(other.name)
                    waiting.append(other.name)

    def _bring_escapes(self) -> None:
        """Case 3, and what the file computes of such a tensor without a counterpart."""
        stale = self._absorbed()
        made = self._made
        stale |= {
            other
            for name in made & self._file.producers.keys()
            for other in self._file.siblings(name)
            if other not in made | self.pinned
        }
        inside = stale | self._replaced
        opened = {i for i in map(self._file.producers.get, stale) if i in self._file.composite}
        for index in opened | self._outgrown_branches():
            stale |= self._replace(index)
        for index in sorted(self._alive()) if stale else ():
            outputs = self._file.outputs(index)
            if not stale.isdisjoint(self._file.reads[index]) and not outputs <= inside:
                stale |= self._replace(index)

    def _replace(self, index: int) -> set[str]:
        """Let the model compute what node `index` of the file does; the outputs it has not."""
        missing = set()
        for name in self._file.outputs(index):
            producer = self.model.producer(name)
            if producer is not None:
                self.placed.add(producer.name)
            elif name in self.model.initializers:
                self.pinned.add(name)
            else:
                missing.add(name)
        return missing

    def _outgrown_branches(self) -> set[int]:
        """Nodes of branches of which the model has only the one that is taken.

        Where a tensor that they read has another shape now, the other branch does not fit it.
        """
        return {
            index
            for index in self._file.alive
            if self._file.graph.node[index].op_type == "If"
            and not self._reshaped.isdisjoint(self._file.reads[index])
            and not any(
                (producer := self.model.producer(name)) and producer.is_op("If")
                for name in self._file.outputs(index)
            )
        }

    def _absorbed(self) -> set[str]:
        """What the file computes on the way to the outputs of placed nodes, and the model not."""
        constants = self.origin.base.initializers
        found: set[str] = set()
        waiting = [
            (name, frozenset(self._nodes[node].reads))
            for node in self.placed
            for name in self._nodes[node].outputs
            if name in self._file.producers
        ]
        while waiting:
            tensor, stops = waiting.pop()
            for name in self._file.reads[self._file.producers[tensor]]:
                if name in found or name in stops or name not in self._file.producers:
                    continue
                if name in constants or self.model.producer(name) is not None:
                    continue
                found.add(name)
                waiting.append((name, stops))
        return found

    def _changed_sizes(self) -> set[str]:
        """Case 5: constants made of the sizes of tensors that have other shapes now."""
        depends: set[str] = set()
        for node, reads in zip(self._file.graph.node, self._file.reads, strict=True):
            asks = node.op_type in SIZE_OPS and node.input[0] in self._reshaped
            if asks or not depends.isdisjoint(reads):
                depends.update(name for name in node.output if name)
        return depends & self.origin.base.initializers.keys() & self.model.initializers.keys()

    def _written_constants(self) -> set[str]:
        """Case 6."""
        written = map(self._nodes.get, self.model.written)
        read = {name for node in written if node is not None for name in node.reads}
        return read & self.model.initializers.keys() & self._file.producers.keys()

    # -- what stays ----------------------------------------------------------------------

    @property
    def _made(self) -> set[str]:
        """The tensors that placed nodes compute."""
        return {name for node in self.placed for name in self._nodes[node].outputs if name}

    @property
    def _replaced(self) -> set[str]:
        """The tensors that the file is not to compute any more."""
        return self._made | self.pinned

    def _kept(self) -> dict[int, onnx.NodeProto]:
        """The nodes of the file that may stay, by number."""
        made, kept = self._made, {}
        for index, node in enumerate(self._file.graph.node):
            outputs = self._file.outputs(index)
            if outputs & made or (outputs and outputs <= self.pinned):
                continue
            pinned = outputs & self.pinned
            kept[index] = _without_outputs(node, pinned) if pinned else node
        return kept

    def _alive(self) -> set[int]:
        """The nodes of the file that the outputs need, given what is placed."""
        kept = self._kept()
        made = {name: n for n, node in kept.items() for name in node.output if name}
        placed = {n: self._nodes[node] for node in self.placed for n in self._nodes[node].outputs}
        found: set[int] = set()
        seen: set[str] = set()
        waiting = [info.name for info in self._file.graph.output]
        while waiting:
            name = waiting.pop()
            if name in seen:
                continue
            seen.add(name)
            if name in placed:
                waiting += [read for read in placed[name].reads if not self._constant(read)]
            elif name in made:
                found.add(made[name])
                waiting += self._file.reads[made[name]]
        return found

    def _staying(self) -> dict[int, onnx.NodeProto]:
        """The nodes of the file that stay: those needed, and those that never were."""
        kept, alive = self._kept(), self._alive()
        known = self._file.given | self._replaced
        known |= {name for index in alive for name in kept[index].output}
        staying = {}
        for index, node in kept.items():
            idle = index not in self._file.alive
            reads = set(self._file.reads[index])
            if index in alive or (idle and reads <= known and reads.isdisjoint(self._reshaped)):
                staying[index] = node
                known |= set(node.output)
        return staying

    def _constant(self, name: str) -> bool:
        """Whether a placed node reads `name` as a constant of the model, not from the file."""
        if name not in self.model.initializers:
            return False
        if name in self.pinned or not (name in self._file.producers or name in self._file.given):
            return True
        return not same_array(
            self.model.initializers[name], self.origin.base.initializers.get(name)
        )

    # -- result --------------------------------------------------------------------------

    def result(self) -> Grafted:
        """What the file becomes."""
        kept = self._staying()
        constants = self._constant_names(kept.values())
        rank: list[tuple[tuple[float, int], onnx.NodeProto]] = [
            ((float(index), 0), node) for index, node in kept.items()
        ]
        order = {node.name: number for number, node in enumerate(self.model.nodes)}
        taken = Counter(node.name for node in kept.values())
        for name in sorted(self.placed, key=order.__getitem__):
            node = self._nodes[name]
            proto = renamed(write_node(node), constants)
            self._describe(proto)
            proto.name = free_name(name, taken)
            taken[proto.name] += 1
            rank.append(((self._place(node), order[name]), proto))
        initializers = self._initializers(constants, [node for _, node in rank])
        nodes = stable_order(rank, node_reads, lambda node: node.output)
        there = {*initializers, *(name for node in nodes for name in node.output)}
        return Grafted(
            nodes=tuple(nodes),
            initializers=initializers,
            placed=frozenset(self._made),
            gone=frozenset(self._file.producers.keys() | self.origin.arrays.keys()) - there,
            reshaped=frozenset(self._reshaped),
        )

    def _describe(self, proto: onnx.NodeProto) -> None:
        """Give a new node the documentation of the node of the file that it stands for."""
        makers = (self._file.producers.get(name) for name in proto.output)
        index = self._file.named.get(proto.name, next(makers, None))
        if index is not None:
            node = self._file.graph.node[index]
            if node.doc_string:
                proto.doc_string = node.doc_string
            proto.metadata_props.extend(node.metadata_props)

    def _place(self, node: Node) -> float:
        """The number of the last node of the file that `node` replaces; else of its readers'."""
        own = [self._file.producers[name] for name in node.outputs if name in self._file.producers]
        if own:
            return float(max(own))
        readers = [
            self._place(reader) for name in node.outputs for reader in self.model.consumers(name)
        ]
        return min(readers, default=float(len(self._file.graph.node))) - 0.5

    def _constant_names(self, kept: Collection[onnx.NodeProto]) -> dict[str, str]:
        """Names in the file of the constants that placed nodes bring along.

        A constant that changed keeps its name where nothing in the file needs the old one.
        """
        read = {name for node in kept for name in node_reads(node)}
        read |= {info.name for info in self._file.graph.output}
        read |= {
            name
            for node in map(self._nodes.__getitem__, self.placed)
            for name in node.reads
            if not self._constant(name)
        }
        made = {name for node in kept for name in node.output}
        inputs = {info.name for info in self._file.graph.input}
        taken = {*made, *inputs, *self._replaced, *(read & self._file.given)}
        names: dict[str, str] = {}
        for node in sorted(self.placed):
            for old in self._nodes[node].reads:
                if old in names or old in self.pinned or not self._constant(old):
                    continue
                names[old] = free_name(old, taken)
                taken.add(names[old])
        return names

    def _initializers(
        self, names: Mapping[str, str], nodes: Sequence[onnx.NodeProto]
    ) -> dict[str, Array]:
        graph = self._file.graph
        used = {name for node in nodes for name in node_reads(node)}
        used.update(info.name for info in graph.output)
        before = {name for reads in self._file.reads for name in reads}
        before.update(info.name for info in graph.output)
        kept = {n: a for n, a in self.origin.arrays.items() if n in used or n not in before}
        kept |= {new: self.model.initializers[old] for old, new in names.items()}
        return kept | {n: self.model.initializers[n] for n in self.pinned if n in used}


def _without_outputs(node: onnx.NodeProto, pinned: Collection[str]) -> onnx.NodeProto:
    """A copy of `node` that computes some of its outputs under names that nothing reads."""
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    for position, name in enumerate(node.output):
        if name in pinned:
            copy.output[position] = f"{name}.replaced"
    return copy
