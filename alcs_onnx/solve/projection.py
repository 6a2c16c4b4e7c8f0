"""The projection of groups of weights onto a latency budget (ALCS eq. 9b), by any solver."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite

import numpy as np
import numpy.typing as npt

from alcs_onnx.errors import AlcsError, BudgetError
from alcs_onnx.latency import Estimator
from alcs_onnx.solve.problem import floor_groups, make_problem
from alcs_onnx.solve.registry import SOLVERS
from alcs_onnx.types import BoolArray

#: Share of a layer's groups that is never removed. A layer without weights would cut the
#: network in two, and one left with a handful cannot be trained back; the latency that the
#: last two percent take is mostly the layer's fixed cost.
MIN_DENSITY = 0.02


def project(
    norms: Mapping[str, npt.NDArray[np.floating]],
    estimator: Estimator,
    budget_ms: float,
    *,
    method: str = SOLVERS.default,
    tolerance_ms: float | None = None,
    min_density: float = MIN_DENSITY,
) -> dict[str, BoolArray]:
    """Masks (True: kept) in the shapes of `norms`, whose estimated latency is <= the budget.

    The U-step of ALCS eq. 9b.

    `norms[layer]` are L2 norms of the groups, [blocks, columns]. Layers of the estimator
    that `norms` does not name stay at full density. Each layer keeps at least one group and
    `min_density` of them. The latency ends within `tolerance_ms` (default: budget / 10000)
    below the budget wherever single groups allow it.

    Raises `BudgetError`, giving the reachable range, if the budget is below it; a budget
    above it keeps everything. Raises `AlcsError` for norms that are not finite, or that do
    not fit the estimator.
    """
    SOLVERS.check(method)
    if not (isfinite(budget_ms) and budget_ms > 0):
        raise BudgetError(f"a latency budget of {budget_ms} ms cannot be met")
    sizes = {name: array.size for name, array in norms.items()}
    _check_layers(sizes, estimator)
    low, high = reachable_range(estimator, sizes, min_density)
    if budget_ms >= high:
        return {name: np.ones(array.shape, dtype=bool) for name, array in norms.items()}
    if budget_ms < low:
        raise BudgetError(
            f"a latency of {budget_ms:.4g} ms cannot be reached: "
            f"this model can take {low:.4g} to {high:.4g} ms"
        )
    tolerance = budget_ms / 1e4 if tolerance_ms is None else tolerance_ms
    problem = make_problem(norms, estimator, budget_ms, tolerance, min_density)
    counts = SOLVERS[method](problem)
    return {
        name: ranking.keep_mask(int(count))
        for name, ranking, count in zip(norms, problem.rankings, counts, strict=True)
    }


def reachable_range(
    estimator: Estimator, layers: Mapping[str, int], min_density: float = MIN_DENSITY
) -> tuple[float, float]:
    """Lowest and highest latency (ms) when `layers` (name -> groups) may be pruned.

    From `min_density` everywhere to full density; layers not named stay at full density.
    """
    floors = {name: floor_groups(groups, min_density) for name, groups in layers.items()}
    return estimator.model_ms(floors), estimator.model_ms({})


def _check_layers(sizes: Mapping[str, int], estimator: Estimator) -> None:
    """Raise `AlcsError` unless the estimator knows every layer, at its number of groups."""
    for name, size in sizes.items():
        if name not in estimator.layers:
            raise AlcsError(f"layer '{name}' has no latency curve")
        known = estimator.layers[name].groups
        if known != size:
            raise AlcsError(
                f"layer '{name}' has {size} groups, its latency was measured for {known}: "
                "another model or group size"
            )
