"""How much each layer keeps, from curves of what it costs to keep less.

The cost may be of any kind that layers add up in: energy of weights, error of a layer's outputs,
what the network's outputs part by. Between the levels that were looked at a cost falls
exponentially with the groups that are kept, which is how the measured ones look. The least sum of
costs within a budget is a group knapsack, as that of channels (SP-LAMP Algorithm 1), over a grid of
numbers of groups; so do OBC and SPDY (Frantar and Alistarh, 2022) by dynamic programming.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from alcs_onnx.errors import AlcsError, BudgetError
from alcs_onnx.latency import Estimator
from alcs_onnx.solve.knapsack import group_knapsack
from alcs_onnx.types import DoubleArray, IntArray

#: Numbers of groups that a layer may choose from between its fewest and all.
_STEPS = 96
#: Of a curve's largest cost: what is as good as nothing.
_NOTHING = 1e-7


@dataclass(frozen=True, eq=False)
class CostCurve:
    """What a layer costs at some numbers of groups.

    counts: rising, the last one all groups of the layer.
    costs: not negative; raised where one is below that of more groups.
    """

    counts: IntArray
    costs: DoubleArray

    def __post_init__(self) -> None:
        rising = self.counts.size == self.costs.size > 0 and (np.diff(self.counts) > 0).all()
        if not rising or not np.isfinite(self.costs).all() or self.costs.min() < 0:
            raise AlcsError("a cost curve needs rising counts with a finite cost, at least 0, each")

    def at(self, counts: IntArray) -> DoubleArray:
        """The cost at any `counts` between the fewest and all."""
        falling = np.maximum.accumulate(self.costs[::-1])[::-1]
        nothing = _NOTHING * max(float(falling[0]), np.finfo(np.float64).tiny)
        logs = np.interp(counts, self.counts, np.log(falling + nothing))
        return np.asarray(np.maximum(0.0, np.exp(logs) - nothing))


def least_cost(
    curves: Mapping[str, CostCurve], estimator: Estimator, budget_ms: float
) -> dict[str, int]:
    """Groups that each layer of `curves` keeps, with the least sum of costs within `budget_ms`.

    Layers of the estimator without a curve keep all. Raises `BudgetError` for a budget below what
    the fewest groups of all curves take, `AlcsError` for a layer that the estimator does not know.
    """
    unknown = [name for name in curves if name not in estimator.layers]
    if unknown:
        raise AlcsError(f"layer '{unknown[0]}' has no latency curve")
    grids = {name: _grid(curve) for name, curve in curves.items()}
    saved, more = [], []
    for name, grid in grids.items():
        costs, times = curves[name].at(grid), estimator.layers[name].time(grid)
        saved.append(costs[0] - costs[1:])
        more.append(times[1:] - times[0])
    least = estimator.model_ms({name: int(grid[0]) for name, grid in grids.items()})
    if least > budget_ms:
        raise BudgetError(
            f"{budget_ms:.4g} ms cannot be reached: at least {least:.4g} ms are taken"
        )
    chosen = group_knapsack(saved, more, budget_ms - least)
    return {name: int(grids[name][place]) for name, place in zip(grids, chosen, strict=True)}


def _grid(curve: CostCurve) -> IntArray:
    """The numbers of groups that a layer may choose from."""
    return np.unique(np.linspace(curve.counts[0], curve.counts[-1], _STEPS).round().astype(int))
