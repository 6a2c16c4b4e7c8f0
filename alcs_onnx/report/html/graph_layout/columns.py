"""x coordinates: vertices stand below one another where they can, long edges above all.

After Brandes and Koepf (2001): vertices are aligned with the median of their neighbours in four
ways, from the top and from the bottom, from the left and from the right. Each way gives columns
of vertices that are pushed together, and the middle of the four is taken.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from alcs_onnx.report.html.graph_layout.ranks import topological_order
from alcs_onnx.report.html.graph_layout.rows import Rows


def assign_x(
    graph: Rows, rows: Sequence[Sequence[int]], widths: Sequence[float], gap: float
) -> list[float]:
    """The centre of every vertex, 0 or more from the left edge of the drawing.

    Vertices of a row keep their order and are `gap` or more apart.
    """
    crossed = set(_yielding(graph, rows))
    ways: list[list[float]] = []
    for from_top in (True, False):
        for from_left in (True, False):
            ordered = [list(row) if from_left else list(row)[::-1] for row in rows]
            if not from_top:
                ordered.reverse()
            column = _align(ordered, graph.above if from_top else graph.below, crossed)
            x = _compact(ordered, column, widths, gap)
            ways.append(x if from_left else [-value for value in x])
    middle = _middle(ways, widths)
    left = min((x - width / 2 for x, width in zip(middle, widths, strict=True)), default=0.0)
    return [x - left for x in middle]


def _yielding(graph: Rows, rows: Sequence[Sequence[int]]) -> Iterator[tuple[int, int]]:
    """Pairs of neighbours, upper first, that no column may join: long edges go before them.

    These are segments that cross one between two bends, and those that leave a trunk.
    """
    for upper, lower in pairwise(rows):
        place = {vertex: i for i, vertex in enumerate(upper)}
        # Ends of the nearest segments between bends to the left and right of a vertex.
        left = -1
        pending: list[int] = []
        for vertex in lower:
            trunk = next((v for v in graph.above[vertex] if graph.is_bend(v)), None)
            if graph.is_bend(vertex) and trunk is not None:
                end = place[trunk]
                yield from _outside(pending, graph, place, left, end)
                left, pending = end, []
            else:
                pending.append(vertex)
        yield from _outside(pending, graph, place, left, len(upper))
    for vertex in range(graph.nodes, len(graph.ranks)):
        if any(graph.is_bend(target) for target in graph.below[vertex]):
            yield from ((vertex, t) for t in graph.below[vertex] if not graph.is_bend(t))


def _outside(
    vertices: Sequence[int], graph: Rows, place: dict[int, int], left: int, right: int
) -> Iterator[tuple[int, int]]:
    for vertex in vertices:
        for other in graph.above[vertex]:
            if not left <= place[other] <= right:
                yield other, vertex


def _align(
    rows: Sequence[Sequence[int]],
    neighbours: Sequence[Sequence[int]],
    crossed: set[tuple[int, int]],
) -> list[int]:
    """The column of every vertex, named after its first one: at most one vertex of each row.

    Columns never cross: in each row, those further right go on further right.
    """
    column = list(range(len(neighbours)))
    for before, row in pairwise(rows):
        place = {vertex: i for i, vertex in enumerate(before)}
        last = -1
        for vertex in row:
            around = sorted(place[other] for other in neighbours[vertex])
            middle = len(around) // 2
            # Two medians where the number is even, the left one first.
            for end in around[middle - 1 + len(around) % 2 : middle + 1]:
                other = before[end]
                free = (other, vertex) not in crossed and (vertex, other) not in crossed
                if column[vertex] == vertex and end > last and free:
                    column[vertex] = column[other]
                    last = end
    return column


def _compact(
    rows: Sequence[Sequence[int]], column: Sequence[int], widths: Sequence[float], gap: float
) -> list[float]:
    """Push columns to the left, then those that have room back to their right neighbours."""
    apart: dict[tuple[int, int], float] = {}
    for row in rows:
        for left, right in pairwise(row):
            key = column[left], column[right]
            apart[key] = max(apart.get(key, 0.0), (widths[left] + widths[right]) / 2 + gap)
    after: list[list[tuple[int, float]]] = [[] for _ in column]
    for (left, right), distance in apart.items():
        after[left].append((right, distance))
    order = topological_order(len(column), list(apart))
    x = [0.0] * len(column)
    for left in order:
        for right, distance in after[left]:
            x[right] = max(x[right], x[left] + distance)
    for left in reversed(order):
        if after[left]:
            x[left] = max(x[left], min(x[right] - distance for right, distance in after[left]))
    return [x[name] for name in column]


def _middle(ways: Sequence[list[float]], widths: Sequence[float]) -> list[float]:
    """The mean of the two middle ones of four drawings, moved over the narrowest one first.

    Every drawing keeps the distances within rows, and so does any one made of their medians.
    """
    if not widths:
        return []
    edges = [
        (
            min(x - width / 2 for x, width in zip(way, widths, strict=True)),
            max(x + width / 2 for x, width in zip(way, widths, strict=True)),
        )
        for way in ways
    ]
    left, right = min(edges, key=lambda edge: edge[1] - edge[0])
    # Drawings pushed to the left come first of each pair.
    moves = [
        left - edge[0] if index % 2 == 0 else right - edge[1] for index, edge in enumerate(edges)
    ]
    found = []
    for values in zip(*ways, strict=True):
        placed = sorted(value + move for value, move in zip(values, moves, strict=True))
        found.append((placed[1] + placed[2]) / 2)
    return found
