"""Algorithm 1 of ALCS: the largest groups of the whole network, their number by bisection."""

from __future__ import annotations

import numpy as np

from alcs_onnx.solve.problem import Problem
from alcs_onnx.types import FloatArray, IntArray


def bisection(problem: Problem) -> IntArray:
    """Kept groups per layer: the N groups of largest L2 norm over all layers.

    Two deviations from the paper's listing. Line 15 returns the top (N0 + N1) / 2, which
    may exceed the budget; this returns the top N0, the side that meets it. And each layer's
    `floor` largest groups count as larger than all others, so that they are kept first.
    """
    order = np.sort(
        np.concatenate([layer.ascending[: layer.groups - layer.floor] for layer in problem.layers])
    )
    kept = problem.floors
    n0, n1 = 0, order.size
    t0, t1 = problem.time(kept), problem.time([layer.groups for layer in problem.layers])
    # The loop of the paper ends on time alone; if one group costs more than the tolerance,
    # it would not end.
    while t1 - t0 > problem.tolerance_ms and n1 - n0 > 1:
        middle = (n0 + n1) // 2
        counts = _largest(problem, order, middle)
        time = problem.time(counts)
        if time <= problem.budget_ms:
            n0, t0, kept = middle, time, counts
        else:
            n1, t1 = middle, time
    return kept


def _largest(problem: Problem, order: FloatArray, number: int) -> IntArray:
    """Groups per layer among the `number` > 0 largest of `order` (ascending), and the floors.

    Groups as large as the smallest of them are taken from the layers in order.
    """
    threshold = order[order.size - number]
    above = np.nextafter(threshold, np.float32(np.inf))
    least = np.array([layer.count_from(above) for layer in problem.layers])
    most = np.array([layer.count_from(threshold) for layer in problem.layers])
    floors = problem.floors
    taken = np.maximum(least - floors, 0)
    equal = np.maximum(most - floors, 0) - taken
    before = np.cumsum(equal) - equal
    taken += np.clip(number - int(taken.sum()) - before, 0, equal)
    return np.asarray(floors + taken, dtype=np.int64)
