"""Quantization levels: the projections onto them are exact and idempotent."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alcs_onnx.codebooks import CODEBOOKS, fit_scale, get_codebook, nearest_levels, quantize
from alcs_onnx.errors import AlcsError

EXACT = ["binary", "ternary", "3bit", "4bit"]


def test_the_sets():
    assert get_codebook("binary").levels == (-1, 1)
    assert get_codebook("ternary").levels == (-1, 0, 1)
    assert get_codebook("3bit").levels == (-3, -2, -1, 0, 1, 2, 3)
    assert len(get_codebook("8bit").levels) == 255
    assert all(len(s.levels) == s.count <= 2**s.bits for s in CODEBOOKS.values())
    with pytest.raises(AlcsError, match="quantization '2bit' is not known: use 3bit, 4bit, 5bit"):
        get_codebook("2bit")


@pytest.mark.parametrize("name", ["binary", "ternary", "3bit"])
@pytest.mark.parametrize("seed", range(4))
def test_the_projection_is_the_best_of_all_assignments(name, seed):
    """Brute force: every assignment of levels, each with its own best distance."""
    levels = get_codebook(name)
    weight = np.random.default_rng(seed).standard_normal(4).astype(np.float32)
    found = quantize(weight.reshape(4, 1), levels).values().reshape(-1)
    best = np.square(weight, dtype=float).sum()
    for assigned in product(levels.levels, repeat=4):
        a = np.array(assigned, float)
        if a @ a > 0 and a @ weight > 0:
            best = min(best, np.square(weight - a * (a @ weight) / (a @ a)).sum())
    assert np.square(weight - found, dtype=float).sum() == pytest.approx(best, rel=1e-5)


@given(st.sampled_from(sorted(CODEBOOKS)), st.integers(1, 40), st.integers(0, 10**6))
def test_projections_are_idempotent(name, count, seed):
    generator = np.random.default_rng(seed)
    weight = (generator.standard_normal((count, 3)) * 10.0 ** generator.integers(-4, 4)).astype(
        np.float32
    )
    levels = get_codebook(name)
    for per_channel in (False, True):
        once = quantize(weight, levels, per_channel=per_channel)
        twice = quantize(once.values(), levels, per_channel=per_channel, scale=once.scale)
        assert (once.levels == twice.levels).all()
        again = quantize(once.values(), levels, per_channel=per_channel)
        np.testing.assert_allclose(again.values(), once.values(), rtol=1e-5)


@given(st.sampled_from(EXACT), st.integers(1, 60), st.integers(0, 10**6))
def test_no_distance_of_a_fine_grid_is_better(name, count, seed):
    levels = get_codebook(name)
    weight = np.random.default_rng(seed).standard_normal(count)

    def error(scale):
        return np.square(np.abs(weight[:, None] - scale * np.array(levels.levels)).min(1)).sum()

    grid = np.linspace(1e-3, 1.5, 3000) * np.abs(weight).max()
    assert error(fit_scale(weight, levels)) <= min(error(scale) for scale in grid) + 1e-9


def test_binary_and_ternary_have_closed_forms():
    weight = np.random.default_rng(0).standard_normal(100)
    assert fit_scale(weight, get_codebook("binary")) == pytest.approx(np.abs(weight).mean())
    sums = np.cumsum(-np.sort(-np.abs(weight)))
    largest = int(np.argmax(sums**2 / np.arange(1, 101)))
    found = fit_scale(weight, get_codebook("ternary"))
    assert found == pytest.approx(sums[largest] / (largest + 1))


def test_large_layers_are_refined_to_nearly_the_same(monkeypatch):
    weight = np.random.default_rng(0).standard_normal((20_000, 1)).astype(np.float32)
    levels = get_codebook("8bit")
    exact = np.square(quantize(weight, levels).values() - weight).sum()
    monkeypatch.setattr("alcs_onnx.codebooks.projection._EXACT", 1 << 16)
    refined = np.square(quantize(weight, levels).values() - weight).sum()
    assert exact <= refined <= 1.1 * exact


def test_zeros_stay_zeros_and_take_no_part():
    weight = np.random.default_rng(0).standard_normal((6, 4, 3, 3)).astype(np.float32)
    keep = np.random.default_rng(1).random(weight.shape) < 0.2
    for name in CODEBOOKS:
        found = quantize(weight * keep, get_codebook(name), keep=keep)
        assert (found.levels[~keep] == 0).all()
        alone = quantize(weight[keep].reshape(-1, 1), get_codebook(name))
        np.testing.assert_array_equal(found.scale, alone.scale)
    assert (np.abs(quantize(weight, get_codebook("binary"), keep=keep).levels[keep]) == 1).all()


def test_scales_of_channels():
    weight = np.array([[1, -1], [10, -10], [0, 0]], np.float32)
    found = quantize(weight, get_codebook("binary"), per_channel=True)
    assert found.scale.tolist() == [1, 10, 1]
    assert quantize(weight, get_codebook("ternary"), per_channel=True).values().tolist() == (
        weight.tolist()
    )
    fixed = quantize(weight, get_codebook("3bit"), scale=np.array([2], np.float32))
    assert fixed.levels.tolist() == [[0, -1], [3, -3], [0, 0]]
    assert nearest_levels(weight, np.ones(3, np.float32), get_codebook("8bit")).max() == 10


def test_weights_that_are_no_numbers_are_refused():
    with pytest.raises(AlcsError, match="not finite"):
        quantize(np.array([[np.nan]], np.float32), get_codebook("binary"))
