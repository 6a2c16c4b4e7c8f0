"""Weights that are levels of a codebook, by the layer-wise problem.

The set of ADMM-NN-S section 4.1: weights are a scale times integer levels, pruned ones 0. Its
Euclidean projection (`codebooks.quantize`) minimizes what weights change by; here levels and
scale are those by which outputs do, in turns: levels for the scale by coordinate descent
(`rounding`), the scale for the levels in closed form (as COMQ does, arXiv 2403.07134, without what
is pruned). Neither makes the objective larger.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from alcs_onnx.codebooks import quantize
from alcs_onnx.posttraining.admm import Fitted, fit_on
from alcs_onnx.posttraining.problem import LayerProblem
from alcs_onnx.posttraining.rounding import Grid, rounded
from alcs_onnx.types import BoolArray, Codebook, DoubleArray, FloatArray, IntArray, QuantizedWeight

#: Turns at most, and by how much a scale must move for another.
_TURNS, _MOVED = 8, 1e-3


@dataclass(frozen=True, eq=False)
class OnCodebook:
    """The weights of a layer that are levels of `codebook` where `support` is, else 0.

    support: in the shape of the weight [M, C/group, *kernel].
    per_channel: whether each output channel has a scale of its own.
    """

    support: BoolArray
    codebook: Codebook
    per_channel: bool = False

    def nearest(self, weights: npt.NDArray[np.floating[Any]]) -> QuantizedWeight:
        """The Euclidean projection of weights of any shape that holds as many."""
        shaped = np.asarray(weights, np.float32).reshape(self.support.shape)
        return quantize(shaped, self.codebook, keep=self.support, per_channel=self.per_channel)


@dataclass(frozen=True, eq=False)
class FittedOnCodebook(Fitted):
    """Fitted weights that are exactly the values of `quantized`."""

    quantized: QuantizedWeight


def fit_on_codebook(problem: LayerProblem, allowed: OnCodebook) -> FittedOnCodebook:
    """The weights of `allowed` whose outputs are near to those that `problem` wants."""
    shape = problem.weights.shape
    kept = allowed.support.reshape(shape)
    found = allowed.nearest(fit_on(problem, kept).weights)
    steps = _by_row(found.scale, shape)
    integers = found.levels.reshape(shape).astype(np.int64)
    book = allowed.codebook
    for _ in range(_TURNS):
        grid = Grid(steps, book.levels[0], book.levels[-1], book.step, kept)
        integers = rounded(problem, grid, integers)
        before, steps = steps, _scales(problem, integers, steps, allowed.per_channel)
        if np.abs(steps / before - 1).max() < _MOVED:
            break
    rows = steps.reshape(-1).astype(np.float32)
    quantized = QuantizedWeight(
        integers.reshape(allowed.support.shape).astype(np.int8),
        rows if allowed.per_channel else rows[:1],
        book,
    )
    weights = quantized.values().reshape(shape).astype(np.float64)
    return FittedOnCodebook(weights, kept, problem.error(weights), quantized)


def _by_row(scale: FloatArray, shape: tuple[int, ...]) -> DoubleArray:
    """Scales [1] or [M] as those of each row [G, rows]."""
    return np.broadcast_to(scale.astype(np.float64), shape[0] * shape[1]).reshape(shape[:2])


def _scales(
    problem: LayerProblem, integers: IntArray, steps: DoubleArray, per_channel: bool
) -> DoubleArray:
    """The scales [G, rows] that suit `integers` best: least squares along one direction."""
    x = np.asarray(integers * problem.scale, np.float32)
    dot = (x * problem.wanted).sum(axis=2, dtype=np.float64)
    square = (x @ problem.correlation * x).sum(axis=2, dtype=np.float64)
    if not per_channel:
        dot, square = (np.full_like(each, each.sum()) for each in (dot, square))
    # Rows without a weight have none, and a scale turned round would turn the levels round.
    usable = (square > 0) & (dot > 0)
    return np.asarray(np.where(usable, dot / np.where(usable, square, 1), steps))
