"""ALCS Algorithm 1: the largest groups of the whole network, their number by bisection."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from alcs_onnx.solve.problem import Problem
from alcs_onnx.types import IntArray


def bisection(problem: Problem) -> IntArray:
    """Kept groups per layer: the N groups of largest L2 norm over all layers.

    Two deviations from the paper's listing. Line 15 returns the top (N0 + N1) / 2, which
    may exceed the budget; this returns the top N0, the side that meets it. And each layer's
    `floor` largest groups count as larger than all others, so that they are kept first.
    """
    order = _Order(problem)
    kept = problem.floors
    n0, n1 = 0, int((problem.groups - problem.floors).sum())
    t0, t1 = problem.time(kept), problem.time(problem.groups)
    # The loop of the paper ends on time alone; if one group costs more than the tolerance,
    # it would not end.
    while t1 - t0 > problem.tolerance_ms and n1 - n0 > 1:
        middle = (n0 + n1) // 2
        counts = order.largest(middle)
        time = problem.time(counts)
        if time <= problem.budget_ms:
            n0, t0, kept = middle, time, counts
        else:
            n1, t1 = middle, time
    return kept


class _Order:
    """The groups of all layers by norm, those of the floors aside."""

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        # Groups beyond the floor that are in a level or above, per layer; the levels of the
        # whole network are those of all layers, largest first.
        self._beyond = [
            np.maximum(ranking.at_least - floor, 0)
            for ranking, floor in zip(problem.rankings, problem.floors, strict=True)
        ]
        norms = np.concatenate([ranking.low for ranking in problem.rankings])
        sizes = np.concatenate([-np.diff(beyond) for beyond in self._beyond])
        descending = np.argsort(-norms, kind="stable")
        self._norms = norms[descending]
        self._up_to = np.cumsum(sizes[descending])

    def largest(self, number: int) -> IntArray:
        """Groups per layer among the `number` > 0 largest, and the floors.

        Of groups as large as the smallest of them, each layer gives an equal share.
        """
        norm = self._norms[np.searchsorted(self._up_to, number)]
        taken = self._count(np.nextafter(norm, np.float32(np.inf)))
        equal = self._count(norm) - taken
        before = np.concatenate(([0], np.cumsum(equal)))
        share = before * (number - int(taken.sum())) // max(1, int(before[-1]))
        return np.asarray(self._problem.floors + taken + np.diff(share), dtype=np.int64)

    def _count(self, norm: npt.NDArray[np.float32]) -> IntArray:
        """Groups per layer beyond the floor with at least that norm."""
        return np.array(
            [
                beyond[ranking.low.searchsorted(norm)]
                for ranking, beyond in zip(self._problem.rankings, self._beyond, strict=True)
            ]
        )
