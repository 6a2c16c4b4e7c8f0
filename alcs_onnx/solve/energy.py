"""Maximise the kept energy, the sum of squares of the kept weights, under the budget.

That is the Euclidean projection which Algorithm 1 of ALCS approximates: removing weights
costs the sum of their squares. Within a layer the largest groups are kept, so a layer is
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
_LOWEST_PRICE = 1e-200


def energy(problem: Problem, *, normalise: bool = False) -> IntArray:
    """Kept groups per layer that maximise the kept energy within the budget.

    With `normalise` a layer's energy counts relative to the energy of all its weights: the
    scale of a layer's weights says little where a normalisation was folded into them.
    """
    sweep = _Sweep(problem, normalise)
    low, high = sweep.bracket()
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
    """The layers' pieces as arrays [layers, pieces], and what a price selects in them."""

    def __init__(self, problem: Problem, normalise: bool) -> None:
        self._problem = problem
        self._layers = problem.layers
        self._scale = np.array(
            [
                1.0 / layer.energy[-1] if normalise and layer.energy[-1] > 0 else 1.0
                for layer in self._layers
            ]
        )
        self._offset = np.cumsum([0, *(layer.groups + 1 for layer in self._layers)])[:-1]
        self._energy = np.concatenate([layer.energy for layer in self._layers])
        pieces = max(layer.estimate.knots.size - 1 for layer in self._layers)
        shape = (len(self._layers), pieces)
        self._first = np.zeros(shape, dtype=np.int64)
        self._last = np.zeros(shape, dtype=np.int64)
        self._start = np.zeros(shape)
        self._slope = np.zeros(shape)
        for row, layer in enumerate(self._layers):
            # A layer of fewer pieces repeats its last one.
            index = np.minimum(np.arange(pieces), layer.estimate.knots.size - 2)
            self._first[row] = layer.estimate.knots[index]
            self._last[row] = layer.estimate.knots[index + 1]
            self._start[row] = layer.estimate.times[index]
            self._slope[row] = layer.estimate.slopes[index]

    def best(self, price: float) -> IntArray:
        """Groups per layer that maximise energy - price * time (energy per ms)."""
        with np.errstate(over="ignore"):  # above all norms is above all norms
            least = np.sqrt(price * self._slope / self._scale[:, None]).astype(np.float32)
        counts = np.stack(
            [layer.count_from(row) for layer, row in zip(self._layers, least, strict=True)]
        )
        floors = self._problem.floors[:, None]
        counts = np.maximum(np.clip(counts, self._first, self._last), floors)
        time = self._start + self._slope * (counts - self._first)
        # A floor beyond a piece gives that piece a point off its line: never choose it.
        time[counts > self._last] = np.inf
        gain = self._energy[self._offset[:, None] + counts] * self._scale[:, None]
        choice = np.argmax(gain - price * time, axis=1)
        return np.asarray(counts[np.arange(len(counts)), choice])

    def bracket(self) -> tuple[float, float]:
        """Two prices, the lower with a latency over the budget, the higher within it.

        They are equal when every price above 0 is within it: the rest has no energy.
        """
        within = float(self._energy[-1] * self._scale[-1]) or 1.0
        within /= max(self._problem.budget_ms, 1e-12)
        over = within
        while not self._fits(within):
            over, within = within, within * 16
        while self._fits(over):
            over, within = over / 16, over
            if over < _LOWEST_PRICE:
                return within, within
        return over, within

    def cut(self, counts: IntArray, over: IntArray) -> IntArray:
        """`over`, with those layers reduced to `counts` that lose least energy per ms."""
        cut = over.copy()
        saved = np.array(
            [
                self._time(row, over[row]) - self._time(row, counts[row])
                for row in range(len(counts))
            ]
        )
        lost = self._kept(over) - self._kept(counts)
        with np.errstate(divide="ignore", invalid="ignore"):
            rate = np.where(saved > 0, lost / saved, np.inf)
        for row in np.argsort(rate, kind="stable"):
            if self._problem.time(cut) <= self._problem.budget_ms:
                break
            cut[row] = counts[row]
        return cut

    def fill(self, counts: IntArray) -> IntArray:
        """Spend what is left of the budget, always where it buys most energy."""
        counts = counts.copy()
        left = self._problem.budget_ms - self._problem.time(counts)
        while left > self._problem.tolerance_ms:
            more = np.array(
                [
                    layer.estimate.groups_within(self._time(row, counts[row]) + left)
                    for row, layer in enumerate(self._layers)
                ]
            )
            gain = self._kept(np.maximum(more, counts)) - self._kept(counts)
            row = int(np.argmax(gain))
            if gain[row] <= 0:
                break
            trial = counts.copy()
            trial[row] = more[row]
            if self._problem.time(trial) > self._problem.budget_ms:  # rounding of the sum
                trial[row] = max(counts[row], trial[row] - 1)
                if self._problem.time(trial) > self._problem.budget_ms:
                    break
            counts = trial
            left = self._problem.budget_ms - self._problem.time(counts)
        return counts

    def kept_energy(self, counts: IntArray) -> float:
        """Sum over the layers of the (scaled) energy they keep."""
        return float(self._kept(counts).sum())

    def _kept(self, counts: IntArray) -> npt.NDArray[np.float64]:
        return np.asarray(self._energy[self._offset + counts] * self._scale)

    def _time(self, row: int, count: int) -> float:
        return float(self._layers[row].estimate.time(count))

    def _fits(self, price: float) -> bool:
        return self._problem.time(self.best(price)) <= self._problem.budget_ms
