"""Maximise the kept energy, the sum of squares of the kept weights, under the budget.

That is the Euclidean projection which ALCS Algorithm 1 approximates: removing weights costs
the sum of their squares. Within a layer the largest groups are kept, so a layer is
described by how many, n, with energy E(n) concave and time T(n) piece-wise linear. For a
price of time lambda (energy per ms) each layer maximises E(n) - lambda T(n) on its own:
inside a linear piece of slope alpha the best n is the number of groups whose energy is at
least lambda alpha. The price is bisected to meet the budget. As T is not convex, the
latency jumps at some prices; what a jump leaves of the budget is filled greedily.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from alcs_onnx.solve.problem import Problem
from alcs_onnx.types import IntArray

#: The price is known to about nine digits after these halvings of its logarithm.
_STEPS = 60
_LOWEST_PRICE, _HIGHEST_PRICE = 1e-200, 1e200


def energy(problem: Problem) -> IntArray:
    """Kept groups per layer that maximise the kept energy within the budget."""
    return _most_energy(problem, normalise=False)


def energy_normalised(problem: Problem) -> IntArray:
    """The same with a layer's energy relative to the energy of all its weights.

    The scale of a layer's weights says little where a normalisation was folded into them.
    """
    return _most_energy(problem, normalise=True)


def _most_energy(problem: Problem, *, normalise: bool) -> IntArray:
    sweep = _Sweep(problem, normalise)
    low, high = sweep.bracket()
    if high > _HIGHEST_PRICE:  # the budget is that of the floors, give or take rounding
        return problem.floors
    counts, over = sweep.best(high), sweep.best(low)
    for _ in range(_STEPS):
        if problem.budget_ms - problem.time(counts) <= problem.tolerance_ms:
            break
        if np.array_equal(counts, over) or high / low < 1 + 1e-9:
            break
        price = float(np.sqrt(low * high))
        trial = sweep.best(price)
        if problem.time(trial) <= problem.budget_ms:
            high, counts = price, trial
        else:
            low, over = price, trial
    return max((sweep.fill(counts), sweep.fill(sweep.cut(counts, over))), key=sweep.kept_energy)


class _Sweep:
    """What a price selects, and the energy and time of a selection."""

    def __init__(self, problem: Problem, normalise: bool) -> None:
        self._problem = problem
        self._scale = np.array(
            [
                1.0 / ranking.energy[0] if normalise and ranking.energy[0] > 0 else 1.0
                for ranking in problem.rankings
            ]
        )
        # Counts and energies from the largest group down, for interpolation.
        self._knots = [
            (ranking.at_least[::-1], ranking.energy[::-1] * scale)
            for ranking, scale in zip(problem.rankings, self._scale, strict=True)
        ]

    def best(self, price: float) -> IntArray:
        """Groups per layer that maximise energy - price * time (energy per ms)."""
        pieces, floors = self._problem.pieces, self._problem.floors[:, None]
        with np.errstate(over="ignore"):  # above all norms is above all norms
            least = np.sqrt(price * pieces.slope / self._scale[:, None]).astype(np.float32)
        counts = np.stack(
            [
                ranking.count_from(row)
                for ranking, row in zip(self._problem.rankings, least, strict=True)
            ]
        )
        counts = np.maximum(np.clip(counts, pieces.first, pieces.last), floors)
        time = pieces.start + pieces.slope * (counts - pieces.first)
        # A floor beyond a piece gives that piece a point off its line: never choose it.
        time[counts > pieces.last] = np.inf
        choice = np.argmax(self._kept(counts) - price * time, axis=1)
        return np.asarray(counts[np.arange(len(counts)), choice])

    def bracket(self) -> tuple[float, float]:
        """Two prices, the lower with a latency over the budget, the higher within it.

        They are equal when every price above 0 is within it: the rest has no energy. The
        higher exceeds `_HIGHEST_PRICE` when none is.
        """
        total = float(self._kept(self._problem.groups).sum())
        within = (total or 1.0) / self._problem.budget_ms
        over = within
        while within <= _HIGHEST_PRICE and not self._fits(within):
            over, within = within, within * 16
        while within <= _HIGHEST_PRICE and self._fits(over):
            over, within = over / 16, over
            if over < _LOWEST_PRICE:
                return within, within
        return over, within

    def cut(self, counts: IntArray, over: IntArray) -> IntArray:
        """`over`, with those layers reduced to `counts` that lose least energy per ms."""
        cut = over.copy()
        saved = self._problem.pieces.times(over) - self._problem.pieces.times(counts)
        lost = self._kept(over) - self._kept(counts)
        rate = np.where(saved > 0, lost / np.where(saved > 0, saved, 1.0), np.inf)
        for row in np.argsort(rate, kind="stable"):
            if self._problem.time(cut) <= self._problem.budget_ms:
                break
            cut[row] = counts[row]
        return cut

    def fill(self, counts: IntArray) -> IntArray:
        """Spend what is left of the budget, always where it buys most energy."""
        problem = self._problem
        while (left := problem.budget_ms - problem.time(counts)) > problem.tolerance_ms:
            reach = problem.pieces.times(counts) + left
            more = np.array(
                [
                    layer.groups_within(time)
                    for layer, time in zip(problem.estimates, reach, strict=True)
                ]
            )
            more = np.maximum(more, counts)
            gain = self._kept(more) - self._kept(counts)
            row = int(np.argmax(gain))
            trial = counts.copy()
            trial[row] = more[row]
            # The sum of rounded times may exceed the budget where the layer's own did not.
            trial[row] -= problem.time(trial) > problem.budget_ms
            if gain[row] <= 0 or trial[row] <= counts[row]:
                break
            counts = trial
        return counts

    def kept_energy(self, counts: IntArray) -> float:
        """Sum over the layers of the (scaled) energy they keep."""
        return float(self._kept(counts).sum())

    def _kept(self, counts: IntArray) -> npt.NDArray[np.float64]:
        """(Scaled) energy of the `counts` largest groups of each layer, [layers, ...]."""
        return np.stack(
            [np.interp(row, *knots) for row, knots in zip(counts, self._knots, strict=True)]
        )

    def _fits(self, price: float) -> bool:
        return self._problem.time(self.best(price)) <= self._problem.budget_ms
