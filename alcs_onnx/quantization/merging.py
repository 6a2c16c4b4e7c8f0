"""What ONNX Runtime's quantizer did to the neutral graph, done to the file.

From its result come the Quantize and Dequantize nodes, their constants, and how the nodes in int8
are wired to them. Mended is what it does to others:

1. Float nodes that read a tensor which a float node computes, an input or a constant read that
   very tensor, and not what became of it in int8. So does whoever asks for it as an output.
2. A bias has its float name for itself again: the quantizer gives that to what it dequantizes.
3. Nodes, and what subgraphs read, keep everything but the names of tensors that changed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

import onnx
from onnx import numpy_helper

from alcs_onnx.graph.file_graph import node_reads
from alcs_onnx.graph.message import Message
from alcs_onnx.graph.model import Array
from alcs_onnx.graph.proto import free_name, renamed, subgraphs
from alcs_onnx.graph.sorting import stable_order
from alcs_onnx.quantization.neutral import Neutral, number, split


def merged(
    message: Message, neutral: Neutral, result: onnx.GraphProto, nodes: Collection[int]
) -> tuple[Message, Mapping[int, str]]:
    """`message` with `nodes` as they are in `result`, the quantized neutral graph.

    Also the first output of each of them there: the float tensor that is quantized next.
    """
    merge = _Merge(message, neutral, result, frozenset(nodes))
    return merge.message(), merge.computed()


@dataclass
class _Merge:
    source: Message
    neutral: Neutral
    result: onnx.GraphProto
    nodes: frozenset[int]
    taken: set[str] = field(init=False)
    names: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        graph = self.source.proto.graph
        self.taken = {*self.source.arrays, *_all_names(graph)}
        self._own = {neutral: name for name, neutral in self.neutral.tensors.items()}
        self._makers = {
            name: i for i, node in enumerate(graph.node) for name in node.output if name
        }
        self._nodes = {n: node for node in self.result.node if (n := number(node.name)) is not None}
        self._node_names = {node.name for node in graph.node}
        self._added = [node for node in self.result.node if number(node.name) is None]
        self.names = self._names()

    def _names(self) -> dict[str, str]:
        """Names in the result -> names in the file, as nodes in int8 and added nodes have them."""
        made = {name for node in self.result.node for name in node.output if name}
        names: dict[str, str] = {}
        for info in self.result.output:
            before = f"{info.name}_QuantizeLinear_Input"
            if before in made and not self._is_int8(self._own[info.name]):  # 1, an output
                names[before] = self._own[info.name]
                names[info.name] = self._free(info.name, "_DequantizeLinear_Output")
        for node in self._added:
            for name in node.output:
                if self._own.get(name) in self.neutral.constants:  # 2
                    names[name] = self._free(name, "_DequantizeLinear_Output")
        tensors = {tensor.name for tensor in self.result.initializer}
        for name in (*made, *tensors):
            if name not in names:
                names[name] = self._own.get(name) or self._free(*split(name))
        return names

    def _free(self, neutral: str, suffix: str) -> str:
        name = free_name(self._own[neutral] + suffix, self.taken)
        self.taken.add(name)
        return name

    def _is_int8(self, tensor: str) -> bool:
        return self._makers.get(tensor) in self.nodes

    def _final(self, neutral: str) -> str:
        return self.names.get(neutral) or self._own.get(neutral, "")

    def message(self) -> Message:
        ranked: list[tuple[tuple[float, int], onnx.NodeProto]] = []
        for index in self._nodes:
            node = self._quantized(index) if index in self.nodes else self._float(index)
            ranked.append(((float(index), 0), node))
        added = [self._renamed_node(node) for node in self._added]
        places = self._places([node for _, node in ranked], added)
        order = ((place, count) for count, place in enumerate(places, 1))
        ranked += list(zip(order, added, strict=True))
        final = self._needed(stable_order(ranked, node_reads, lambda node: node.output))
        proto = onnx.ModelProto()
        proto.CopyFrom(self.source.proto)
        del proto.graph.node[:]
        proto.graph.node.extend(final)
        self._declare(proto.graph)
        return Message(proto, self._arrays(final))

    def computed(self) -> dict[int, str]:
        """What each node in int8 computes; those that vanished are left out."""
        return {i: self._final(self._nodes[i].output[0]) for i in self.nodes if i in self._nodes}

    def _needed(self, nodes: list[onnx.NodeProto]) -> list[onnx.NodeProto]:
        """Without Constant nodes whose values are read in int8 now."""
        now = _read(nodes, self.source.proto.graph)
        gone = _read(self.source.proto.graph.node, self.source.proto.graph) - now
        return [n for n in nodes if n.op_type != "Constant" or n.output[0] not in gone]

    def _quantized(self, index: int) -> onnx.NodeProto:
        node = onnx.NodeProto()
        node.CopyFrom(self.source.proto.graph.node[index])
        found = self._nodes[index]
        node.input[:] = [self._final(name) for name in found.input]
        node.output[:] = [self._final(name) for name in found.output]
        del node.attribute[:]
        node.attribute.extend(found.attribute)
        return node

    def _float(self, index: int) -> onnx.NodeProto:
        node = self.source.proto.graph.node[index]
        reads = node_reads(node) if self._nodes[index].op_type == "Opaque" else tuple(node.input)
        changed = {
            name: self._final(new)
            for name, new in zip(reads, self._nodes[index].input, strict=True)
            if self._is_int8(name)
        }
        return renamed(node, {name: new for name, new in changed.items() if name != new})

    def _renamed_node(self, node: onnx.NodeProto) -> onnx.NodeProto:
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        copy.input[:] = [self._final(name) for name in node.input]
        copy.output[:] = [self._final(name) for name in node.output]
        head, rest = split(node.name)
        copy.name = free_name(f"{self._own.get(head, '')}{rest}", self._node_names)
        self._node_names.add(copy.name)
        return copy

    def _places(
        self, there: Iterable[onnx.NodeProto], added: Iterable[onnx.NodeProto]
    ) -> list[float]:
        """Behind the node whose result is quantized; else in front of the first that needs it."""
        last = float(len(self.source.proto.graph.node))
        behind, first = {}, dict[str, float]()
        for index, node in zip(self._nodes, there, strict=True):
            behind.update(dict.fromkeys(node.output, index + 0.25))
            for name in node_reads(node):
                first[name] = min(first.get(name, last), index - 0.5)
        places = []
        waiting = list(added)
        for node in waiting:
            for name in node.output:
                if node.input[0] in behind:
                    behind[name] = behind[node.input[0]]
        for node in reversed(waiting):
            for name in node.output:
                if name in first:
                    first[node.input[0]] = min(first.get(node.input[0], last), first[name])
        for node in waiting:
            name = node.output[0]
            places.append(behind.get(name, first.get(name, last)))
        return places

    def _arrays(self, nodes: Iterable[onnx.NodeProto]) -> dict[str, Array]:
        """The constants of the file that are still read or never were, and those that came."""
        graph = self.source.proto.graph
        before, now = _read(graph.node, graph), _read(nodes, graph)
        arrays = {n: a for n, a in self.source.arrays.items() if n in now or n not in before}
        for tensor in self.result.initializer:
            name = self.names[tensor.name]
            if name in now and name not in arrays:
                arrays[name] = numpy_helper.to_array(tensor)
        return arrays

    def _declare(self, graph: onnx.GraphProto) -> None:
        """Keep the declarations of tensors that are still there."""
        there = {name for node in graph.node for name in node.output}
        gone = {name for node in self.source.proto.graph.node for name in node.output} - there
        kept = [info for info in graph.value_info if info.name not in gone]
        del graph.value_info[:]
        graph.value_info.extend(kept)


def _read(nodes: Iterable[onnx.NodeProto], graph: onnx.GraphProto) -> set[str]:
    """The tensors that nodes read, and those that the graph returns."""
    outputs = {info.name for info in graph.output}
    return {name for node in nodes for name in node_reads(node)} | outputs


def _all_names(graph: onnx.GraphProto) -> set[str]:
    """The tensors of a graph and of those inside."""
    names = {info.name for info in (*graph.input, *graph.output, *graph.initializer)}
    for node in graph.node:
        names.update((*node.input, *node.output))
        for attribute in node.attribute:
            for inner in subgraphs(attribute):
                names |= _all_names(inner)
    return names
