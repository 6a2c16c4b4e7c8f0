"""What every solver is given: ranked layers, their run times, and a budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import ceil
from typing import Protocol

import numpy as np
import numpy.typing as npt

from alcs_onnx.errors import AlcsError
from alcs_onnx.latency import Estimator, LayerEstimate
from alcs_onnx.solve.ranking import Ranking
from alcs_onnx.types import IntArray


@dataclass(frozen=True)
class Pieces:
    """The linear pieces of all layers' run times, arrays [layers, pieces].

    Piece p of a layer runs from `first` to `last` groups and from `start` ms with `slope`
    ms per group. A layer with fewer pieces than others repeats its last one.
    """

    first: IntArray
    last: IntArray
    start: npt.NDArray[np.float64]
    slope: npt.NDArray[np.float64]

    @classmethod
    def of(cls, estimates: Sequence[LayerEstimate]) -> Pieces:
        """The pieces of these layers, in order."""
        count = max((layer.knots.size - 1 for layer in estimates), default=1)
        rows = [np.minimum(np.arange(count), layer.knots.size - 2) for layer in estimates]
        pairs = list(zip(estimates, rows, strict=True))
        return cls(
            np.array([layer.knots[row] for layer, row in pairs]),
            np.array([layer.knots[row + 1] for layer, row in pairs]),
            np.array([layer.times[row] for layer, row in pairs]),
            np.array([layer.slopes[row] for layer, row in pairs]),
        )

    def times(self, counts: IntArray) -> npt.NDArray[np.float64]:
        """Run time (ms) of each layer that keeps `counts` of its groups."""
        rows = np.arange(len(counts))
        piece = np.minimum((counts[:, None] > self.last).sum(axis=1), self.last.shape[1] - 1)
        along = counts - self.first[rows, piece]
        return np.asarray(self.start[rows, piece] + self.slope[rows, piece] * along)


@dataclass(frozen=True)
class Problem:
    """Keep groups so that `constant_ms` + the layers' times is at most `budget_ms`.

    Layer i has the groups of `rankings[i]`, the run time `estimates[i]`, and keeps at
    least `floors[i]` groups. It is solvable and not trivial: every layer at its floor fits,
    all groups do not.
    """

    rankings: tuple[Ranking, ...]
    estimates: tuple[LayerEstimate, ...]
    floors: IntArray
    constant_ms: float
    budget_ms: float
    tolerance_ms: float

    @cached_property
    def pieces(self) -> Pieces:
        """The run times as arrays over the layers."""
        return Pieces.of(self.estimates)

    @cached_property
    def groups(self) -> IntArray:
        """All groups of each layer."""
        return np.array([ranking.groups for ranking in self.rankings], dtype=np.int64)

    def time(self, counts: IntArray) -> float:
        """Estimated latency (ms) when the layers keep `counts` groups."""
        return self.constant_ms + float(self.pieces.times(counts).sum())


class Solver(Protocol):
    """Chooses how many groups each layer keeps, within floor .. groups and the budget."""

    def __call__(self, problem: Problem) -> IntArray:
        """Kept groups of each layer, in the order of the problem's layers."""
        ...


def make_problem(
    norms: Mapping[str, npt.NDArray[np.floating]],
    estimator: Estimator,
    budget_ms: float,
    tolerance_ms: float,
    min_density: float,
) -> Problem:
    """The problem of pruning the layers of `norms`; `AlcsError` for norms not finite."""
    estimates = tuple(estimator.layers[name] for name in norms)
    alone = estimator.model_ms({}) - sum(float(layer.times[-1]) for layer in estimates)
    return Problem(
        rankings=tuple(Ranking.of(name, array) for name, array in norms.items()),
        estimates=estimates,
        floors=np.array([floor_groups(array.size, min_density) for array in norms.values()]),
        constant_ms=alone,
        budget_ms=budget_ms,
        tolerance_ms=tolerance_ms,
    )


def floor_groups(groups: int, min_density: float) -> int:
    """The fewest groups that a layer of `groups` keeps: at least one."""
    if not 0 <= min_density <= 1:
        raise AlcsError(f"a least density of {min_density} is not between 0 and 1")
    return min(groups, max(1, ceil(min_density * groups)))
