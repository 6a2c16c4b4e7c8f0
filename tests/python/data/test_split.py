"""Orders and halves that are fair to every class."""

from __future__ import annotations

import numpy as np
import pytest

from alcs_onnx.data.split import halves, stratified_order

LABELS = np.repeat(np.arange(4), [10, 20, 30, 40])


@pytest.mark.parametrize("strata", [None, LABELS])
def test_an_order_is_one_and_repeats_with_its_seed(strata: np.ndarray | None) -> None:
    order = stratified_order(100, strata, 1)
    assert sorted(order) == list(range(100))
    assert np.array_equal(order, stratified_order(100, strata, 1))
    assert not np.array_equal(order, stratified_order(100, strata, 2))


@pytest.mark.parametrize("amount", [10, 25, 50, 99])
def test_every_beginning_has_its_share_of_each_class(amount: int, seed: int) -> None:
    first = LABELS[stratified_order(100, LABELS, seed)[:amount]]
    found = np.bincount(first, minlength=4)
    assert (abs(found - np.array([10, 20, 30, 40]) * amount / 100) <= 1.5).all()


def test_classes_of_one_sample_each_are_drawn_at_random() -> None:
    firsts = {tuple(stratified_order(50, np.arange(50), seed)[:3]) for seed in range(20)}
    assert len(firsts) > 15


@pytest.mark.parametrize("count", [16, 17])
@pytest.mark.parametrize("classes", [1, 3, 17])
def test_halves_are_disjoint_and_fair(count: int, classes: int, rng: np.random.Generator) -> None:
    strata = rng.integers(0, classes, count)
    fit, judge = halves(count, strata)
    assert sorted([*fit, *judge]) == list(range(count))
    assert 0 <= len(fit) - len(judge) <= 1
    sizes = [np.bincount(strata[half], minlength=classes) for half in (fit, judge)]
    assert abs(sizes[0] - sizes[1]).max() <= 1
    fit, judge = halves(count, None)
    assert sorted([*fit, *judge]) == list(range(count))
