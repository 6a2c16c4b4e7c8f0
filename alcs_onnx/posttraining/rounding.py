"""Weights rounded to a grid so that the outputs of the layer change least.

The layer-wise problem of `problem` with a codebook as its set: each row of weights is a multiple of
its own step by an integer between two ends. From the nearest ones columns are gone through in turn,
each rounded anew to what makes up best for the errors of all others, until nothing changes
(coordinate descent on the objective of GPTQ, arXiv 2210.17323, and of AdaRound, 2004.10568).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from alcs_onnx.posttraining.problem import Doubles, LayerProblem
from alcs_onnx.types import FloatArray, IntArray

_SWEEPS = 12
#: Columns whose changes are brought to the others by one product.
_BLOCK = 64


@dataclass(frozen=True, eq=False)
class Grid:
    """What weights may be: `steps` [G, rows] by integers from `low` to `high`."""

    steps: Doubles
    low: int
    high: int

    def nearest(self, weights: Doubles) -> IntArray:
        """The integers nearest to weights [G, rows, columns]."""
        found = np.rint(weights / self.steps[:, :, None])
        return np.asarray(np.clip(found, self.low, self.high), np.int64)


def rounded(problem: LayerProblem, grid: Grid) -> IntArray:
    """Integers [G, rows, columns] by which the outputs of the dense weights change little.

    Never more than by the nearest ones, with the pull towards the dense weights (`damping`).
    """
    h, dense = problem.correlation, problem.dense
    steps = (grid.steps[:, :, None] * problem.scale).astype(np.float32)
    x = np.asarray(grid.nearest(problem.weights) * steps, np.float32)
    gradient = np.asarray((x - dense) @ h, np.float32)
    columns = x.shape[2]
    for _ in range(_SWEEPS):
        changed = False
        for begin in range(0, columns, _BLOCK):
            block = slice(begin, min(begin + _BLOCK, columns))
            changes = _turn(x, gradient[:, :, block], h[:, block, block], steps, grid, begin)
            if changes.any():
                gradient += changes @ h[:, block]
                changed = True
        if not changed:
            break
    return np.asarray(np.rint(x / steps), np.int64)


def _turn(
    x: FloatArray, gradient: FloatArray, h: FloatArray, steps: FloatArray, grid: Grid, begin: int
) -> FloatArray:
    """Round the columns of a block in turn, in `x`; what they change by.

    `gradient` and `h` are those of the block. Its own entries of h are one.
    """
    own, changes = gradient.copy(), np.zeros_like(gradient)
    for j in range(own.shape[2]):
        column = begin + j
        step = steps[:, :, column]
        best = (x[:, :, column] - own[:, :, j]) / step
        new = np.clip(np.rint(best), grid.low, grid.high) * step
        changes[:, :, j] = new - x[:, :, column]
        if changes[:, :, j].any():
            own += changes[:, :, j, None] * h[:, None, j]
            x[:, :, column] = new
    return changes
