"""The layer-wise problem, its ADMM and least squares."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from conv_layers import conv

from alcs_onnx.posttraining.admm import fit, fit_on
from alcs_onnx.posttraining.problem import LayerProblem
from alcs_onnx.posttraining.supports import largest
from alcs_onnx.structures import get_structure
from alcs_onnx.types import BoolArray, DoubleArray, FloatArray

Rng = np.random.Generator


def correlated(rng: Rng, groups: int, columns: int, samples: int = 400) -> DoubleArray:
    """Inputs [G, samples, columns] that say much the same as their neighbours."""
    mixing = np.eye(columns) + 0.6 * rng.standard_normal((groups, columns, columns))
    return rng.standard_normal((groups, samples, columns)) @ mixing


def made(
    rng: Rng, groups: int = 1, rows: int = 4, columns: int = 8
) -> tuple[LayerProblem, DoubleArray]:
    x = correlated(rng, groups, columns)
    weights = rng.standard_normal((groups, rows, columns))
    return LayerProblem(weights, x.swapaxes(1, 2) @ x), x


def columns_kept(count: int):
    """The columns of largest norm, for all rows."""

    def support(weights: FloatArray) -> BoolArray:
        norms = (weights**2).sum(axis=(0, 1))
        keep = np.zeros(norms.size, dtype=bool)
        keep[np.argsort(-norms)[:count]] = True
        return np.broadcast_to(keep, weights.shape)

    return support


def test_the_error_is_that_of_the_outputs(rng: Rng) -> None:
    problem, x = made(rng, groups=3)
    other = problem.weights + 0.1 * rng.standard_normal(problem.weights.shape)
    wanted, got = (x @ w.swapaxes(1, 2) for w in (problem.weights, other))
    assert problem.error(other) == pytest.approx(((got - wanted) ** 2).sum() / (wanted**2).sum())
    assert problem.error(problem.weights) == pytest.approx(0, abs=1e-12)


def test_the_error_towards_other_outputs(rng: Rng) -> None:
    problem, x = made(rng)
    y = x @ problem.weights.swapaxes(1, 2) + rng.standard_normal((1, x.shape[1], 4))
    towards = LayerProblem(
        problem.weights, problem.moments, y.swapaxes(1, 2) @ x, (y**2).sum(axis=1)
    )
    got = x @ problem.weights.swapaxes(1, 2)
    assert towards.error(problem.weights) == pytest.approx(((got - y) ** 2).sum() / (y**2).sum())
    best = fit_on(towards, np.ones(problem.weights.shape, bool))
    assert best.error <= towards.error(problem.weights)
    some = np.array([[True, False, True, False]])
    assert towards.error(problem.weights, some) == pytest.approx(
        ((got - y) ** 2)[0][:, some[0]].sum() / (y**2)[0][:, some[0]].sum()
    )
    exact = np.linalg.lstsq(x[0], y[0], rcond=None)[0].T
    assert best.error == pytest.approx(towards.error(exact[None]), rel=1e-2)


def test_least_squares_on_a_support_is_exact(rng: Rng) -> None:
    problem, x = made(rng, groups=2, rows=3)
    support = rng.random(problem.weights.shape) < 0.5
    found = fit_on(problem, support)
    assert not found.weights[~support].any()
    exact = np.zeros_like(problem.weights)
    for group, row in itertools.product(range(2), range(3)):
        own = support[group, row]
        wanted = x[group] @ problem.weights[group, row]
        exact[group, row, own] = np.linalg.lstsq(x[group][:, own], wanted, rcond=None)[0]
    # The ridge towards the dense weights costs next to nothing.
    assert found.error == pytest.approx(problem.error(exact), rel=1e-2, abs=1e-4)


@pytest.mark.parametrize("kept", [2, 3, 5])
def test_admm_is_next_to_the_best_of_all_supports(rng: Rng, kept: int) -> None:
    found, best, magnitudes = [], [], []
    for _ in range(8):
        problem, _ = made(rng)
        found.append(fit(problem, columns_kept(kept)).error)
        every = itertools.combinations(range(8), kept)
        masks = (np.broadcast_to(np.isin(np.arange(8), c), (1, 4, 8)) for c in every)
        best.append(min(fit_on(problem, mask).error for mask in masks))
        mask = columns_kept(kept)(problem.weights.astype(np.float32))
        magnitudes.append(problem.error(problem.weights * mask))
    assert np.mean(found) <= 1.15 * np.mean(best)
    assert np.mean(found) < 0.6 * np.mean(magnitudes)


def test_all_that_is_kept_is_the_dense_layer(rng: Rng) -> None:
    problem, _ = made(rng, groups=2)
    found = fit(problem, columns_kept(8))
    assert found.support.all()
    np.testing.assert_allclose(found.weights, problem.weights, rtol=1e-2, atol=1e-3)


def test_inputs_that_are_never_excited_keep_the_dense_weights(rng: Rng) -> None:
    weights = rng.standard_normal((1, 4, 8))
    for moments in (np.zeros((1, 8, 8)), np.diag([1.0] * 4 + [0.0] * 4)[None]):
        problem = LayerProblem(weights, moments)
        found = fit(problem, columns_kept(6))
        assert np.isfinite(found.weights).all()
        kept = found.support[0, 0]
        np.testing.assert_allclose(found.weights[..., kept], weights[..., kept], rtol=1e-3)


def test_singular_moments_are_damped(rng: Rng) -> None:
    x = rng.standard_normal((1, 3, 8))  # fewer samples than columns
    problem = LayerProblem(rng.standard_normal((1, 4, 8)), x.swapaxes(1, 2) @ x)
    found = fit(problem, columns_kept(5))
    assert np.isfinite(found.weights).all()
    assert found.error < 0.05
    assert np.abs(found.weights).max() < 20 * np.abs(problem.weights).max()


@pytest.mark.parametrize("structure", ["simd", "shape", "unstructured"])
@pytest.mark.parametrize("group", [1, 2])
def test_supports_of_structures_keep_so_many_groups(rng: Rng, structure: str, group: int) -> None:
    layer, grouping = conv(12, 4, group), get_structure(structure, 4)
    total = int(np.prod(grouping.mask_shape(layer)))
    weights = rng.standard_normal((group, 12 // group, layer.columns)).astype(np.float32)
    for count in (0, 1, total // 3, total, total + 1):
        support = largest(grouping, layer, count)(weights)
        mask = grouping.group_mask(support.reshape(layer.weight_shape), layer)
        assert int(mask.sum()) == min(count, total)
