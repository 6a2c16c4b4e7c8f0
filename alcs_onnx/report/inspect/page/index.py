"""An inspection by node: what each part of it says of one node of the file."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from alcs_onnx.pipeline.inspect.result import (
    CurveFacts,
    GroupFacts,
    Inspection,
    LayerFacts,
    LayerSparsity,
    NodeFacts,
    NodeLatency,
)
from alcs_onnx.report.html.blocks import Link
from alcs_onnx.report.html.graph import node_href


@dataclass(frozen=True, eq=False)
class Index:
    """The parts of `found` by node, and the order in which groups and curves are numbered."""

    found: Inspection

    @property
    def nodes(self) -> tuple[NodeFacts, ...]:
        """The nodes of the file."""
        return self.found.model.nodes

    @cached_property
    def names(self) -> frozenset[str]:
        """Names of the nodes of the file."""
        return frozenset(node.name for node in self.nodes)

    @cached_property
    def layers(self) -> Mapping[str, Sequence[LayerFacts]]:
        """Layers by node."""
        found: dict[str, list[LayerFacts]] = defaultdict(list)
        for layer in self.found.model.layers:
            found[layer.node].append(layer)
        return found

    @cached_property
    def groups(self) -> tuple[GroupFacts, ...]:
        """All coupling groups."""
        return self.found.coupling.groups if self.found.coupling else ()

    @cached_property
    def groups_of(self) -> Mapping[str, Sequence[int]]:
        """Numbers of the groups that run through each node."""
        found: dict[str, list[int]] = defaultdict(list)
        for number, group in enumerate(self.groups):
            for node in group.nodes:
                found[node].append(number)
        return found

    @cached_property
    def frozen(self) -> frozenset[str]:
        """Nodes through which only groups run that cannot lose channels."""
        return frozenset(
            node
            for node, numbers in self.groups_of.items()
            if all(self.groups[number].frozen for number in numbers)
        )

    @cached_property
    def sparsity(self) -> Mapping[str, LayerSparsity]:
        """Sparsity by node."""
        layers = self.found.sparsity.layers if self.found.sparsity else ()
        return {layer.node: layer for layer in layers}

    @cached_property
    def latency(self) -> Mapping[str, NodeLatency]:
        """Times by node."""
        nodes = self.found.latency.nodes if self.found.latency else ()
        return {node.node: node for node in nodes}

    @cached_property
    def curves(self) -> Mapping[str, CurveFacts]:
        """Latency curves by layer."""
        curves = self.found.latency.curves if self.found.latency else ()
        return {curve.layer: curve for curve in curves}

    @cached_property
    def node_of_layer(self) -> Mapping[str, str]:
        """The node of each layer; absent where the file has none."""
        return {layer.layer: layer.node for layer in self.found.model.layers if layer.node}

    def link(self, node: str, shown: str = "") -> Link | str | None:
        """A link to a node, called `shown` or by its name; only text where the file has none."""
        if node in self.names:
            return Link(shown or node, node_href(node))
        return shown or node or None
