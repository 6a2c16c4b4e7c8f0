"""A graph drawn in rows: parts that hang together one by one, then side by side."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from alcs_onnx.report.html.graph_layout.columns import assign_x
from alcs_onnx.report.html.graph_layout.ordering import order_rows
from alcs_onnx.report.html.graph_layout.ranks import Edge, assign_ranks
from alcs_onnx.report.html.graph_layout.rows import Rows, with_bends

Point = tuple[float, float]

#: Width over height at which separate parts begin another line.
_ASPECT = 1.6
#: Least distances of nodes within a row, and of rows.
_GAP_WITHIN, _GAP_BETWEEN = 24.0, 40.0
#: The room of an edge that passes through a row.
_BEND_WIDTH = 8.0


@dataclass(frozen=True)
class Layout:
    """Where nodes and edges lie; y grows downwards, nothing is below 0.

    `centres` are the middles of the nodes. `routes` go with the edges as they were given: from
    the bottom of the source through bends to the top of the target. Every edge leads to a node
    of a higher rank that lies lower.
    """

    centres: tuple[Point, ...]
    ranks: tuple[int, ...]
    routes: tuple[tuple[Point, ...], ...]
    width: float
    height: float


def layered_layout(
    sizes: Sequence[tuple[float, float]],
    edges: Sequence[Edge],
) -> Layout:
    """Lay out nodes of `sizes` (width, height), and `edges` from one node to another.

    Equal graphs get equal drawings. Raises `ValueError` for a cycle.
    """
    parts = [_Part(nodes, sizes, links) for nodes, links in _separate(len(sizes), edges)]
    centres: list[Point] = [(0.0, 0.0)] * len(sizes)
    ranks = [0] * len(sizes)
    routes: dict[Edge, tuple[Point, ...]] = {}
    width = height = 0.0
    for part, (left, top) in zip(parts, _arrange(parts), strict=True):
        for node, rank, (x, y) in zip(part.nodes, part.graph.ranks, part.centres, strict=False):
            centres[node], ranks[node] = (x + left, y + top), rank
        for edge, route in part.routes().items():
            routes[edge] = tuple((round(x + left, 1), round(y + top, 1)) for x, y in route)
        width, height = max(width, left + part.width), max(height, top + part.height)
    return Layout(
        centres=tuple((round(x, 1), round(y, 1)) for x, y in centres),
        ranks=tuple(ranks),
        routes=tuple(routes[edge] for edge in edges),
        width=width,
        height=height,
    )


class _Part:
    """The drawing of nodes that hang together, at the origin. Nodes keep their outer numbers."""

    def __init__(
        self,
        nodes: Sequence[int],
        sizes: Sequence[tuple[float, float]],
        edges: Sequence[Edge],
    ) -> None:
        inner = {node: i for i, node in enumerate(nodes)}
        links = [(inner[source], inner[target]) for source, target in dict.fromkeys(edges)]
        self.nodes, self._edges = nodes, links
        self.graph: Rows = with_bends(assign_ranks(len(nodes), links), links)
        bends = len(self.graph.ranks) - len(nodes)
        widths = [sizes[node][0] for node in nodes] + [_BEND_WIDTH] * bends
        self._heights = [sizes[node][1] for node in nodes]
        rows = order_rows(self.graph)
        x = assign_x(self.graph, rows, widths, _GAP_WITHIN)
        self._tops, self._bottoms = self._levels(rows)
        self.centres: list[Point] = [
            (x[v], (self._tops[rank] + self._bottoms[rank]) / 2)
            for v, rank in enumerate(self.graph.ranks)
        ]
        self.width = max(v + width / 2 for v, width in zip(x, widths, strict=True))
        self.height = self._bottoms[-1]

    def _levels(self, rows: Sequence[Sequence[int]]) -> tuple[list[float], list[float]]:
        tops, bottoms, y = [], [], 0.0
        for row in rows:
            tops.append(y)
            y += max((self._heights[v] for v in row if not self.graph.is_bend(v)), default=0.0)
            bottoms.append(y)
            y += _GAP_BETWEEN
        return tops, bottoms

    def routes(self) -> dict[Edge, tuple[Point, ...]]:
        """The points of each edge."""
        return {
            (self.nodes[source], self.nodes[target]): self._route(source, target)
            for source, target in self._edges
        }

    def _route(self, source: int, target: int) -> tuple[Point, ...]:
        (x, y), (end_x, end_y) = self.centres[source], self.centres[target]
        points = [(x, y + self._heights[source] / 2)]
        for bend in self.graph.through.get((source, target), ()):
            # Through the whole row, so that no node of the row is cut.
            rank, across = self.graph.ranks[bend], self.centres[bend][0]
            points += [(across, self._tops[rank]), (across, self._bottoms[rank])]
        points.append((end_x, end_y - self._heights[target] / 2))
        return tuple(_without_needless(points))


def _without_needless(points: Sequence[Point]) -> list[Point]:
    """The points without those in the middle of a vertical line."""
    kept = list(points[:2])
    for point in points[2:]:
        if abs(kept[-2][0] - kept[-1][0]) < 0.1 and abs(kept[-1][0] - point[0]) < 0.1:
            kept.pop()
        kept.append(point)
    return kept


def _separate(count: int, edges: Sequence[Edge]) -> list[tuple[list[int], list[Edge]]]:
    """The parts of the graph that hang together, each with its edges, in the order of nodes."""
    first = list(range(count))

    def find(node: int) -> int:
        while first[node] != node:
            first[node] = first[first[node]]
            node = first[node]
        return node

    for source, target in edges:
        a, b = find(source), find(target)
        first[max(a, b)] = min(a, b)
    nodes: dict[int, list[int]] = defaultdict(list)
    for node in range(count):
        nodes[find(node)].append(node)
    links: dict[int, list[Edge]] = defaultdict(list)
    for edge in edges:
        links[find(edge[0])].append(edge)
    return [(members, links[name]) for name, members in nodes.items()]


def _arrange(parts: Sequence[_Part]) -> list[Point]:
    """Top left corners: parts side by side in lines, the tallest first."""
    area = sum((part.width + _GAP_WITHIN) * (part.height + _GAP_BETWEEN) for part in parts)
    limit = max([math.sqrt(area * _ASPECT), *(part.width for part in parts)])
    corners: list[Point] = [(0.0, 0.0)] * len(parts)
    left = top = lowest = 0.0
    for index in sorted(range(len(parts)), key=lambda i: -parts[i].height):
        part = parts[index]
        if left and left + part.width > limit:
            left, top = 0.0, lowest + _GAP_BETWEEN
        corners[index] = (left, top)
        left += part.width + 2 * _GAP_WITHIN
        lowest = max(lowest, top + part.height)
    return corners
