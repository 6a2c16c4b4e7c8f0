"""The channel solvers. Every one keeps the channels of highest score; they differ in how many."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from alcs_onnx.solve.channel_problem import ChannelProblem
from alcs_onnx.solve.knapsack import group_knapsack
from alcs_onnx.types import IntArray


def knapsack(problem: ChannelProblem) -> IntArray:
    """Most score within the budget: Algorithm 1, one item for each further option.

    The first option is always kept: with single channels that is the filter of score 1.
    """
    scores, latencies = [], []
    for counts, ranked, saved in zip(problem.counts, problem.scores, problem.saved, strict=True):
        upto = np.cumsum(ranked)[counts - 1]
        scores.append(upto[1:] - upto[0])
        latencies.append(saved[0] - saved[1:])
    spare = sum(float(saved[0]) for saved in problem.saved) - problem.needed_ms
    return group_knapsack(scores, latencies, max(0.0, spare))


def greedy(problem: ChannelProblem) -> IntArray:
    """One threshold on the score over all groups, as low as the budget allows.

    Between two thresholds, equal scores are taken in the order of the groups.
    """
    owners = np.repeat(np.arange(len(problem.scores)), [row.size for row in problem.scores])
    order = np.argsort(-np.concatenate(problem.scores), kind="stable")
    owners = owners[order]

    def options(number: int) -> IntArray:
        return problem.at_least(np.bincount(owners[:number], minlength=len(problem.scores)))

    return _most(problem, owners.size, options)


def uniform(problem: ChannelProblem) -> IntArray:
    """The same share of every group, as large as the budget allows."""
    sizes = np.array([row[-1] for row in problem.counts])
    parts = int(sizes.max(initial=1)) * 8

    def options(number: int) -> IntArray:
        return problem.at_least(np.round(sizes * (number / parts)).astype(np.int64))

    return _most(problem, parts, options)


def _most(problem: ChannelProblem, largest: int, options: Callable[[int], IntArray]) -> IntArray:
    """`options(n)` of the largest n <= `largest` that fits; 0 does."""
    low, high = 0, largest
    while low < high:
        middle = (low + high + 1) // 2
        if problem.fits(options(middle)):
            low = middle
        else:
            high = middle - 1
    return options(low)
