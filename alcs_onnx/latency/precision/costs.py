"""What each node of a model costs in float32 and in int8, and each tensor between the two.

Plain values: `latency.precision.measured` makes them of two profiles, `solve.regions` finds the
nodes that are to be int8.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from math import inf

from alcs_onnx.errors import AlcsError


@dataclass(frozen=True)
class NodeCost:
    """Run time (ms) of one node in either precision; None where the node cannot run in it.

    A node that the runtime fuses into another one costs 0, and the other one all; `TensorCost`s of
    infinite prices keep the two together.
    """

    name: str
    float_ms: float | None
    int8_ms: float | None

    def __post_init__(self) -> None:
        if self.float_ms is None and self.int8_ms is None:
            raise AlcsError(f"node '{self.name}' runs neither in float32 nor in int8")


@dataclass(frozen=True)
class TensorCost:
    """What converting one tensor takes (ms), paid once however many nodes read the result.

    `producer` is the node that computes the tensor, empty for an input of the graph; `output` says
    that it is an output of the graph. Inputs and outputs of a graph are float32. `quantize_ms` is
    paid where the producer is float32 and a reader int8, `dequantize_ms` where the producer is int8
    and a reader or the graph's output float32. Infinite: producer and readers are of one precision.
    """

    name: str
    producer: str
    readers: tuple[str, ...]
    output: bool
    quantize_ms: float
    dequantize_ms: float

    def price(self, int8: Collection[str]) -> float:
        """What converting takes (ms) where the nodes `int8` are int8."""
        if self.producer in int8:
            all_int8 = not self.output and all(reader in int8 for reader in self.readers)
            return 0.0 if all_int8 else self.dequantize_ms
        return self.quantize_ms if any(reader in int8 for reader in self.readers) else 0.0


@dataclass(frozen=True)
class PrecisionCosts:
    """All nodes that compute floats, in the model's order, and all tensors between them.

    Raises `AlcsError` for tensors of nodes that are not there.
    """

    nodes: tuple[NodeCost, ...]
    tensors: tuple[TensorCost, ...]

    def __post_init__(self) -> None:
        for tensor in self.tensors:
            for name in (*([tensor.producer] if tensor.producer else []), *tensor.readers):
                if name not in self.by_name:
                    raise AlcsError(f"tensor '{tensor.name}' is of a node '{name}' without costs")

    @cached_property
    def by_name(self) -> Mapping[str, NodeCost]:
        """The nodes by their names."""
        return {node.name: node for node in self.nodes}

    @property
    def quantizable(self) -> frozenset[str]:
        """The nodes that can be int8."""
        return frozenset(node.name for node in self.nodes if node.int8_ms is not None)

    def latency(self, int8: Collection[str]) -> float:
        """Time (ms) of the model where the nodes `int8` are int8; infinite where that cannot be."""
        times = (node.int8_ms if node.name in int8 else node.float_ms for node in self.nodes)
        conversions = sum(tensor.price(int8) for tensor in self.tensors)
        return sum(inf if ms is None else ms for ms in times) + conversions

    def only(self, int8: Collection[str]) -> PrecisionCosts:
        """The same where no node but those of `int8` can be int8."""
        nodes = tuple(
            node if node.name in int8 or node.float_ms is None else replace(node, int8_ms=None)
            for node in self.nodes
        )
        return PrecisionCosts(nodes, self.tensors)

    def with_prices(self, factor: float) -> PrecisionCosts:
        """The same with every conversion `factor` times as expensive."""
        tensors = tuple(
            TensorCost(
                tensor.name,
                tensor.producer,
                tensor.readers,
                tensor.output,
                tensor.quantize_ms * factor,
                tensor.dequantize_ms * factor,
            )
            for tensor in self.tensors
        )
        return PrecisionCosts(self.nodes, tensors)
