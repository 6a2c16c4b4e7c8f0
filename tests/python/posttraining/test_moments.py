"""Moments of what a convolution reads and gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from graph_helpers import conv_weight, load, model, op, run, vector

from alcs_onnx.errors import AlcsError
from alcs_onnx.graph import conv_layers
from alcs_onnx.posttraining.admm import fit_on
from alcs_onnx.posttraining.moments import MomentSums, Places, at_places, unfolded
from alcs_onnx.types import ConvLayer

Rng = np.random.Generator
#: Attributes of a convolution of 4 channels to 6, the weight's columns, and the input's size.
CASES: dict[str, tuple[dict[str, Any], tuple[int, ...], tuple[int, ...]]] = {
    "plain": ({"pads": [1] * 4}, (6, 4, 3, 3), (3, 4, 9, 7)),
    "1x1": ({}, (6, 4, 1, 1), (3, 4, 5, 6)),
    "strides": ({"strides": [2, 3], "pads": [0, 1, 2, 1]}, (6, 4, 3, 2), (3, 4, 10, 11)),
    "dilated": ({"dilations": [2, 1], "pads": [2, 0, 2, 0]}, (6, 4, 3, 2), (3, 4, 9, 8)),
    "grouped": ({"group": 2, "pads": [1] * 4}, (6, 2, 3, 3), (3, 4, 6, 6)),
    "depthwise": ({"group": 4, "pads": [1] * 4}, (8, 1, 3, 3), (3, 4, 6, 6)),
    "1-D": ({"pads": [1, 1], "strides": [2]}, (6, 4, 3), (3, 4, 13)),
}


def convolution(case: str, folder: Path, rng: Rng):
    """The layer, its weights and bias, inputs and outputs."""
    attributes, shape, size = CASES[case]
    weights = {"w": conv_weight(rng, *shape), "b": vector(rng, shape[0])}
    proto = model([op("Conv", "x w b", "y", **attributes)], weights, size)
    (layer,) = conv_layers(load(proto, folder))
    x = rng.standard_normal(size).astype(np.float32)
    y = run(proto.SerializeToString(), {"x": x})[0]
    return layer, weights["w"], weights["b"], x, y


@pytest.mark.parametrize("case", CASES)
def test_windows_are_what_the_convolution_sees(case: str, tmp_path: Path, rng: Rng) -> None:
    layer, w, b, x, y = convolution(case, tmp_path, rng)
    places = np.arange(int(np.prod(layer.output_shape[2:])))[1::2]
    columns = unfolded(x, layer, places)
    matrix = w.reshape(layer.group, layer.rows_per_group, -1)
    made = columns @ matrix.swapaxes(1, 2) + b.reshape(layer.group, 1, -1)
    np.testing.assert_allclose(made, at_places(y, layer, places), atol=1e-4)


@pytest.mark.parametrize("case", CASES)
def test_the_dense_layer_solves_its_own_problem(case: str, tmp_path: Path, rng: Rng) -> None:
    layer, w, b, _, _ = convolution(case, tmp_path, rng)
    sums = MomentSums(layer)
    places = np.arange(int(np.prod(layer.output_shape[2:])))
    proto = model(
        [op("Conv", "x w b", "y", **CASES[case][0])], {"w": w, "b": b}, CASES[case][2]
    ).SerializeToString()
    for _ in range(20):
        x = rng.standard_normal(CASES[case][2]).astype(np.float32) + 1
        sums.add(x, run(proto, {"x": x})[0], places)
    problem = sums.problem(w, damping=1e-3)
    assert problem.error(problem.weights) == pytest.approx(0, abs=1e-5)
    found = fit_on(problem, np.ones(problem.weights.shape, bool))
    np.testing.assert_allclose(found.weights.reshape(w.shape), w, atol=0.02)
    np.testing.assert_allclose(sums.bias(found.weights), b, atol=0.05)


def test_a_bias_makes_means_right_whatever_the_weights(tmp_path: Path, rng: Rng) -> None:
    layer, _, _, x, y = convolution("plain", tmp_path, rng)
    places = np.arange(int(np.prod(layer.output_shape[2:])))
    sums = MomentSums(layer)
    sums.add(x, y, places)
    other = rng.standard_normal((1, 6, 36))
    made = unfolded(x, layer, places) @ other.swapaxes(1, 2) + sums.bias(other)
    np.testing.assert_allclose(made.mean(axis=(0, 1)), y.mean(axis=(0, 2, 3)), atol=1e-4)


def test_channels_that_hardly_change_are_not_lost_in_rounding(tmp_path: Path, rng: Rng) -> None:
    """As those that are cut off at 6: of squares about zero rounding would leave less than none."""
    layer, w, _, x, y = convolution("1x1", tmp_path, rng)
    places = np.arange(int(np.prod(layer.output_shape[2:])))
    x[:, 1] = 6 - np.float32(1e-4) * rng.random(x[:, 1].shape, np.float32)
    sums = MomentSums(layer)
    for one in np.repeat(x, 200, axis=0):
        sums.add(one[None], y[:1], places)
    problem = sums.problem(w)
    variance = x[:, 1].astype(np.float64).var()
    assert problem.moments[0, 1, 1] == pytest.approx(variance, rel=1e-2)
    assert np.isfinite(fit_on(problem, rng.random(problem.weights.shape) < 0.3).weights).all()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_is_told(value: float, tmp_path: Path, rng: Rng) -> None:
    layer, w, _, x, y = convolution("1x1", tmp_path, rng)
    x[0, 2, 1, 1] = value
    sums = MomentSums(layer)
    with np.errstate(invalid="ignore"):
        sums.add(x, y, np.arange(int(np.prod(layer.output_shape[2:]))))
    with pytest.raises(AlcsError, match="inputs or outputs on the pictures are not finite"):
        sums.problem(w)


@pytest.mark.parametrize("case", ["plain", "grouped"])
def test_sums_of_parts_are_those_of_the_whole(case: str, tmp_path: Path, rng: Rng) -> None:
    layer, w, _, x, y = convolution(case, tmp_path, rng)
    places = np.arange(int(np.prod(layer.output_shape[2:])))
    whole, first, second = MomentSums(layer), MomentSums(layer), MomentSums(layer)
    for sums, moved in ((first, 0.0), (second, 3.0)):
        for each in (whole, sums):
            each.add(x + np.float32(moved), y - np.float32(moved), places)
    joined = first.joined(second)
    assert joined.count == whole.count
    found, wanted = joined.problem(w), whole.problem(w)
    np.testing.assert_allclose(found.moments, wanted.moments, rtol=1e-4, atol=1e-4)
    assert found.target is not None
    assert wanted.target is not None
    np.testing.assert_allclose(found.target, wanted.target, rtol=1e-4, atol=1e-3)
    assert found.energy is not None
    assert wanted.energy is not None
    np.testing.assert_allclose(found.energy, wanted.energy, rtol=1e-4)
    np.testing.assert_allclose(joined.bias(found.weights), whole.bias(wanted.weights), atol=1e-3)
    assert first.joined(MomentSums(layer)) is first
    assert MomentSums(layer).joined(first) is first


def test_small_outputs_are_looked_at_everywhere_and_large_ones_in_part() -> None:
    ones, zeros = (1, 1), (0, 0, 0, 0)

    def layer(size: int) -> ConvLayer:
        shape = (1, 8, size, size)
        return ConvLayer("c", "w", None, 8, 8, 1, (1, 1), ones, zeros, ones, shape, shape)

    np.testing.assert_array_equal(Places(layer(7), 256, 0).some(), np.arange(49))
    few = Places(layer(224), 256, 0).count
    assert 8 * 32 <= 256 * few < 224 * 224 * 256
    assert Places(layer(224), 16, 0).count > few
    one, other = (Places(layer(224), 256, 0) for _ in range(2))
    taken = one.some()
    np.testing.assert_array_equal(taken, other.some())
    assert taken.size == few == np.unique(taken).size
    assert not np.array_equal(taken, one.some())
