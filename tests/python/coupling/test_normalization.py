"""Normalisations, channel by channel and over several channels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from coupling_helpers import Prove, assert_close, assert_shrinks, random_keep, run, start
from graph_helpers import store
from zoo.builder import Builder

from alcs_onnx.graph import load_model
from alcs_onnx.rewrite import masked, shrink


def test_batch_normalization(prove: Prove) -> None:
    b, x = start()
    y = b.norm("n", b.relu(x), 8)
    p = prove(b, b.head(b.conv("b", b.relu(y), 8, 4), 4))
    for name in ("n.scale", "n.shift", "n.mean", "n.var"):
        assert p.at(name) == p.at("a.w") == p.at("b.w", 1)
    assert (p.role("n.scale"), p.role("n.mean")) == ("scale", "vector")


def test_instance_normalization(prove: Prove) -> None:
    b, x = start()
    y = b.op("InstanceNormalization", x, b.uniform("s", 8), b.uniform("t", 8))
    p = prove(b, b.head(y, 8))
    assert p.free() == {"a": 8}
    assert p.at("s") == p.at("t") == p.at("a.w") == p.at("head.w", 1)


@pytest.mark.parametrize("op_type", ["LRN", "LpNormalization", "MeanVarianceNormalization"])
def test_over_channels(prove: Prove, op_type: str) -> None:
    """What is left of the channels is normalised by what is left."""
    b, x = start()
    attributes: dict[str, Any] = {
        "LRN": {"size": 3, "alpha": 0.5},
        "LpNormalization": {"axis": 1},
        "MeanVarianceNormalization": {"axes": [1, 2, 3]},
    }
    y = b.op(op_type, b.conv("b", b.relu(x), 8, 6), name="mixes", **attributes[op_type])
    p = prove(b, b.head(y, 6))
    assert p.free() == {"a": 8, "b": 6}
    assert p.mixed("b") == ("mixes",)
    assert p.mixed("a") == ()


def test_mean_variance_of_pixels(prove: Prove) -> None:
    b, x = start()
    y = b.op("MeanVarianceNormalization", x, axes=[0, 2, 3])
    p = prove(b, b.head(y, 8))
    assert p.free() == {"a": 8}
    assert p.mixed("a") == ()


@pytest.mark.parametrize(("groups", "units", "mixes"), [(2, 6, True), (6, 6, False)])
def test_group_normalization(prove: Prove, groups: int, units: int, mixes: bool) -> None:
    """Narrower groups, or fewer: whole ones leave the statistics of the others as they are."""
    b, x = start(opset=21)
    parts = [b.uniform("s", 12), b.uniform("t", 12)]
    y = b.conv("b", b.relu(x), 8, 12)
    y = b.op("GroupNormalization", y, *parts, num_groups=groups, name="norm")
    p = prove(b, b.head(b.conv("c", y, 12, 4), 4))
    assert p.free() == {"a": 8, "b": units, "c": 4}
    assert p.mixed("b") == (("norm",) if mixes else ())
    assert p.at("s") == p.at("t") == p.at("b.w") == p.at("c.w", 1)


@pytest.mark.parametrize(("groups", "mixes"), [(2, True), (4, False)])
def test_exported_group_normalization(prove: Prove, groups: int, mixes: bool) -> None:
    """Reshape, InstanceNormalization, Reshape, Mul and Add, as exporters write it."""
    b, x = start()
    y = b.op("Reshape", x, b.const([0, groups, -1]))
    ones, zeros = np.ones(groups, np.float32), np.zeros(groups, np.float32)
    y = b.op("InstanceNormalization", y, b.const(ones), b.const(zeros), name="norm")
    y = b.op("Reshape", y, b.const([1, 8, 8, 8]))
    y = b.op("Add", b.op("Mul", y, b.uniform("s", 8, 1, 1)), b.uniform("t", 8, 1, 1, low=-1))
    p = prove(b, b.head(b.conv("b", b.relu(y), 8, 6), 6))
    assert p.free() == {"a": 4, "b": 6}
    assert p.at("s") == p.at("t") == p.at("a.w") == p.at("b.w", 1)
    assert p.mixed("a") == (("norm",) if mixes else ())


def test_group_normalization_of_open_sizes(tmp_path: Path, rng: np.random.Generator) -> None:
    """Channels lie beside pixels then, whose number is left to each run."""
    b = Builder()
    x = b.conv("a", b.input(("N", 3, "H", "W")), 3, 12)
    y = b.op("Reshape", x, b.const([0, 2, -1]))
    ones, zeros = np.ones(2, np.float32), np.zeros(2, np.float32)
    y = b.op("InstanceNormalization", y, b.const(ones), b.const(zeros), name="norm")
    y = b.op("Reshape", y, b.op("Shape", x))
    proto = b.proto(b.head(b.conv("b", b.relu(y), 12, 6), 6))
    model = load_model(store(proto, tmp_path), {"x": (1, 3, 8, 8)})
    analysed, _ = assert_shrinks(model, rng)
    assert [group.channels for group in analysed.groups if group.mixed_by == ("norm",)] == [6]
    keep = random_keep(analysed, rng)
    small, dense = shrink(model, analysed, keep), masked(model, analysed, keep)
    for shape in ((1, 3, 8, 8), (2, 3, 6, 10)):
        values = {"x": rng.standard_normal(shape).astype(np.float32)}
        assert_close(run(small, values), run(dense, values), str(shape))


@pytest.mark.parametrize("op_type", ["LayerNormalization", "RMSNormalization"])
def test_layer_normalization_of_channels_last(prove: Prove, op_type: str) -> None:
    """Between two Transposes, as in ConvNeXt."""
    b, x = start(opset=23)
    y = b.op("Transpose", x, perm=[0, 2, 3, 1])
    parts = [b.uniform("s", 8), b.uniform("t", 8)][: 2 if op_type[0] == "L" else 1]
    y = b.op(op_type, y, *parts, axis=-1, name="norm")
    y = b.op("MatMul", y, b.normal("up.w", 8, 12), name="up")
    y = b.op("Transpose", b.op("Sigmoid", y), perm=[0, 3, 1, 2])
    p = prove(b, b.head(b.conv("b", y, 12, 6), 6))
    assert p.free() == {"a": 8, "up": 12, "b": 6}
    assert p.mixed("a") == ("norm",)
    assert p.at("s") == p.at("a.w") == p.at("up.w", 0)


def test_layer_normalization_of_pixels(prove: Prove) -> None:
    b, x = start()
    y = b.op("LayerNormalization", x, b.uniform("s", 8), b.uniform("t", 8), axis=-1)
    p = prove(b, b.head(y, 8))
    assert p.free() == {"a": 8}
    assert p.mixed("a") == ()


def by_hand(b: Builder, x: str, channels: int) -> str:
    """Layer normalisation over axis 1, of its single steps."""
    centred = b.op("Sub", x, b.op("ReduceMean", x, axes=[1], keepdims=1, name="mean"))
    squares = b.op("Pow", centred, b.const(np.float32(2)))
    variance = b.op("ReduceMean", squares, axes=[1], keepdims=1, name="variance")
    deviation = b.op("Sqrt", b.op("Add", variance, b.const(np.float32(1e-6))))
    y = b.op("Div", centred, deviation)
    return b.op(
        "Add", b.op("Mul", b.uniform("s", channels, 1, 1), y), b.uniform("t", channels, 1, 1)
    )


def test_layer_normalization_by_hand(prove: Prove) -> None:
    b, x = start()
    p = prove(b, b.head(b.conv("b", by_hand(b, b.relu(x), 8), 8, 6), 6))
    assert p.free() == {"a": 8, "b": 6}
    assert p.mixed("a") == ("mean", "variance")
    assert p.at("s") == p.at("t") == p.at("a.w")


def test_statistics_that_are_given_out(prove: Prove) -> None:
    """The mean over channels is one value of those that are left; the graph may give it out."""
    b, x = start()
    y = b.op("Transpose", x, perm=[0, 2, 3, 1])
    y, mean = b.ops("LayerNormalization", y, b.uniform("s", 8), count=2, axis=-1, name="norm")
    y = b.op("Transpose", y, perm=[0, 3, 1, 2])
    p = prove(b, b.head(y, 8), b.op("Neg", mean))
    assert p.free() == {"a": 8}
