"""Weights on a grid: never worse than the nearest, and no single one could be better."""

from __future__ import annotations

import numpy as np
import pytest

from alcs_onnx.posttraining.problem import LayerProblem
from alcs_onnx.posttraining.rounding import Grid, rounded

Rng = np.random.Generator


def _problem(rng: Rng, groups: int, rows: int, columns: int) -> LayerProblem:
    """Inputs that are alike, as neighbouring pixels are."""
    x = rng.standard_normal((groups, columns, 4 * columns))
    mixed = rng.standard_normal((groups, columns, 3)) @ rng.standard_normal((groups, 3, x.shape[2]))
    x = x * 0.3 + mixed
    weights = rng.standard_normal((groups, rows, columns))
    return LayerProblem(weights, x @ x.swapaxes(1, 2) / x.shape[2])


def _grid(problem: LayerProblem, most: int) -> Grid:
    steps = np.abs(problem.weights).max(axis=2) / most
    return Grid(steps, -most, most)


@pytest.mark.parametrize(("groups", "rows", "columns"), [(1, 8, 200), (1, 3, 64), (12, 1, 9)])
@pytest.mark.parametrize("most", [7, 127])
def test_less_is_lost_than_by_the_nearest(
    rng: Rng, groups: int, rows: int, columns: int, most: int
) -> None:
    problem = _problem(rng, groups, rows, columns)
    grid = _grid(problem, most)
    found = rounded(problem, grid)
    assert np.abs(found).max() <= most
    steps = grid.steps[:, :, None]
    nearest = problem.error(grid.nearest(problem.weights) * steps)
    # A third to a tenth of it where many inputs say nearly the same.
    assert problem.error(found * steps) < 0.75 * nearest


def test_no_single_step_is_better(rng: Rng) -> None:
    problem = _problem(rng, 1, 2, 70)
    grid = _grid(problem, 15)
    found, steps = rounded(problem, grid), grid.steps[:, :, None]
    damped = problem.moments + problem.ridge[:, :, None] * np.eye(70)

    def lost(integers: np.ndarray) -> float:
        apart = integers * steps - problem.weights
        return float(np.sum(apart @ damped * apart))

    least = lost(found)
    for index in np.ndindex(found.shape):
        for step in (-1, 1):
            other = found.copy()
            other[index] += step
            if abs(other[index]) <= 15:
                assert lost(other) >= least * (1 - 1e-4)


def test_what_is_on_the_grid_stays(rng: Rng) -> None:
    integers = rng.integers(-127, 128, (2, 4, 20))
    integers[:, :, 0] = 127
    steps = rng.uniform(0.01, 0.1, (2, 4))
    x = rng.standard_normal((2, 20, 80))
    problem = LayerProblem(integers * steps[:, :, None], x @ x.swapaxes(1, 2))
    np.testing.assert_array_equal(rounded(problem, Grid(steps, -127, 127)), integers)


def test_inputs_that_are_always_zero(rng: Rng) -> None:
    problem = _problem(rng, 1, 4, 20)
    problem.moments[:, 3] = problem.moments[:, :, 3] = 0
    grid = _grid(problem, 31)
    found = rounded(problem, grid)
    np.testing.assert_array_equal(found[:, :, 3], grid.nearest(problem.weights)[:, :, 3])
