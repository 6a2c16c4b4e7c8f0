"""Open sizes: what depends on them is told apart, and the written file keeps them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from graph_helpers import assert_same, conv_weight, feed, model, op, run, store
from onnx import numpy_helper

from alcs_onnx import coupling
from alcs_onnx.graph import Model, load_model, serialize
from alcs_onnx.rewrite import masked, rewrite, shrink

Rng = np.random.Generator


def written(loaded: Model) -> onnx.GraphProto:
    return onnx.load_from_string(serialize(loaded)).graph


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


def test_computed_targets_hold_for_every_batch(tmp_path: Path, rng: Rng) -> None:
    """[N, 2, 2, 6, 6] of a Shape: constant in the model, and untouched in what is written."""
    proto = shuffle_model(rng, "N", [1, 2, 2, 6, 6])
    proto.graph.initializer.extend(
        numpy_helper.from_array(np.array(value), name)
        for name, value in (("zero", [0]), ("rest", [2, 2, 6, 6]))
    )
    chain = [
        op("Shape", "a", "s"),
        op("Gather", "s zero", "n"),
        op("Concat", "n rest", "computed", axis=0),
    ]
    nodes = list(proto.graph.node)
    nodes[1].input[1] = "computed"
    del proto.graph.node[:]
    proto.graph.node.extend([nodes[0], *chain, *nodes[1:]])
    path = store(proto, tmp_path)
    loaded = load_model(path)
    # A shuffle of whole channels, whatever the batch.
    assert [node.op_type for node in loaded.nodes] == ["Conv", "Gather"]
    assert [n.op_type for n in written(loaded).node] == [n.op_type for n in proto.graph.node]
    x = feed((3, 3, 8, 8), rng)
    assert_same(run(serialize(rewrite(loaded).model), x), run(path, x))


def test_fixed_targets_are_the_files_own(tmp_path: Path, rng: Rng) -> None:
    """A Reshape to [1, -1, 6, 6] of an open batch means what it says."""
    nodes = [op("Conv", "x w", "a", "conv"), op("Reshape", "a target", "y")]
    weights = {"w": conv_weight(rng, 4, 3, 3, 3), "target": np.array([1, -1, 6, 6])}
    path = store(model(nodes, weights, ("N", 3, 8, 8)), tmp_path)
    for batch in (1, 2, 5):
        x = feed((batch, 3, 8, 8), rng)
        assert_same(run(serialize(rewrite(load_model(path)).model), x), run(path, x))


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


@pytest.mark.parametrize("channels", ["of a shape", "a number"])
@pytest.mark.parametrize(("opset", "roi"), [(17, "-"), (12, "none")])
def test_resize_to_computed_sizes_loses_channels(
    tmp_path: Path, rng: Rng, opset: int, roi: str, channels: str
) -> None:
    """An FPN step: upsample to the size of another map, computed from its shape."""
    nodes = [
        op("Conv", "x w", "a", "conv", strides=[2, 2], pads=[1, 1, 1, 1]),
        op("Shape", "x", "s"),
        op("Slice", "s two four", "hw"),
        op("Shape", "a", "t"),
        op("Slice", "t zero two", "nc"),
        op("Slice", "t zero one", "n"),
        op("Concat", "nc hw" if channels == "of a shape" else "n count hw", "sizes", axis=0),
        op("Resize", f"a {roi} {roi} sizes", "u", mode="nearest"),
        op("Conv", "u v", "y", "last"),
    ]
    weights = {"w": conv_weight(rng, 4, 3, 3, 3), "v": conv_weight(rng, 5, 4, 1, 1),
               "zero": np.array([0]), "one": np.array([1]), "two": np.array([2]),
               "four": np.array([4]), "count": np.array([4]),
               "none": np.zeros(0, np.float32)}  # fmt: skip
    path = store(model(nodes, weights, ("N", 3, "H", "W"), opset=opset), tmp_path)
    loaded = load_model(path, {"x": (1, 3, 12, 10)})
    analysed = coupling.analyse(loaded)
    keep = {"conv": np.array([True, False, True, True])}
    small, dense = shrink(loaded, analysed, keep), masked(loaded, analysed, keep)
    assert small.shapes["u"] == (1, 3, 12, 10)
    for sizes in ((1, 3, 12, 10), (3, 3, 9, 14), (2, 3, 17, 5)):
        x = feed(sizes, rng)
        assert_same(run(serialize(rewrite(loaded).model), x), run(path, x))
        assert_same(run(serialize(small), x), run(serialize(dense), x))


def test_open_sizes_stay_as_they_are(tmp_path: Path, rng: Rng) -> None:
    nodes = [op("Conv", "x w", "a", "conv"), op("GlobalAveragePool", "a", "y")]
    path = store(model(nodes, {"w": conv_weight(rng, 4, 3, 3, 3)}, ("images", 3, 8, 8)), tmp_path)
    loaded = load_model(path)
    assert loaded.inputs[0].shape == (1, 3, 8, 8)
    assert loaded.varying_axes("x") == loaded.varying_axes("y") == (0,)
    assert loaded.takes_batches
    graph = written(rewrite(loaded).model)
    assert graph.input[0] == onnx.load(path).graph.input[0]
    output = graph.output[0].type.tensor_type.shape.dim
    assert not output[0].HasField("dim_value")
    assert [d.dim_value for d in output[1:]] == [4, 1, 1]


def test_an_output_declared_for_one_batch_is_opened(tmp_path: Path, rng: Rng) -> None:
    proto = model([op("Conv", "x w", "y")], {"w": conv_weight(rng, 4, 3, 3, 3)}, ("N", 3, 8, 8))
    for size in (1, 4, 6, 6):
        proto.graph.output[0].type.tensor_type.shape.dim.add().dim_value = size
    loaded = load_model(store(proto, tmp_path))
    output = written(loaded).output[0].type.tensor_type.shape.dim
    assert [d.dim_param or d.dim_value for d in output] == ["N", 4, 6, 6]


def test_fixed_batch_stays_fixed(tmp_path: Path, rng: Rng) -> None:
    path = store(model([op("Conv", "x w", "y")], {"w": conv_weight(rng, 4, 3, 3, 3)}), tmp_path)
    loaded = load_model(path)
    assert loaded.other_inputs == {}
    assert not loaded.takes_batches
