"""Budgets shared out by curves of cost."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alcs_onnx.errors import AlcsError, BudgetError
from alcs_onnx.latency import Estimator, LayerEstimate
from alcs_onnx.solve import CostCurve, least_cost


@st.composite
def problems(draw: st.DrawFn) -> tuple[dict[str, CostCurve], Estimator, float]:
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    curves, layers = {}, {}
    for index in range(draw(st.integers(1, 3))):
        groups = draw(st.integers(4, 20))
        counts = np.unique([1, groups // 2, groups])
        costs = np.sort(rng.exponential(1.0, counts.size))[::-1].copy()
        costs[-1] = 0.0
        curves[str(index)] = CostCurve(counts, costs)
        knots = np.unique([0, groups // 3, groups])
        layers[str(index)] = LayerEstimate(knots, np.cumsum(rng.exponential(1.0, knots.size)))
    estimator = Estimator(0.5, layers)
    fewest = estimator.model_ms(dict.fromkeys(curves, 1))
    share = draw(st.floats(0, 1))
    return curves, estimator, fewest + share * (estimator.model_ms({}) - fewest)


def cost(curves: dict[str, CostCurve], counts: dict[str, int]) -> float:
    return sum(float(curves[name].at(np.array([n]))[0]) for name, n in counts.items())


@given(problems())
def test_it_fits_and_is_the_best(problem) -> None:
    curves, estimator, budget = problem
    found = least_cost(curves, estimator, budget * (1 + 1e-9))
    assert estimator.model_ms(found) <= budget * (1 + 1e-6)
    sizes = [range(1, curve.counts[-1] + 1) for curve in curves.values()]
    every = (dict(zip(curves, counts, strict=True)) for counts in itertools.product(*sizes))
    # Times are rounded up to whole units of the knapsack.
    tight = budget - len(curves) * 2e-4
    best = min((cost(curves, x) for x in every if estimator.model_ms(x) <= tight), default=np.inf)
    assert cost(curves, found) <= best * (1 + 1e-9) + 1e-9


def test_a_layer_that_costs_more_keeps_more() -> None:
    counts = np.array([1, 50, 100])
    curves = {
        "cheap": CostCurve(counts, np.array([0.1, 0.01, 0.0])),
        "dear": CostCurve(counts, np.array([10.0, 1.0, 0.0])),
    }
    layer = LayerEstimate(np.array([0, 100]), np.array([0.0, 1.0]))
    found = least_cost(curves, Estimator(0.0, dict.fromkeys(curves, layer)), 1.0)
    assert found["dear"] > found["cheap"]
    assert found["dear"] + found["cheap"] <= 100


def test_costs_between_levels_fall_and_never_rise() -> None:
    curve = CostCurve(np.array([2, 10, 20, 40]), np.array([1.0, 0.1, 0.2, 0.0]))
    found = curve.at(np.arange(2, 41))
    assert (np.diff(found) <= 1e-12).all()
    assert found[0] == pytest.approx(1.0, rel=1e-6)
    assert found[-1] == 0


def test_bad_input() -> None:
    layer = LayerEstimate(np.array([0, 10]), np.array([0.0, 1.0]))
    estimator = Estimator(1.0, {"a": layer})
    curve = CostCurve(np.array([1, 10]), np.array([1.0, 0.0]))
    with pytest.raises(BudgetError, match="cannot be reached"):
        least_cost({"a": curve}, estimator, 1.0)
    with pytest.raises(AlcsError, match="'b' has no latency curve"):
        least_cost({"b": curve}, estimator, 2.0)
    assert least_cost({"a": curve}, estimator, 2.0) == {"a": 10}
    for counts, costs in (([10, 1], [0.0, 1.0]), ([1, 10], [np.nan, 0.0]), ([1, 10], [-1.0, 0.0])):
        with pytest.raises(AlcsError, match="rising counts"):
            CostCurve(np.array(counts), np.array(costs))
