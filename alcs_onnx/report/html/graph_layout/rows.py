"""A graph whose edges join adjacent rows: long edges run through bends, one in each row."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from alcs_onnx.report.html.graph_layout.ranks import Edge

#: Bends of a whole graph. Edges that would need more are drawn straight across the rows: they
#: are the longest ones, of graphs far denser than networks are.
_MOST_BENDS = 20_000


@dataclass(frozen=True)
class Rows:
    """Vertices by row; the first `nodes` are nodes, those after them bends.

    `above` and `below` are the neighbours in the adjacent rows. `through[edge]` are the bends of
    a long edge from source to target, empty for one drawn straight.
    """

    nodes: int
    ranks: Sequence[int]
    above: Sequence[Sequence[int]]
    below: Sequence[Sequence[int]]
    through: Mapping[Edge, tuple[int, ...]]

    @property
    def rows(self) -> list[list[int]]:
        """Vertices of each row, by number."""
        found: list[list[int]] = [[] for _ in range(max(self.ranks, default=-1) + 1)]
        for vertex, rank in enumerate(self.ranks):
            found[rank].append(vertex)
        return found

    def is_bend(self, vertex: int) -> bool:
        """Whether a vertex is a bend of an edge and no node."""
        return vertex >= self.nodes


def with_bends(ranks: Sequence[int], edges: Sequence[Edge]) -> Rows:
    """Split long edges. All those that leave one node share their bends, as one trunk."""
    all_ranks = list(ranks)
    above: list[list[int]] = [[] for _ in ranks]
    below: list[list[int]] = [[] for _ in ranks]
    through: dict[Edge, tuple[int, ...]] = {}

    def connect(upper: int, lower: int) -> None:
        below[upper].append(lower)
        above[lower].append(upper)

    long: dict[int, list[int]] = defaultdict(list)
    for source, target in edges:
        if ranks[target] - ranks[source] == 1:
            connect(source, target)
        else:
            long[source].append(target)
    needed = {
        source: max(ranks[target] for target in targets) - ranks[source] - 1
        for source, targets in long.items()
    }
    left = _MOST_BENDS
    for source in sorted(long, key=lambda s: needed[s]):
        left -= needed[source]
        if left < 0:
            break
        trunk: list[int] = []
        for rank in range(ranks[source] + 1, ranks[source] + 1 + needed[source]):
            bend = len(all_ranks)
            all_ranks.append(rank)
            above.append([])
            below.append([])
            connect(trunk[-1] if trunk else source, bend)
            trunk.append(bend)
        for target in long[source]:
            bends = tuple(trunk[: ranks[target] - ranks[source] - 1])
            connect(bends[-1], target)
            through[source, target] = bends
    return Rows(len(ranks), all_ranks, above, below, through)
