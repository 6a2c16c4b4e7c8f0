"""The order within rows: sweeps down and up that put vertices where their neighbours are."""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Sequence
from itertools import pairwise

from alcs_onnx.report.html.graph_layout.rows import Rows

#: Sweeps in all, and how many may pass without fewer crossings.
_SWEEPS = 24
_PATIENCE = 4
#: Vertices that all sweeps together may visit: huge graphs get fewer.
_VISITS = 250_000


def order_rows(graph: Rows) -> list[list[int]]:
    """Vertices of each row from left to right, in an order with few crossings."""
    rows = _depth_first(graph)
    best, least = rows, crossings(rows, graph.below)
    sweeps = min(_SWEEPS, max(2, _VISITS // max(len(graph.ranks), 1)))
    stale = 0
    for sweep in range(sweeps):
        if not least or stale == _PATIENCE:
            break
        rows = _sweep(rows, graph, down=sweep % 2 == 0)
        count = crossings(rows, graph.below)
        stale += 1
        if count < least:
            best, least, stale = rows, count, 0
    return best


def crossings(rows: Sequence[Sequence[int]], below: Sequence[Sequence[int]]) -> int:
    """Pairs of edges that cross, over all adjacent rows."""
    total = 0
    for upper, lower in pairwise(rows):
        place = {vertex: i for i, vertex in enumerate(lower)}
        passed: list[int] = []
        for vertex in upper:
            ends = sorted(place[target] for target in below[vertex])
            total += sum(len(passed) - bisect_right(passed, end) for end in ends)
            for end in ends:
                insort(passed, end)
    return total


def _depth_first(graph: Rows) -> list[list[int]]:
    """Rows in the order in which a walk from the top meets the vertices: trees do not cross."""
    rows: list[list[int]] = [[] for _ in graph.rows]
    seen = [False] * len(graph.ranks)
    starts = sorted(range(len(graph.ranks)), key=lambda v: (graph.ranks[v], v), reverse=True)
    stack = [vertex for vertex in starts if not graph.above[vertex]]
    while stack:
        vertex = stack.pop()
        if seen[vertex]:
            continue
        seen[vertex] = True
        rows[graph.ranks[vertex]].append(vertex)
        stack.extend(reversed(graph.below[vertex]))
    return rows


def _sweep(rows: Sequence[Sequence[int]], graph: Rows, *, down: bool) -> list[list[int]]:
    """Sort each row by the mean place of the neighbours in the row before it."""
    neighbours = graph.above if down else graph.below
    place = [0.0] * len(graph.ranks)
    swept: list[list[int]] = []
    for row in rows if down else reversed(rows):
        ordered = list(row)
        if swept and len(row) > 1:
            key = _barycentres(row, neighbours, place)
            # Stable, so that ties and vertices without neighbours keep their order.
            ordered.sort(key=key.__getitem__)
        for i, vertex in enumerate(ordered):
            place[vertex] = float(i)
        swept.append(ordered)
    return swept if down else swept[::-1]


def _barycentres(
    row: Sequence[int], neighbours: Sequence[Sequence[int]], place: Sequence[float]
) -> dict[int, float]:
    """Mean place of each vertex's neighbours; without any, that of the vertex to the left."""
    found: dict[int, float] = {}
    last = -1.0
    for vertex in row:
        around = neighbours[vertex]
        if around:
            last = sum(place[other] for other in around) / len(around)
        found[vertex] = last
    return found
