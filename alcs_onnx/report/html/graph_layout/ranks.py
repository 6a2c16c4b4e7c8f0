"""Rows of an acyclic graph: every edge leads to a later one."""

from __future__ import annotations

from collections.abc import Sequence

Edge = tuple[int, int]


def topological_order(count: int, edges: Sequence[Edge]) -> list[int]:
    """All nodes, each after those it depends on; raises `ValueError` for a cycle."""
    below, waits = successors(count, edges), [0] * count
    for _, target in edges:
        waits[target] += 1
    order = [node for node in range(count) if not waits[node]]
    for node in order:  # grows while it is read
        for target in below[node]:
            waits[target] -= 1
            if not waits[target]:
                order.append(target)
    if len(order) < count:
        raise ValueError("the graph has a cycle")
    return order


def successors(count: int, edges: Sequence[Edge]) -> list[list[int]]:
    """Targets of the edges of each node."""
    found: list[list[int]] = [[] for _ in range(count)]
    for source, target in edges:
        found[source].append(target)
    return found


def assign_ranks(count: int, edges: Sequence[Edge]) -> list[int]:
    """The row of each node: as high as its inputs allow, or lower where that shortens edges.

    Raises `ValueError` for a cycle.
    """
    order = topological_order(count, edges)
    below = successors(count, edges)
    incoming = [0] * count
    ranks = [0] * count
    for node in order:
        for target in below[node]:
            incoming[target] += 1
            ranks[target] = max(ranks[target], ranks[node] + 1)
    for node in reversed(order):
        # A move down shortens what leaves the node and lengthens what enters it.
        if len(below[node]) > incoming[node]:
            ranks[node] = min(ranks[target] for target in below[node]) - 1
    return ranks
