"""Weights on levels of a codebook: exactly on them, and better than the nearest."""

from __future__ import annotations

import numpy as np
import pytest

from alcs_onnx.codebooks import CODEBOOKS, get_codebook
from alcs_onnx.posttraining.admm import fit_on
from alcs_onnx.posttraining.codebook_fit import OnCodebook, fit_on_codebook
from alcs_onnx.posttraining.problem import LayerProblem

Rng = np.random.Generator


def _problem(rng: Rng, groups: int, rows: int, columns: int) -> LayerProblem:
    """Inputs that are alike, and outputs that the dense weights do not make of them."""
    x = rng.standard_normal((groups, columns, 4 * columns)) * 0.3
    x += rng.standard_normal((groups, columns, 3)) @ rng.standard_normal((groups, 3, x.shape[2]))
    weights = rng.standard_normal((groups, rows, columns))
    y = weights @ x + 0.1 * rng.standard_normal((groups, rows, x.shape[2]))
    moments, target = x @ x.swapaxes(1, 2), y @ x.swapaxes(1, 2)
    # What is compared is the error alone, without the pull towards the dense weights.
    return LayerProblem(weights, moments, target, (y * y).sum(axis=2), damping=1e-6)


@pytest.mark.parametrize("name", CODEBOOKS)
@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize(("groups", "rows", "columns"), [(1, 6, 72), (8, 1, 9)])
def test_weights_are_levels_and_lose_less_than_the_nearest(
    rng: Rng, name: str, per_channel: bool, groups: int, rows: int, columns: int
) -> None:
    problem = _problem(rng, groups, rows, columns)
    support = rng.random((groups * rows, columns)) < 0.7
    levels = get_codebook(name)
    allowed = OnCodebook(support, levels, per_channel)
    found = fit_on_codebook(problem, allowed)
    quantized = found.quantized
    assert quantized.scale.shape == ((groups * rows,) if per_channel else (1,))
    assert (quantized.scale > 0).all()
    assert set(np.unique(quantized.levels[support])) <= set(levels.levels)
    assert not quantized.levels[~support].any()
    np.testing.assert_array_equal(found.weights.reshape(support.shape), quantized.values())
    kept = support.reshape(problem.weights.shape)
    for weights in (problem.weights * kept, fit_on(problem, kept).weights):
        nearest = allowed.nearest(weights).values().reshape(kept.shape).astype(np.float64)
        assert found.error == problem.error(found.weights) <= problem.error(nearest) + 1e-6


def test_three_levels_lose_far_less_than_the_nearest(rng: Rng) -> None:
    problem = _problem(rng, 1, 16, 144)
    allowed = OnCodebook(np.ones((16, 144), bool), get_codebook("ternary"))
    nearest = allowed.nearest(problem.weights).values()[None]
    assert fit_on_codebook(problem, allowed).error < 0.5 * problem.error(nearest.astype(np.float64))


def test_what_is_on_levels_stays(rng: Rng) -> None:
    levels = rng.integers(-3, 4, (1, 5, 40))
    x = rng.standard_normal((1, 40, 400))
    problem = LayerProblem(np.asarray(levels * 0.25), x @ x.swapaxes(1, 2))
    found = fit_on_codebook(problem, OnCodebook(np.ones((5, 40), bool), get_codebook("3bit")))
    np.testing.assert_array_equal(found.quantized.levels, levels[0])
    np.testing.assert_allclose(found.quantized.scale, 0.25, rtol=1e-5)


def test_rows_and_inputs_of_nothing_but_zeros(rng: Rng) -> None:
    problem = _problem(rng, 1, 4, 20)
    for array in (problem.moments, problem.moments.swapaxes(1, 2), problem.target.swapaxes(1, 2)):
        array[:, 3] = 0
    support = np.ones((4, 20), bool)
    support[1] = False
    found = fit_on_codebook(problem, OnCodebook(support, get_codebook("4bit"), per_channel=True))
    assert not found.quantized.levels[1].any()
    assert np.isfinite(found.weights).all()
