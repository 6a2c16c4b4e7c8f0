"""Weights rounded to a grid so that the outputs of the layer are nearest to those wanted.

The layer-wise problem of `problem` with a codebook as its set: each row of weights is a multiple of
its own step by one of several integers. From the nearest ones columns are gone through in turn,
each rounded anew to what makes up best for the errors of all others, until nothing changes
(coordinate descent on the objective of GPTQ, arXiv 2210.17323, and of AdaRound, 2004.10568).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from alcs_onnx.posttraining.problem import LayerProblem
from alcs_onnx.types import BoolArray, DoubleArray, FloatArray, IntArray

_SWEEPS = 12
#: Columns whose changes are brought to the others by one product.
_BLOCK = 64


@dataclass(frozen=True, eq=False)
class Grid:
    """What weights may be: `steps` [G, rows] by integers from `low` to `high`, every `spacing`-th.

    Those that are not `kept` [G, rows, columns] are 0; None: all are.
    """

    steps: DoubleArray
    low: int
    high: int
    spacing: int = 1
    kept: BoolArray | None = None

    def nearest(self, weights: DoubleArray) -> IntArray:
        """The integers nearest to weights [G, rows, columns]."""
        return np.asarray(self.integers(weights / self.steps[:, :, None]), np.int64)

    def integers(self, multiples: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The nearest of the integers to multiples of steps."""
        if self.spacing == 1:
            return np.asarray(np.clip(np.rint(multiples), self.low, self.high))
        places = np.rint((multiples - self.low) / self.spacing)
        highest = (self.high - self.low) // self.spacing
        return np.asarray(self.low + self.spacing * np.clip(places, 0, highest))


def rounded(problem: LayerProblem, grid: Grid, start: IntArray | None = None) -> IntArray:
    """Integers [G, rows, columns] by which outputs are off by little.

    Never more than by those of `start`, by default the nearest to the dense weights, with the pull
    towards the dense weights (`damping`).
    """
    h = problem.correlation
    steps = (grid.steps[:, :, None] * problem.scale).astype(np.float32)
    x = np.asarray((grid.nearest(problem.weights) if start is None else start) * steps, np.float32)
    # About the dense weights: what is multiplied is small where they are nearly right.
    gradient = np.asarray((x - problem.dense) @ h, np.float32)
    if problem.target is not None:
        gradient -= problem.wanted - problem.dense @ h
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
        new = grid.integers(best) * step
        if grid.kept is not None:
            new *= grid.kept[:, :, column]
        changes[:, :, j] = new - x[:, :, column]
        if changes[:, :, j].any():
            own += changes[:, :, j, None] * h[:, None, j]
            x[:, :, column] = new
    return changes
