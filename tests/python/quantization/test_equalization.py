"""Equalized models compute the same with weights of like sizes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from graph_helpers import assert_same, conv_weight, feed, model, op, run, store, vector

from alcs_onnx.graph import Model, load_model, serialize
from alcs_onnx.quantization import equalized

Rng = np.random.Generator
SHAPE = (1, 3, 10, 10)


def _uneven(rng: Rng, *shape: int) -> np.ndarray:
    """Output channels, and input channels, of which some are a thousand times as large."""
    weight = conv_weight(rng, *shape)
    weight *= 10 ** rng.uniform(-1.5, 1.5, (shape[0], *(1,) * (len(shape) - 1)))
    return (weight * 10 ** rng.uniform(-1.5, 1.5, (1, shape[1], 1, 1))).astype(np.float32)


def _separable(rng: Rng, activation: str) -> onnx.ModelProto:
    """Pointwise, depthwise, grouped, with a bias or without."""
    nodes = [
        op("Conv", "x w0 b0", "a0", "point"), op(activation, "a0", "r0"),
        op("Conv", "r0 w1", "a1", "depth", group=8), op(activation, "a1", "r1"),
        op("Conv", "r1 w2 b2", "a2", "groups", group=2), op("Conv", "a2 w3 b3", "y", "last"),
    ]  # fmt: skip
    weights = {"w0": _uneven(rng, 8, 3, 1, 1), "w1": _uneven(rng, 8, 1, 3, 3),
               "w2": _uneven(rng, 12, 4, 1, 1), "w3": _uneven(rng, 6, 12, 3, 3),
               "b0": vector(rng, 8), "b2": vector(rng, 12), "b3": vector(rng, 6)}  # fmt: skip
    return model(nodes, weights, SHAPE, opset=13)


def _ranges(found: Model, first: str, second: str, group: int) -> tuple[np.ndarray, np.ndarray]:
    one = found.initializers[found.node(first).inputs[1]]
    two = found.initializers[found.node(second).inputs[1]]
    grouped = np.abs(two).reshape(group, -1, *two.shape[1:])
    return np.abs(one).max((1, 2, 3)), grouped.max((1, 3, 4)).reshape(-1)


PAIRS = (("point", "depth", 8), ("depth", "groups", 2), ("groups", "last", 1))


@pytest.mark.parametrize("activation", ["Relu", "LeakyRelu"])
def test_channels_are_equal_and_outputs_are_the_same(
    tmp_path: Path, rng: Rng, activation: str
) -> None:
    path = store(_separable(rng, activation), tmp_path)
    loaded = load_model(path)
    found = equalized(loaded)
    x = feed(SHAPE, rng)
    assert_same(run(serialize(found), x), run(path, x), 1e-5)
    for first, second, group in PAIRS:
        one, two = _ranges(found, first, second, group)
        np.testing.assert_allclose(one, two, rtol=0.02)
        one, two = _ranges(loaded, first, second, group)
        assert np.abs(np.log(one / two)).max() > 1


def test_layers_around_what_is_not_homogeneous_stay(tmp_path: Path, rng: Rng) -> None:
    """A Clip with an upper bound, two readers, an output, a weight of two layers."""
    weights = {"w": _uneven(rng, 8, 3, 3, 3), "v": _uneven(rng, 8, 8, 1, 1),
               "low": np.float32(0), "high": np.float32(6)}  # fmt: skip
    graphs = {
        "y": [op("Conv", "x w", "a"), op("Clip", "a low high", "c"), op("Conv", "c v", "y")],
        "y z": [op("Conv", "x w", "a"), op("Conv", "a v", "y"), op("Neg", "a", "z")],
        "y a": [op("Conv", "x w", "a"), op("Conv", "a v", "y")],
        "z": [op("Conv", "x w", "a"), op("Conv", "a v", "y"), op("Conv", "y v", "z")],
    }
    for outputs, nodes in graphs.items():
        path = store(model(nodes, weights, SHAPE, opset=13, outputs=outputs), tmp_path)
        loaded = load_model(path)
        assert equalized(loaded) is loaded


def test_dead_channels(tmp_path: Path, rng: Rng) -> None:
    weights = {"w": _uneven(rng, 8, 3, 3, 3), "v": _uneven(rng, 8, 8, 1, 1), "b": vector(rng, 8)}
    weights["w"][2], weights["v"][:, 5] = 0, 0
    nodes = [op("Conv", "x w b", "a"), op("Relu", "a", "r"), op("Conv", "r v", "y")]
    path = store(model(nodes, weights, SHAPE, opset=13), tmp_path)
    x = feed(SHAPE, rng)
    assert_same(run(serialize(equalized(load_model(path))), x), run(path, x), 1e-5)
