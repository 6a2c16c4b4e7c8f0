"""Choose which groups of weights, or which channels, to keep under a latency budget.

Of SIMD groups: the solvers project onto {U : T(U) <= budget} (ALCS eq. 9b). Every one keeps,
in each layer, the groups of largest norm, and they differ in how many each layer gets.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from alcs_onnx.lazy import exports
from alcs_onnx.solve.registry import CHANNEL_SOLVERS, RULES, SOLVERS

if TYPE_CHECKING:
    from alcs_onnx.solve.channels import best_channels, solve_channels, stage_budgets
    from alcs_onnx.solve.costs import CostCurve, least_cost
    from alcs_onnx.solve.counts import KeepTarget, kept_counts
    from alcs_onnx.solve.knapsack import group_knapsack
    from alcs_onnx.solve.projection import MIN_DENSITY, project, reachable_range
    from alcs_onnx.solve.regions import (
        RegionChoice,
        candidates,
        frontier,
        int8_regions,
        spend,
    )
else:
    __getattr__ = exports(
        __name__,
        {
            "channels": ["best_channels", "solve_channels", "stage_budgets"],
            "costs": ["CostCurve", "least_cost"],
            "counts": ["KeepTarget", "kept_counts"],
            "knapsack": ["group_knapsack"],
            "projection": ["MIN_DENSITY", "project", "reachable_range"],
            "regions": ["RegionChoice", "candidates", "frontier", "int8_regions", "spend"],
        },
    )

__all__ = [
    "CHANNEL_SOLVERS",
    "MIN_DENSITY",
    "RULES",
    "SOLVERS",
    "CostCurve",
    "KeepTarget",
    "RegionChoice",
    "best_channels",
    "candidates",
    "frontier",
    "group_knapsack",
    "int8_regions",
    "kept_counts",
    "least_cost",
    "project",
    "reachable_range",
    "solve_channels",
    "spend",
    "stage_budgets",
]
