"""Projections onto a latency budget."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alcs_onnx.errors import AlcsError, BudgetError
from alcs_onnx.latency import Estimator, LayerEstimate
from alcs_onnx.solve import MIN_DENSITY, SOLVERS, project, reachable_range
from alcs_onnx.solve.ranking import Ranking

METHODS = sorted(SOLVERS)


def layer(groups, *times):
    """A layer whose times are at evenly spread counts of groups."""
    knots = np.round(np.linspace(0, groups, len(times))).astype(np.int64)
    return LayerEstimate(knots, np.array(times, dtype=float))


def latency(estimator, keep):
    return estimator.model_ms({name: int(mask.sum()) for name, mask in keep.items()})


def energy(norms, keep):
    return sum(float(np.square(norms[n][mask], dtype=float).sum()) for n, mask in keep.items())


def best_energy(norms, estimator, budget, floors):
    """Largest energy by trying every number of groups in every layer."""
    sums = {
        name: np.concatenate(([0], np.cumsum(np.sort(np.square(a, dtype=float), axis=None)[::-1])))
        for name, a in norms.items()
    }
    best = -1.0
    for counts in itertools.product(*(range(floors[n], a.size + 1) for n, a in norms.items())):
        chosen = dict(zip(norms, counts, strict=True))
        if estimator.model_ms(chosen) <= budget + 1e-12:
            best = max(best, float(sum(sums[name][count] for name, count in chosen.items())))
    return best


@st.composite
def problems(draw, most_layers=3, most_groups=14):
    """Norms, an estimator with flat, steep and concave pieces, and a reachable budget."""
    generator = np.random.default_rng(draw(st.integers(0, 2**32)))
    norms, layers = {}, {}
    for index in range(draw(st.integers(1, most_layers))):
        blocks, columns = draw(st.integers(1, 2)), draw(st.integers(2, most_groups // 2))
        array = generator.random((blocks, columns)) * draw(st.sampled_from([0.1, 1.0, 5.0]))
        if draw(st.booleans()):
            array = np.round(array, 1)  # equal norms, and zeros
        rises = draw(st.lists(st.sampled_from([0, 0.01, 0.3, 1.0]), min_size=2, max_size=4))
        size = blocks * columns
        count = min(len(rises), size) + 1
        norms[f"l{index}"] = array.astype(np.float32)
        times = np.cumsum([0.1, *rises])[:count]
        times[-1] += 0.2  # every layer costs something
        layers[f"l{index}"] = layer(size, *times)
    estimator = Estimator(0.5, layers)
    low, high = reachable_range(estimator, {n: a.size for n, a in norms.items()})
    return norms, estimator, low + draw(st.floats(0, 0.999)) * (high - low)


@pytest.mark.parametrize("method", METHODS)
@settings(max_examples=60)
@given(problem=problems())
def test_every_projection_meets_the_budget(method, problem):
    norms, estimator, budget = problem
    keep = project(norms, estimator, budget, method=method)
    assert latency(estimator, keep) <= budget * (1 + 1e-12)
    assert list(keep) == list(norms)
    for name, mask in keep.items():
        assert mask.dtype == bool
        assert mask.shape == norms[name].shape
        assert mask.any()
        # Within a layer the largest are kept.
        if not mask.all():
            assert norms[name][mask].min() >= norms[name][~mask].max()


def small_problems(count):
    """Seeded small problems whose best answer can be found by trying everything."""
    generator = np.random.default_rng(5)
    for _ in range(count):
        norms, layers = {}, {}
        for index in range(generator.integers(1, 4)):
            size = int(generator.integers(4, 15))
            array = generator.random((1, size)) * generator.choice([0.1, 1, 5])
            rises = generator.choice([0, 0.01, 0.3, 1.0], generator.integers(2, 5))
            times = np.cumsum([0.1, *rises])
            times[-1] += 0.2
            norms[f"l{index}"] = array.astype(np.float32)
            layers[f"l{index}"] = layer(size, *times)
        estimator = Estimator(0.5, layers)
        low, high = reachable_range(estimator, {n: a.size for n, a in norms.items()})
        yield norms, estimator, low + generator.random() * 0.999 * (high - low)


def test_the_kept_energy_is_the_best_or_near_it():
    """Nearly always the optimum; otherwise one layer's curve is not convex at the price."""
    gaps = []
    for norms, estimator, budget in small_problems(150):
        keep = project(norms, estimator, budget, method="energy", tolerance_ms=0)
        best = best_energy(norms, estimator, budget, dict.fromkeys(norms, 1))
        total = energy(norms, {n: np.ones(a.shape, bool) for n, a in norms.items()})
        gaps.append((best - energy(norms, keep)) / total)
    assert min(gaps) > -1e-6
    assert np.mean(np.array(gaps) < 1e-6) > 0.9
    assert np.mean(gaps) < 0.002


