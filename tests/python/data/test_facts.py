"""Ranges of what a model is given."""

from __future__ import annotations

import numpy as np
import pytest

from alcs_onnx.data import ValueRange, input_range
from alcs_onnx.data.memory import ArraySamples
from alcs_onnx.data.others import GivenInput
from alcs_onnx.errors import DataError


def samples(*inputs: tuple[np.ndarray, bool], count: int) -> ArraySamples:
    return ArraySamples(tuple(GivenInput(array, counts) for array, counts in inputs), count)


def test_ranges_are_of_all_values_of_each_input(rng: np.random.Generator) -> None:
    images = (1e4 + rng.standard_normal((70, 3, 5, 5))).astype(np.float32)
    side = rng.integers(-5, 5, (70, 2))
    given = samples((images, True), (np.array(0.5), False), (side, True), count=70)
    first, scalar, last = input_range(given)
    for found, array in ((first, images), (last, side)):
        assert found is not None
        values = array.astype(np.float64)
        assert (found.minimum, found.maximum) == (values.min(), values.max())
        assert found.mean == pytest.approx(values.mean(), rel=1e-12)
        assert found.std == pytest.approx(values.std(), rel=1e-9)
    assert scalar == ValueRange(0.5, 0.5, 0.5, 0.0)


@pytest.mark.parametrize("limit", [1, 32, 40])
def test_a_limit_is_one_of_samples(limit: int, rng: np.random.Generator) -> None:
    images = rng.standard_normal((70, 3))
    (found,) = input_range(samples((images, True), count=70), limit)
    assert found is not None
    assert found.maximum == images[:limit].max()
    assert found.mean == pytest.approx(images[:limit].mean())


def test_what_has_no_range() -> None:
    words = samples((np.array(["a", "b"]), True), (np.array([1, 3]), True), count=2)
    assert input_range(words) == (None, ValueRange(1, 3, 2, 1))
    with pytest.raises(DataError, match="no samples"):
        input_range(samples((np.zeros((0, 3)), True), count=0))
