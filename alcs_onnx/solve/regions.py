"""Which nodes are int8: the regions of a graph that are faster so, as a minimum cut.

Every node is int8 or float32 and costs what it takes in that precision; a tensor between the two
costs its conversion, once. The cheapest choice is a minimum s-t cut (the project selection problem;
Picard, "Maximal closure of a graph", 1976): int8 nodes are on the source's side. A conversion that
several readers share has a vertex of its own that is on their side as soon as one of them is.

With a weight on what a node loses in int8 the same cut gives every point of the lower convex hull
of latency and loss (Lagrange multipliers; the breakpoints as Eisner and Severance, 1976).
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from math import inf, isfinite

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import breadth_first_order, maximum_flow

from alcs_onnx.errors import AlcsError
from alcs_onnx.latency import NodeCost, PrecisionCosts

#: What candidates take the conversions to cost, of what was measured.
PRICE_FACTORS = (1.0, 2.0, 0.5)
#: All finite capacities together, in whole units: scipy's flows are 32-bit integers.
_MOST_UNITS = 2**30
#: The smallest unit of capacities, one nanosecond (ms).
_NANOSECOND = 1e-6
#: Vertices that are no nodes.
_SOURCE, _SINK = ("source",), ("sink",)


@dataclass(frozen=True)
class RegionChoice:
    """The nodes that are int8, with their latency (ms) and loss by the estimates."""

    int8: frozenset[str]
    latency_ms: float
    loss: float


def int8_regions(
    costs: PrecisionCosts,
    losses: Mapping[str, float] | None = None,
    price_of_loss: float = 0.0,
) -> frozenset[str]:
    """The int8 nodes of least latency + `price_of_loss` * loss.

    `losses` says what each node loses in int8, in any unit that can be summed; nodes without an
    entry lose nothing. `price_of_loss` is in ms for one such unit. Of equally good choices the one
    with the fewest int8 nodes. Exact up to a nanosecond per node and tensor (for models that take
    less than a second; coarser above).

    Raises `AlcsError` for negative or NaN times, prices and losses, and where no choice is
    possible.
    """
    graph = _Graph()
    for node in costs.nodes:
        loss = price_of_loss * (losses or {}).get(node.name, 0.0)
        graph.link(_SOURCE, node.name, inf if node.float_ms is None else node.float_ms)
        graph.link(node.name, _SINK, inf if node.int8_ms is None else node.int8_ms + loss)
    for tensor in costs.tensors:
        producer = tensor.producer or _SINK
        wanted, left = ("quantized", tensor.name), ("dequantized", tensor.name)
        graph.link(wanted, producer, tensor.quantize_ms)
        graph.link(producer, left, tensor.dequantize_ms)
        for reader in tensor.readers:
            graph.link(reader, wanted, inf)
            graph.link(left, reader, inf)
        if tensor.output:
            graph.link(left, _SINK, inf)
    side = graph.source_side()
    chosen = frozenset(node.name for node in costs.nodes if node.name in side)
    if not isfinite(costs.latency(chosen)):
        raise AlcsError("no choice of float32 and int8 nodes is possible")
    return chosen


def candidates(costs: PrecisionCosts) -> tuple[frozenset[str], ...]:
    """The choices of int8 nodes worth building and measuring, each once.

    None, all that can be int8, and the fastest by the costs: as they are, and with conversions
    twice and half as expensive, since these are what the costs know least about.
    """
    cuts = (int8_regions(costs.with_prices(factor)) for factor in PRICE_FACTORS)
    return tuple(dict.fromkeys((frozenset[str](), costs.quantizable, *cuts)))


def frontier(
    costs: PrecisionCosts, losses: Mapping[str, float], most: int = 8
) -> tuple[RegionChoice, ...]:
    """Choices from the fastest to the one that loses least: each the fastest for its loss.

    They are corners of the lower convex hull of latency over loss, all of them where there are no
    more than `most`, else those that lie furthest below the line between their neighbours. Each
    one's int8 nodes are among those of the one before.

    Raises as `int8_regions`, and `AlcsError` for `most` below 2.
    """
    if most < 2:
        raise AlcsError(f"a frontier has at least two ends, not {most}")

    def choice(int8: frozenset[str]) -> RegionChoice:
        loss = sum(losses.get(node.name, 0.0) for node in costs.nodes if node.name in int8)
        return RegionChoice(int8, costs.latency(int8), loss)

    def corner(left: RegionChoice, right: RegionChoice) -> tuple[float, RegionChoice]:
        """The corner furthest below the line between two others, and how far below (ms)."""
        price = (right.latency_ms - left.latency_ms) / (left.loss - right.loss)
        found = choice(int8_regions(costs, losses, price))
        below = left.latency_ms - found.latency_ms + price * (left.loss - found.loss)
        return below, found

    fastest, safest = choice(int8_regions(costs)), choice(int8_regions(_without(costs, losses)))
    corners = [fastest, safest] if fastest.loss > safest.loss else [fastest]
    between = [corner(*corners)] if len(corners) == 2 else []
    while len(corners) < most and between:
        widest = max(range(len(between)), key=lambda gap: between[gap][0])
        below, found = between[widest]
        if below <= len(costs.nodes) * _NANOSECOND:
            break
        corners.insert(widest + 1, found)
        halves = [(corners[gap], corners[gap + 1]) for gap in (widest, widest + 1)]
        between[widest : widest + 1] = [corner(left, right) for left, right in halves]
    return tuple(corners)


def spend(
    costs: PrecisionCosts, losses: Mapping[str, float], start: frozenset[str], latency_ms: float
) -> RegionChoice:
    """`start` with nodes taken back to float32 as long as the model stays within `latency_ms`.

    Between two corners of the frontier there is room that no corner uses. Greedily, the node comes
    next that takes the most loss for its time; with each come those that are float32 beside it by
    then (`int8_regions` of what is left).
    """

    def choice(int8: frozenset[str]) -> RegionChoice:
        loss = sum(losses.get(name, 0.0) for name in int8)
        return RegionChoice(int8, costs.latency(int8), loss)

    current = choice(start)
    while True:
        lossy = [name for name in sorted(current.int8) if losses.get(name, 0.0) > 0]
        less = [_possible_regions(costs.only(current.int8 - {name})) for name in lossy]
        steps = [choice(int8) for int8 in less if int8 is not None]
        fitting = [x for x in steps if x.latency_ms <= latency_ms and x.loss < current.loss]
        if not fitting:
            return current
        current = max(fitting, key=lambda x: _gain(current, x))


def _possible_regions(costs: PrecisionCosts) -> frozenset[str] | None:
    """`int8_regions`; None where no choice is possible."""
    try:
        return int8_regions(costs)
    except AlcsError:
        return None


def _gain(before: RegionChoice, after: RegionChoice) -> float:
    """Loss that is taken back for each ms."""
    return (before.loss - after.loss) / max(after.latency_ms - before.latency_ms, _NANOSECOND)


def _without(costs: PrecisionCosts, losses: Mapping[str, float]) -> PrecisionCosts:
    """The costs where whatever loses something stays float32."""
    nodes = tuple(
        NodeCost(node.name, node.float_ms, None) if losses.get(node.name, 0.0) > 0 else node
        for node in costs.nodes
    )
    return PrecisionCosts(nodes, costs.tensors)


@dataclass
class _Graph:
    """A directed graph with capacities (ms) that grows link by link."""

    _index: dict[Hashable, int] = field(default_factory=lambda: {_SOURCE: 0, _SINK: 1})
    _links: list[tuple[int, int, float]] = field(default_factory=list)

    def link(self, tail: Hashable, head: Hashable, capacity: float) -> None:
        """A link from `tail` to `head`; raises `AlcsError` for a negative capacity or NaN."""
        if not capacity >= 0:
            name = next(end for end in (tail, head) if end not in (_SOURCE, _SINK))
            raise AlcsError(f"{name}: {capacity:g} ms is no time")
        ends = (self._index.setdefault(end, len(self._index)) for end in (tail, head))
        self._links.append((*ends, capacity))  # type: ignore[arg-type]

    def source_side(self) -> set[Hashable]:
        """The vertices on the source's side of the minimum cut, the smallest such set."""
        tails, heads, given = (np.array(column) for column in zip(*self._links, strict=True))
        finite = np.isfinite(given)
        total = float(given[finite].sum())
        unit = max(_NANOSECOND, total / (_MOST_UNITS - len(given)))
        units = np.where(finite, np.round(np.where(finite, given, 0.0) / unit), _MOST_UNITS)
        shape = (len(self._index), len(self._index))
        capacities = csr_array((units.astype(np.int64), (tails, heads)), shape=shape)
        capacities.data = np.minimum(capacities.data, _MOST_UNITS).astype(np.int32)
        residual = capacities - maximum_flow(capacities.astype(np.int32), 0, 1).flow
        residual.data = np.maximum(residual.data, 0)
        residual.eliminate_zeros()
        reached = set(breadth_first_order(residual, 0, return_predecessors=False).tolist())
        return {vertex for vertex, index in self._index.items() if index in reached}
