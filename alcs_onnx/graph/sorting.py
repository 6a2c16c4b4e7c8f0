"""Topological order that moves as little as possible."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol, TypeVar

from alcs_onnx.errors import ModelError


class _Named(Protocol):
    @property
    def name(self) -> str: ...


Item = TypeVar("Item", bound=_Named)

#: The tensors that a node reads, or computes.
Tensors = Callable[[Item], Iterable[str]]


def stable_order(
    ranked: Iterable[tuple[tuple[float, int], Item]], reads: Tensors[Item], computes: Tensors[Item]
) -> list[Item]:
    """The nodes by their ranks, but each behind those that compute what it reads.

    A node that has to come earlier than its rank says comes right before the one that needs it; so
    nodes that were in order stay so among themselves. (graphsurgeon sorts by levels, which moves
    every node of a graph with branches.) Ranks are unique. Raises `ModelError` for a cycle.
    """
    nodes: Sequence[Item] = [node for _, node in sorted(ranked, key=lambda pair: pair[0])]
    producer = {name: i for i, node in enumerate(nodes) for name in computes(node) if name}
    needs = [[producer[name] for name in reads(node) if name in producer] for node in nodes]
    order: list[Item] = []
    done: set[int] = set()
    for index in range(len(nodes)):
        path = [index]
        on_path = {index}
        while path:
            current = path[-1]
            missing = next((i for i in needs[current] if i not in done), None)
            if missing is None:
                path.pop()
                on_path.discard(current)
                if current not in done:
                    done.add(current)
                    order.append(nodes[current])
            elif missing in on_path:
                raise ModelError(f"node '{nodes[missing].name}' is part of a cycle")
            else:
                path.append(missing)
                on_path.add(missing)
    return order
