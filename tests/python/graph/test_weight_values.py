"""Numbers in weights that slow or spoil the whole: subnormal ones become zeros, NaN is named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from graph_helpers import assert_same, conv_weight, feed, model, op, run, store
from onnx import numpy_helper

from alcs_onnx.graph import load_model, serialize
from alcs_onnx.reporter import NoteKeeper

TINY = np.float32(1e-40)


def initializers(data: bytes) -> dict[str, np.ndarray]:
    graph = onnx.load_from_string(data).graph
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}


def test_subnormal_weights_are_written_as_zeros(tmp_path: Path, rng: np.random.Generator) -> None:
    """The layers that have some are touched, the other one stays message for message."""
    first, second = conv_weight(rng, 4, 3, 3, 3), conv_weight(rng, 4, 4, 3, 3)
    first.reshape(-1)[:20] = TINY
    first.reshape(-1)[20:30] = -TINY
    matrix = conv_weight(rng, 4, 5)
    matrix[0, :3] = TINY
    nodes = [
        op("Conv", "x first", "a", "one"),
        op("Conv", "a second", "b", "two"),
        op("GlobalAveragePool", "b", "p", "pool"),
        op("Flatten", "p", "f", "flat"),
        op("MatMul", "f matrix", "y", "product"),
    ]
    path = store(model(nodes, {"first": first, "second": second, "matrix": matrix}), tmp_path)
    keeper = NoteKeeper()
    loaded = load_model(path, reporter=keeper)
    assert any(note.startswith("33 weights are subnormal") for note in keeper.notes)
    assert loaded.repairs == ("zeros for 33 subnormal weights",)
    written = serialize(loaded)
    found = initializers(written)
    assert not found["first"].reshape(-1)[:30].any()
    np.testing.assert_array_equal(found["first"].reshape(-1)[30:], first.reshape(-1)[30:])
    np.testing.assert_array_equal(found["second"], second)
    assert not found["matrix"][0, :3].any()
    before, after = onnx.load(path).graph.node, onnx.load_from_string(written).graph.node
    assert after[1] == before[1]
    x = feed((1, 3, 8, 8), rng)
    assert_same(run(written, x), run(path, x))


def test_a_tiny_constant_that_is_no_weight_stays(tmp_path: Path, rng: np.random.Generator) -> None:
    """It may keep a division from zero; so may a weight that something else reads as well."""
    shared = conv_weight(rng, 4, 3, 3, 3)
    shared[0, 0, 0, 0] = TINY
    least = np.full((1, 4, 1, 1), TINY)
    nodes = [
        op("Conv", "x shared", "c", "conv"),
        op("Relu", "c", "r", "relu"),
        op("Max", "r least", "m", "max"),
        op("ReduceMax", "x", "k", "largest", keepdims=0),
        op("Mul", "shared k", "t", "times"),
        op("ReduceSum", "t", "s", "sum", keepdims=0),
        op("Div", "s m", "y", "div"),
    ]
    keeper = NoteKeeper()
    path = store(model(nodes, {"shared": shared, "least": least}), tmp_path)
    loaded = load_model(path, reporter=keeper)
    assert not loaded.repairs
    assert not keeper.notes
    assert (initializers(serialize(loaded))["least"] == TINY).all()


def test_weights_that_are_no_numbers_are_named(tmp_path: Path, rng: np.random.Generator) -> None:
    """Of an attention mask infinity is the purpose."""
    broken = conv_weight(rng, 4, 3, 3, 3)
    broken[0, 0, 0, 0] = np.nan
    mask = np.full((1, 1, 6, 6), -np.inf, np.float32)
    nodes = [op("Conv", "x broken", "c", "conv"), op("Add", "c mask", "y", "add")]
    keeper = NoteKeeper()
    load_model(store(model(nodes, {"broken": broken, "mask": mask}), tmp_path), reporter=keeper)
    assert keeper.notes == ["weights 'broken' hold NaN or infinite values: they stay as they are"]
