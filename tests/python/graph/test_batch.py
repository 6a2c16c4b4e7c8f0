"""Dynamic batch: constants that repeat it are freed, and the written file gets it back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from graph_helpers import assert_same, conv_weight, feed, model, op, run, store

from alcs_onnx.graph import load_model, serialize

Rng = np.random.Generator


def shuffle_model(rng: Rng, batch: int | str, target: list[int]) -> onnx.ModelProto:
    nodes = [
        op("Conv", "x w", "a", "conv"),
        op("Reshape", "a target", "b"),
        op("Transpose", "b", "c", perm=[0, 2, 1, 3, 4]),
        op("Reshape", "c back", "y"),
    ]
    weights = {"w": conv_weight(rng, 4, 3, 3, 3), "target": np.array(target),
               "back": np.array([-1, 4, 6, 6])}  # fmt: skip
    return model(nodes, weights, (batch, 3, 8, 8))


def test_fixed_reshapes_hold_for_other_batches(tmp_path: Path, rng: Rng) -> None:
    path = store(shuffle_model(rng, "N", [1, 2, 2, 6, 6]), tmp_path)
    loaded = load_model(path).with_dynamic_batch()
    x = feed((1, 3, 8, 8), rng)["x"]
    expected = run(path, {"x": x})
    assert_same(run(serialize(loaded), {"x": x}), expected)
    twice = run(serialize(loaded), {"x": np.concatenate([x, x])})
    assert_same(twice, [np.concatenate([expected[0]] * 2)])


@pytest.mark.parametrize("target", [[2, 2, 2, 6, 6], [-1, 2, 2, 6, 6], [0, 2, 2, -1, 6]])
def test_reshape_means_the_same_as_before(tmp_path: Path, rng: Rng, target: list[int]) -> None:
    path = store(shuffle_model(rng, 2, target), tmp_path)
    x = feed((2, 3, 8, 8), rng)
    assert_same(run(serialize(load_model(path)), x), run(path, x))


def test_reshape_of_something_else_than_the_batch_is_left(tmp_path: Path, rng: Rng) -> None:
    nodes = [op("Conv", "x w", "a", "conv"), op("Reshape", "a target", "y")]
    weights = {"w": conv_weight(rng, 4, 3, 3, 3), "target": np.array([4, 36])}
    loaded = load_model(store(model(nodes, weights), tmp_path))
    assert loaded.initializers[loaded.nodes[-1].inputs[1]].tolist() == [4, 36]


def test_resize_to_sizes_becomes_scales(tmp_path: Path, rng: Rng) -> None:
    """An FPN step: upsample to the size of another map, computed from its shape."""
    nodes = [
        op("Conv", "x w", "a", "conv", strides=[2, 2], pads=[1, 1, 1, 1]),
        op("Shape", "x", "s"),
        op("Slice", "s two four", "hw"),
        op("Shape", "a", "t"),
        op("Slice", "t zero two", "nc"),
        op("Concat", "nc hw", "sizes", axis=0),
        op("Resize", "a - - sizes", "y", mode="nearest"),
    ]
    weights = {"w": conv_weight(rng, 4, 3, 3, 3), "zero": np.array([0]), "two": np.array([2]),
               "four": np.array([4])}  # fmt: skip
    path = store(model(nodes, weights, ("N", 3, 12, 10)), tmp_path)
    loaded = load_model(path)
    assert [node.op_type for node in loaded.nodes] == ["Conv", "Resize"]
    assert loaded.initializers[loaded.nodes[-1].inputs[2]].tolist() == [1, 1, 2, 2]
    x = feed((3, 3, 12, 10), rng)
    assert_same(run(serialize(loaded.with_dynamic_batch()), x), run(path, x))


def test_dynamic_batch_comes_back_with_its_name(tmp_path: Path, rng: Rng) -> None:
    nodes = [op("Conv", "x w", "a", "conv"), op("GlobalAveragePool", "a", "y")]
    path = store(model(nodes, {"w": conv_weight(rng, 4, 3, 3, 3)}, ("images", 3, 8, 8)), tmp_path)
    loaded = load_model(path)
    fixed = onnx.load_from_string(serialize(loaded)).graph
    assert fixed.input[0].type.tensor_type.shape.dim[0].dim_value == 1
    dynamic = onnx.load_from_string(serialize(loaded.with_dynamic_batch())).graph
    assert dynamic.input[0].type.tensor_type.shape.dim[0].dim_param == "images"
    output = dynamic.output[0].type.tensor_type.shape.dim
    assert not output[0].HasField("dim_value")
    assert [d.dim_value for d in output[1:]] == [4, 1, 1]


def test_fixed_batch_stays_fixed(tmp_path: Path, rng: Rng) -> None:
    path = store(model([op("Conv", "x w", "y")], {"w": conv_weight(rng, 4, 3, 3, 3)}), tmp_path)
    loaded = load_model(path)
    assert loaded.batch_axis_name is None
    assert loaded.with_dynamic_batch() is loaded
