"""A network cut into parts, so that all samples go through one layer and then through the next."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from alcs_onnx.graph import Model, Node, conv_layers, part, stages
from alcs_onnx.ort import Feeds

#: Inputs of a network, chunk by chunk, the same in every pass.
Fed = Callable[[], Iterable[Feeds]]


@dataclass(frozen=True, eq=False)
class Stages:
    """`model` cut into parts, each to be run after those before it.

    The layers `apart`, by name, are parts of their own.
    """

    model: Model
    apart: Collection[str]

    @cached_property
    def nodes(self) -> tuple[tuple[Node, ...], ...]:
        """The nodes of each part."""
        return stages(self.model, self.apart)

    def __len__(self) -> int:
        return len(self.nodes)

    def layer(self, index: int) -> str | None:
        """The layer that part `index` is, where it is one that is apart."""
        name = self.nodes[index][0].name
        return name if name in self.apart else None

    def between(self, after: int, last: int, outputs: Sequence[str] | None = None) -> Model:
        """The parts behind part `after`, up to part `last`, as one model; see `part`."""
        parts = self.nodes[after + 1 : last + 1]
        return part(self.model, [node for nodes in parts for node in nodes], outputs)

    def rest(self, index: int) -> Model:
        """All that comes behind part `index`, as one model."""
        return self.between(index, len(self) - 1)

    def live(self, index: int) -> tuple[str, ...]:
        """The tensors that are there behind part `index` and are needed; -1: at the inputs."""
        return self._live[index + 1]

    def macs(self, index: int) -> int:
        """Multiply-accumulates of the layers of a part, for the samples of the model's shapes."""
        return sum(self._macs.get(node.name, 0) for node in self.nodes[index])

    def bytes(self, tensors: Sequence[str]) -> int:
        """What tensors take, for as many samples."""
        model, found = self.model, 0
        for name in tensors:
            size = model.dtypes[name].itemsize if name in model.dtypes else 4
            for each in model.shapes.get(name, ()):
                size *= each
            found += size
        return found

    @cached_property
    def _macs(self) -> Mapping[str, int]:
        return {layer.name: layer.macs for layer in conv_layers(self.model)}

    @cached_property
    def _live(self) -> tuple[tuple[str, ...], ...]:
        model = self.model
        last = {
            name: index
            for index, nodes in enumerate(self.nodes)
            for node in nodes
            for name in node.reads
            if name not in model.initializers
        }
        last |= {info.name: len(self) for info in model.outputs}
        there = [info.name for info in model.inputs]
        found = [tuple(name for name in there if last.get(name, -1) >= 0)]
        for index, nodes in enumerate(self.nodes):
            there += [name for node in nodes for name in node.outputs if name]
            there = [name for name in there if last.get(name, -1) > index]
            found.append(tuple(there))
        return tuple(found)
