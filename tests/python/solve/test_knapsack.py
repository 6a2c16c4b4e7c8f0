"""The group knapsack, and choosing channels with it."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import Bounds, LinearConstraint, milp

from alcs_onnx.errors import AlcsError, BudgetError
from alcs_onnx.latency import ChannelEstimator
from alcs_onnx.solve import CHANNEL_SOLVERS, group_knapsack, solve_channels, stage_budgets
from alcs_onnx.types import ChannelCurve, ChannelGroup, ChannelTable, Machine, Timing

#: Latencies of the tests are whole multiples of 1 / SCALE ms, which floats hold exactly.
SCALE = 1024
METHODS = sorted(CHANNEL_SOLVERS)


def total(rows, chosen):
    return float(sum(row[item - 1] for row, item in zip(rows, chosen, strict=True) if item))


def brute_force(scores, latencies, capacity):
    """Largest score of all choices within the capacity; None where there is none."""
    best = None
    for chosen in itertools.product(*(range(len(row) + 1) for row in scores)):
        if total(latencies, chosen) <= capacity:
            best = max(total(scores, chosen), best or -np.inf)
    return best


@st.composite
def small_problems(draw):
    """Groups of prefixes with flat, jumping and falling latencies, in whole units."""
    scores, latencies = [], []
    for _ in range(draw(st.integers(1, 4))):
        size = draw(st.integers(0, 5))
        gains = draw(st.lists(st.integers(0, 16), min_size=size, max_size=size))
        adds = draw(st.lists(st.integers(-3, 12), min_size=size, max_size=size))
        scores.append(np.cumsum(sorted(gains, reverse=True)) / 16)
        latencies.append(np.cumsum(adds) / SCALE)
    return scores, latencies, draw(st.integers(-10, 90)) / SCALE


@settings(max_examples=300)
@given(small_problems())
def test_the_choice_is_the_best_of_all(problem):
    scores, latencies, capacity = problem
    best = brute_force(scores, latencies, capacity)
    if best is None:
        with pytest.raises(BudgetError, match="cannot be reached: the cheapest choice takes"):
            group_knapsack(scores, latencies, capacity, SCALE)
        return
    chosen = group_knapsack(scores, latencies, capacity, SCALE)
    assert total(latencies, chosen) <= capacity
    assert total(scores, chosen) == best


def random_problem(generator, groups, items, proportional=False):
    scores, latencies = [], []
    for _ in range(groups):
        size = int(generator.choice(items))
        adds = generator.integers(0, 40, size)
        adds[generator.random(size) < 0.7] = 0  # times that jump
        gains = adds / 40 if proportional else np.sort(generator.random(size))[::-1]
        scores.append(np.cumsum(gains))
        latencies.append(np.cumsum(adds) / SCALE)
    return scores, latencies


def milp_optimum(scores, latencies, capacity):
    """The same problem, one 0-1 variable per item, solved by another program."""
    value, cost = np.concatenate(scores), np.concatenate(latencies)
    owner = np.repeat(np.arange(len(scores)), [len(row) for row in scores])
    one = (owner == np.arange(len(scores))[:, None]).astype(float)
    result = milp(
        -value,
        constraints=[LinearConstraint(one, 0, 1), LinearConstraint(cost, -np.inf, capacity)],
        integrality=np.ones(value.size),
        bounds=Bounds(0, 1),
        options={"mip_rel_gap": 0.0},
    )
    assert result.success
    return -result.fun


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("share", [0.05, 0.4, 0.8])
def test_medium_problems_agree_with_integer_programming(seed, share):
    generator = np.random.default_rng(seed)
    scores, latencies = random_problem(generator, 12, [8, 20, 40], proportional=seed == 5)
    capacity = np.round(share * sum(row[-1] for row in latencies) * SCALE) / SCALE
    chosen = group_knapsack(scores, latencies, capacity, SCALE)
    assert total(latencies, chosen) <= capacity
    assert total(scores, chosen) == pytest.approx(
        milp_optimum(scores, latencies, capacity), rel=1e-7
    )


@pytest.mark.parametrize("sizes", [[63], [63, 255, 511, 2047]])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_network_of_53_groups_is_nearly_filled(sizes, share):
    """Hardly anything better fits: the bound of the relaxed problem is near."""
    generator = np.random.default_rng(len(sizes))
    scores, latencies = random_problem(generator, 53, sizes)
    capacity = share * sum(row[-1] for row in latencies)
    chosen = group_knapsack(scores, latencies, capacity)
    assert capacity * 0.97 <= total(latencies, chosen) <= capacity
    relaxed = price_bound(scores, latencies, capacity)
    assert relaxed * 0.995 <= total(scores, chosen) <= relaxed + 1e-9


def price_bound(scores, latencies, capacity):
    """Smallest Lagrangian bound over a grid of prices: no choice has a larger score."""
    return min(
        price * capacity
        + sum(
            max(0.0, float((s - price * t).max())) for s, t in zip(scores, latencies, strict=True)
        )
        for price in np.geomspace(1e-3, 1e5, 400)
    )


def test_latencies_round_up():
    """Two items of 1.5 units each do not fit into 3 units, as they count 2 each."""
    scores, latencies = [[1.0], [1.0], [0.1]], [[1.5], [1.5], [9.0]]
    assert sum(group_knapsack(scores, latencies, 3.5, scale=1)) == 1
    assert sum(group_knapsack(scores, latencies, 3.5, scale=2)) == 2
    assert sum(group_knapsack(scores[:2], latencies[:2], 3.0, scale=1)) == 2  # all there is fits


def test_a_capacity_of_many_units_is_divided_into_fewer():
    generator = np.random.default_rng(0)
    scores, latencies = random_problem(generator, 20, [30])
    latencies = [row * 1e6 for row in latencies]
    capacity = 0.5 * sum(row[-1] for row in latencies)
    chosen = group_knapsack(scores, latencies, capacity, scale=1e9)
    assert 0.97 * capacity < total(latencies, chosen) <= capacity


def test_of_equal_choices_the_cheaper_is_taken():
    assert list(group_knapsack([[1, 1], [0]], [[2, 3], [1]], 3, scale=1)) == [1, 0]
    assert list(group_knapsack([[1], [1]], [[2], [1]], 2, scale=1)) == [0, 1]


def test_items_that_save_time_make_room():
    assert list(group_knapsack([[0.0], [1.0]], [[-2.0], [2.0]], 0.0, scale=1)) == [1, 1]
    with pytest.raises(BudgetError, match="the cheapest choice takes -2 ms"):
        group_knapsack([[0.0], [1.0]], [[-2.0], [2.0]], -2.5, scale=1)


def test_limits_of_the_capacity():
    scores, latencies = [[1.0, 2.0], []], [[1.0, 2.0], []]
    assert list(group_knapsack(scores, latencies, np.inf)) == [2, 0]
    assert list(group_knapsack(scores, latencies, 0.0)) == [0, 0]
    assert list(group_knapsack([], [], 0.0)) == []
    with pytest.raises(BudgetError):
        group_knapsack(scores, latencies, -1e-9)


def test_arrays_that_do_not_fit_are_refused():
    with pytest.raises(AlcsError, match="2 groups have scores, 1 have latencies"):
        group_knapsack([[1.0], [1.0]], [[1.0]], 1.0)
    with pytest.raises(AlcsError, match="a group has 1 scores and 2 latencies"):
        group_knapsack([[1.0]], [[1.0, 2.0]], 1.0)
    with pytest.raises(AlcsError, match="not finite"):
        group_knapsack([[np.nan]], [[1.0]], 1.0)
    for capacity, scale in ((np.nan, 1), (1.0, 0), (1.0, np.nan)):
        with pytest.raises(AlcsError, match="is not usable"):
            group_knapsack([[1.0]], [[1.0]], capacity, scale)


# --- channels


def network(seed=0, sizes=(16, 24, 32, 64)):
    """Groups of a model of 10 ms with curves that rise in steps, and scores."""
    generator = np.random.default_rng(seed)
    groups, curves, scores = [], [], {}
    for index, size in enumerate(sizes):
        name = f"g{index}"
        groups.append(ChannelGroup(name, size, ()))
        kept = tuple(sorted({1, size // 4, size // 2, size}))
        saved = generator.uniform(2, 4) * np.cumsum(
            [0, *generator.uniform(0.1, 0.5, len(kept) - 1)]
        )
        times = tuple((10 - saved[::-1]).tolist())
        curves.append(ChannelCurve(name, kept, times, times, (0.0,) * len(times)))
        scores[name] = generator.random(size).astype(np.float32)
    machine = Machine("CPU", "avx2", 1, "1", "lib", "", 0.0)
    dense = Timing(10, 10, 10, 10, 0, 5)
    return groups, ChannelTable("ab", machine, dense, tuple(curves)), scores


def counts_of(keep):
    return {name: int(mask.sum()) for name, mask in keep.items()}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("budget", [5.5, 7.0, 9.9])
@pytest.mark.parametrize("seed", range(3))
def test_the_estimate_meets_the_budget(method, budget, seed):
    groups, table, scores = network(seed)
    keep = solve_channels(groups, scores, table, budget, method=method)
    estimate = ChannelEstimator.from_table(table).latency(counts_of(keep))
    assert 0.8 * budget <= estimate <= budget * (1 + 1e-9)
    for group in groups:
        mask = keep[group.name]
        assert mask.dtype == bool
        assert mask.shape == (group.channels,)
        assert mask.any()
        if not mask.all():
            assert scores[group.name][mask].min() >= scores[group.name][~mask].max()


def test_the_knapsack_keeps_most_score():
    for seed in range(4):
        groups, table, scores = network(seed)
        kept = {
            method: sum(
                float(scores[name][mask].sum())
                for name, mask in solve_channels(groups, scores, table, 6.5, method=method).items()
            )
            for method in METHODS
        }
        assert kept["knapsack"] >= max(kept.values()) - 1e-3


def test_the_knapsack_is_the_best_of_all_counts():
    groups, table, scores = network(1, (4, 5, 6))
    estimator = ChannelEstimator.from_table(table)
    ranked = {name: np.cumsum(np.sort(row.astype(float))[::-1]) for name, row in scores.items()}
    best = max(
        sum(ranked[name][count - 1] for name, count in zip(ranked, counts, strict=True))
        for counts in itertools.product(range(1, 5), range(1, 6), range(1, 7))
        if estimator.latency(dict(zip(ranked, counts, strict=True))) <= 7.0
    )
    keep = solve_channels(groups, scores, table, 7.0)
    kept = sum(float(scores[name][mask].astype(float).sum()) for name, mask in keep.items())
    assert kept == pytest.approx(best, abs=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_counts_are_at_least_the_minimum(method):
    groups, table, scores = network(2, (6, 20, 33, 64))
    keep = solve_channels(groups, scores, table, 8.0, method=method, min_channels=10)
    for group in groups:
        assert keep[group.name].sum() >= min(10, group.channels)


def test_greedy_is_one_threshold():
    groups, table, scores = network(3)
    keep = solve_channels(groups, scores, table, 7.0, method="greedy")
    inside = min(float(scores[name][mask].min()) for name, mask in keep.items() if mask.sum() > 1)
    outside = max(float(scores[name][~mask].max()) for name, mask in keep.items() if (~mask).any())
    assert inside >= outside


def test_uniform_keeps_the_same_share():
    groups, table, scores = network(3)
    keep = solve_channels(groups, scores, table, 7.0, method="uniform")
    shares = [keep[group.name].mean() for group in groups]
    assert max(shares) - min(shares) <= 1 / 16


@pytest.mark.parametrize("method", METHODS)
def test_a_budget_out_of_reach_gives_the_range(method):
    groups, table, scores = network()
    estimator = ChannelEstimator.from_table(table)
    low = estimator.latency({group.name: 1 for group in groups})
    with pytest.raises(BudgetError, match=f"this model can take {low:.4g} to 10 ms"):
        solve_channels(groups, scores, table, low * 0.99, method=method)
    keep = solve_channels(groups, scores, table, low, method=method)
    assert estimator.latency(counts_of(keep)) <= low * (1 + 1e-9)
    for budget in (0.0, -1.0, np.nan, np.inf):
        with pytest.raises(BudgetError, match="cannot be met"):
            solve_channels(groups, scores, table, budget, method=method)


def test_a_budget_of_the_dense_latency_keeps_everything():
    groups, table, scores = network()
    assert all(mask.all() for mask in solve_channels(groups, scores, table, 10.0).values())


def test_scores_and_curves_that_do_not_fit_are_refused():
    groups, table, scores = network()
    bad = {
        "has no scores": ({k: v for k, v in scores.items() if k != "g0"}, groups),
        r"has 16 channels, its scores \[3\]": ({**scores, "g0": np.ones(3)}, groups),
        "not finite numbers": ({**scores, "g0": np.full(16, np.nan)}, groups),
        "finite numbers from 0": ({**scores, "g0": -np.ones(16)}, groups),
        "has no latency curve": ({**scores, "h": np.ones(3)}, [ChannelGroup("h", 3, ())]),
        "measured for 16": ({**scores, "g0": np.ones(3)}, [ChannelGroup("g0", 3, ())]),
    }
    for text, (some, which) in bad.items():
        with pytest.raises(AlcsError, match=text):
            solve_channels(which, some, table, 8.0)
    with pytest.raises(AlcsError, match="solver 'oracle' is not known: use greedy, knapsack"):
        solve_channels(groups, scores, table, 8.0, method="oracle")
    with pytest.raises(AlcsError, match="cannot keep at least 0 channels"):
        solve_channels(groups, scores, table, 8.0, min_channels=0)


def test_stages_go_down_evenly_and_end_at_the_budget():
    assert stage_budgets(10.0, 4.0, 3) == pytest.approx((8.0, 6.0, 4.0))
    assert stage_budgets(0.3, 0.1, 7)[-1] == 0.1
    assert stage_budgets(10.0, 4.0, 1) == (4.0,)
    assert stage_budgets(10.0, 12.0, 5) == (12.0,)
    with pytest.raises(AlcsError, match="0 stages"):
        stage_budgets(10.0, 4.0, 0)
    with pytest.raises(BudgetError):
        stage_budgets(10.0, 0.0, 2)