def network(seed=0, layers=6, groups=20_000):
    """Norms and an estimator of a network with layers of very different scale and cost."""
    generator = np.random.default_rng(seed)
    norms, estimates = {}, {}
    for index in range(layers):
        scale = generator.uniform(0.05, 1)
        shape = (groups // 100, int(generator.integers(20, 100)))
        norms[f"l{index}"] = np.abs(generator.standard_normal(shape)).astype(np.float32) * scale
        rises = generator.uniform(0.2, 1, 10) * generator.uniform(0.2, 2)
        estimates[f"l{index}"] = layer(shape[0] * shape[1], *np.cumsum([0.1, *rises]))
    return norms, Estimator(3.0, estimates)


def budget_at(share, norms, estimator, min_density=MIN_DENSITY):
    sizes = {name: array.size for name, array in norms.items()}
    low, high = reachable_range(estimator, sizes, min_density)
    return low + share * (high - low)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("share", [0.02, 0.3, 0.7, 0.99])
def test_the_budget_is_used_up(method, share):
    norms, estimator = network()
    budget = budget_at(share, norms, estimator)
    used = latency(estimator, project(norms, estimator, budget, method=method))
    assert budget * (1 - 3e-4) <= used <= budget * (1 + 1e-12)


def algorithm_1(norms, estimator, budget, tolerance):
    """The paper's listing, line by line, but returning the side within the budget."""
    values = np.concatenate([array.ravel() for array in norms.values()])
    owners = np.repeat(np.arange(len(norms)), [array.size for array in norms.values()])
    order = np.argsort(-values, kind="stable")

    def groups(n):
        counts = np.bincount(owners[order[:n]], minlength=len(norms))
        return dict(zip(norms, counts.tolist(), strict=True))

    n0, n1 = 0, values.size
    t0, t1 = estimator.model_ms(groups(n0)), estimator.model_ms(groups(n1))
    while t1 - t0 > tolerance and n1 - n0 > 1:
        n = (n0 + n1) // 2
        t = estimator.model_ms(groups(n))
        if t <= budget:
            n0, t0 = n, t
        else:
            n1, t1 = n, t
    return groups(n0)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_bisection_is_algorithm_1(share):
    norms, estimator = network(1, layers=4, groups=6000)  # small enough to be sorted
    budget = budget_at(share, norms, estimator, 0.0)
    keep = project(norms, estimator, budget, method="bisection", tolerance_ms=1e-9, min_density=0.0)
    counts = {name: int(mask.sum()) for name, mask in keep.items()}
    assert counts == algorithm_1(norms, estimator, budget, 1e-9)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_bisection_of_large_layers_keeps_what_algorithm_1_keeps(share):
    norms, estimator = network(2)
    budget = budget_at(share, norms, estimator, 0.0)
    keep = project(norms, estimator, budget, method="bisection", min_density=0.0)
    exact = algorithm_1(norms, estimator, budget, budget / 1e4)
    for name, mask in keep.items():
        assert mask.sum() == pytest.approx(exact[name], rel=0.01, abs=30)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_energy_keeps_more_energy_than_bisection(share):
    norms, estimator = network(3)
    budget = budget_at(share, norms, estimator)
    kept = {
        method: energy(norms, project(norms, estimator, budget, method=method))
        for method in METHODS
    }
    assert kept["energy"] > kept["bisection"]
    assert kept["energy"] > kept["energy-normalised"]


def test_normalised_energy_ignores_the_scale_of_a_layer():
    norms, estimator = network(4)
    scaled = {**norms, "l0": norms["l0"] * np.float32(64)}
    budget = budget_at(0.4, norms, estimator)

    def kept(method, values):
        return project(values, estimator, budget, method=method)["l0"].mean()

    assert kept("energy-normalised", scaled) == pytest.approx(
        kept("energy-normalised", norms), abs=1e-3
    )
    assert kept("energy", scaled) > kept("energy", norms) + 0.1


@pytest.mark.parametrize("method", METHODS)
def test_every_layer_keeps_its_least_density(method):
    norms, estimator = network(5)
    norms["l0"] = norms["l0"] * np.float32(1e-6)
    budget = budget_at(0.2, norms, estimator, 0.1)
    keep = project(norms, estimator, budget, method=method, min_density=0.1)
    assert min(mask.mean() for mask in keep.values()) >= 0.1


@pytest.mark.parametrize("method", METHODS)
def test_weights_that_are_zero_already_go_first(method):
    norms, estimator = network(6)
    generator = np.random.default_rng(0)
    zeros = {name: generator.random(array.shape) < 0.6 for name, array in norms.items()}
    for name, array in norms.items():
        array[zeros[name]] = 0
    budget = budget_at(0.3, norms, estimator)
    keep = project(norms, estimator, budget, method=method)
    assert not any(keep[name][zeros[name]].any() for name in norms)
    # With a budget for more than what is left, all of it stays.
    budget = budget_at(0.9, norms, estimator)
    keep = project(norms, estimator, budget, method=method)
    assert all(keep[name][~zeros[name]].all() for name in norms)
    assert latency(estimator, keep) <= budget


@pytest.mark.parametrize("method", METHODS)
def test_layers_not_named_stay_dense(method):
    norms, estimator = network(7)
    del norms["l0"]
    budget = budget_at(0.5, norms, estimator)
    keep = project(norms, estimator, budget, method=method)
    assert "l0" not in keep
    assert budget * (1 - 3e-4) <= latency(estimator, keep) <= budget


def test_a_budget_above_the_dense_latency_changes_nothing():
    norms, estimator = network()
    keep = project(norms, estimator, estimator.model_ms({}))
    assert all(mask.all() for mask in keep.values())


def test_a_budget_out_of_reach_gives_the_range():
    norms, estimator = network()
    low, high = (budget_at(share, norms, estimator) for share in (0, 1))
    with pytest.raises(BudgetError, match="cannot be reached: this model can take") as info:
        project(norms, estimator, low * 0.99)
    assert f"{low:.4g} to {high:.4g} ms" in str(info.value)
    assert info.value.exit_status == 1
    for budget in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(BudgetError, match="cannot be met"):
            project(norms, estimator, budget)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("seed", range(8))
def test_the_lowest_reachable_budget_can_be_met(method, seed):
    """The sum of the layers' times is rounded: the budget of the floors is still theirs."""
    norms, estimator = network(seed, layers=9)
    low = budget_at(0, norms, estimator)
    keep = project(norms, estimator, low, method=method)
    assert latency(estimator, keep) <= low * (1 + 1e-12)


@pytest.mark.parametrize("size", [50, 20_000])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_norms_that_are_not_finite_are_refused(size, value):
    array = np.ones((1, size))
    array[0, 7] = value
    estimator = Estimator(0.0, {"conv": layer(size, 0.1, 1.0)})
    with pytest.raises(AlcsError, match="layer 'conv' has weights that are not finite"):
        project({"conv": array}, estimator, 0.5)


def test_layers_that_do_not_fit_the_estimator_are_refused():
    norms, estimator = network()
    with pytest.raises(AlcsError, match="layer 'other' has no latency curve"):
        project({"other": np.ones((1, 3))}, estimator, 1.0)
    with pytest.raises(AlcsError, match="layer 'l0' has 3 groups, its latency was measured for"):
        project({"l0": np.ones((1, 3))}, estimator, 1.0)
    with pytest.raises(AlcsError, match="solver 'oracle' is not known"):
        project(norms, estimator, 1.0, method="oracle")
    with pytest.raises(AlcsError, match=r"least density of 1\.5"):
        project(norms, estimator, 1.0, min_density=1.5)


# --- ranking


@pytest.mark.parametrize("size", [1, 100, 8192, 8193, 30_000])
@pytest.mark.parametrize("equal", [False, True])
def test_a_mask_keeps_exactly_the_largest(size, equal):
    generator = np.random.default_rng(size)
    norms = np.abs(generator.standard_normal((1, size)))
    if equal:
        norms = np.round(norms, 1)
    ranking = Ranking.of("conv", norms)
    for count in {0, 1, size // 3, size // 2, size - 1, size}:
        keep = ranking.keep_mask(count)
        assert keep.shape == norms.shape
        assert keep.sum() == count
        if 0 < count < size:
            assert norms.astype(np.float32)[keep].min() >= norms.astype(np.float32)[~keep].max()


@given(st.lists(st.floats(0, 2.0**100, width=32), min_size=1, max_size=60), st.booleans())
def test_levels_hold_every_group_and_its_energy(values, repeated):
    array = np.array(values * (200 if repeated else 1), dtype=np.float32)
    ranking = Ranking.of("conv", array)
    assert ranking.at_least[0] == array.size
    assert ranking.at_least[-1] == 0
    total = float(np.square(array, dtype=float).sum())
    assert ranking.energy[0] == pytest.approx(total, rel=0.01)
    counts = ranking.count_from(ranking.low)
    for level in range(0, ranking.low.size, 7):
        assert counts[level] == np.count_nonzero(array >= ranking.low[level])


@pytest.mark.parametrize("method", METHODS)
def test_layers_of_few_groups_in_masks_of_any_shape(method):
    """16 filters, 2 conv groups of 27 columns, single weights: no layer is left with nothing."""
    rng = np.random.default_rng(0)
    shapes = {"filters": (1, 16), "one": (1, 1), "columns": (2, 3, 9), "weights": (1, 4, 3, 9)}
    norms = {name: rng.random(shape, dtype=np.float32) for name, shape in shapes.items()}
    norms["filters"] *= 1e-6  # the first to go, if it were not for the floor
    estimator = Estimator(0.5, {n: layer(a.size, 0.1, 1.0) for n, a in norms.items()})
    low, high = reachable_range(estimator, {n: a.size for n, a in norms.items()})
    for budget in (low, (low + high) / 2):
        keep = project(norms, estimator, budget, method=method)
        assert {name: mask.shape for name, mask in keep.items()} == shapes
        assert all(mask.any() for mask in keep.values())
        assert latency(estimator, keep) <= budget + 1e-9
    least = project(norms, estimator, low, method=method)
    assert {name: int(mask.sum()) for name, mask in least.items()} == {
        "filters": 1, "one": 1, "columns": 2, "weights": 3,
    }  # fmt: skip
