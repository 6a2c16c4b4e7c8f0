"""The main graph of a model file, with who computes and who reads each tensor."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import onnx

from alcs_onnx.graph.calls import called_id, function_id
from alcs_onnx.graph.proto import attribute_captures, subgraphs

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from alcs_onnx.graph.model import Origin


#: Operators that tell a size, whose result has the same shape whatever the size is.
SIZE_OPS = ("Shape", "Size")


@dataclass(frozen=True, eq=False)
class FileGraph:
    """Nodes are numbered as they are in the file."""

    origin: Origin

    @property
    def graph(self) -> onnx.GraphProto:
        """The message itself."""
        return self.origin.proto.graph

    @cached_property
    def producers(self) -> Mapping[str, int]:
        """Tensor -> the node that computes it."""
        return {
            name: index
            for index, node in enumerate(self.graph.node)
            for name in node.output
            if name
        }

    @cached_property
    def named(self) -> Mapping[str, int]:
        """Name -> the node that has it."""
        return {node.name: index for index, node in enumerate(self.graph.node) if node.name}

    @cached_property
    def reads(self) -> tuple[tuple[str, ...], ...]:
        """What each node depends on, captures of subgraphs included."""
        return tuple(node_reads(node) for node in self.graph.node)

    @cached_property
    def readers(self) -> Mapping[str, tuple[int, ...]]:
        """Tensor -> the nodes that depend on it."""
        found: dict[str, list[int]] = {}
        for index, reads in enumerate(self.reads):
            for name in reads:
                found.setdefault(name, []).append(index)
        return {name: tuple(numbers) for name, numbers in found.items()}

    @cached_property
    def given(self) -> frozenset[str]:
        """Inputs and initializers."""
        return frozenset({info.name for info in self.graph.input} | self.origin.arrays.keys())

    @cached_property
    def alive(self) -> frozenset[int]:
        """The nodes that the outputs depend on."""
        found: set[int] = set()
        waiting = [info.name for info in self.graph.output]
        while waiting:
            index = self.producers.get(waiting.pop())
            if index is not None and index not in found:
                found.add(index)
                waiting += self.reads[index]
        return frozenset(found)

    @cached_property
    def composite(self) -> frozenset[int]:
        """The nodes that have nodes inside: branches, loops, and calls of the file's functions."""
        functions = {function_id(function) for function in self.origin.proto.functions}
        return frozenset(
            index
            for index, node in enumerate(self.graph.node)
            if called_id(node) in functions or any(subgraphs(a) for a in node.attribute)
        )

    def outputs(self, index: int) -> set[str]:
        """What node `index` computes."""
        return {name for name in self.graph.node[index].output if name}

    def siblings(self, tensor: str) -> set[str]:
        """The other outputs of the node that computes `tensor`."""
        return self.outputs(self.producers[tensor]) - {tensor}

    def reshaped(self, tensors: Collection[str], known: Collection[str]) -> set[str]:
        """`tensors`, and what may have another shape where these have, outside of `known`.

        That is what nodes compute of them, without tensors in `known` between; what Shape and Size
        give always has the same shape.
        """
        found, waiting = set(tensors), list(tensors)
        while waiting:
            for index in self.readers.get(waiting.pop(), ()):
                if self.graph.node[index].op_type not in SIZE_OPS:
                    new = self.outputs(index) - found - set(known)
                    found |= new
                    waiting += new
        return found


def node_reads(node: onnx.NodeProto) -> tuple[str, ...]:
    """The tensors that `node` depends on: its present inputs, and what its subgraphs capture."""
    captured = (name for attribute in node.attribute for name in attribute_captures(attribute))
    return tuple(dict.fromkeys((*(name for name in node.input if name), *captured)))
