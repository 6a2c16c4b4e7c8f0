"""Operators of other domains, known and unknown."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from coupling_helpers import Proved, assert_shrinks, start

from alcs_onnx import coupling

RUNTIME = "com.microsoft"


@pytest.mark.parametrize(
    ("op_type", "bias"),
    [("Gelu", 0), ("QuickGelu", 0), ("FastGelu", 0), ("FastGelu", 6), ("BiasGelu", 6)],
)
def test_activations_of_the_runtime(
    tmp_path: Path, rng: np.random.Generator, op_type: str, bias: int
) -> None:
    """They work number by number, a bias lies along the last axis."""
    b, x = start()
    y = b.op("Transpose", b.conv("b", x, 8, 6), perm=[0, 2, 3, 1])
    biases = [b.uniform("bias", bias)] if bias else []
    (y,) = b.ops(op_type, y, *biases, count=1, domain=RUNTIME, name="act")
    b.declare(y, (1, 8, 8, 6))
    model = b.load(tmp_path, b.head(b.op("Transpose", y, perm=[0, 3, 1, 2]), 6))
    p = Proved(model, assert_shrinks(model, rng)[0])
    assert p.free() == {"a": 8, "b": 6}
    if bias:
        assert p.at("bias") == p.at("b.w")


def test_channels_behind_an_unknown_shape(tmp_path: Path, rng: np.random.Generator) -> None:
    """Where inference loses the shapes, weights still tell the channels of convolutions."""
    b, x = start()
    (y,) = b.ops("Mystery", b.conv("b", x, 8, 8), count=1, domain="com.example", name="odd")
    y = b.relu(b.conv("d", b.relu(b.conv("c", y, 8, 6)), 6, 4))
    y = b.op("GlobalAveragePool", b.conv("e", b.op("MaxPool", y, kernel_shape=[2, 2]), 4, 5))
    (y,) = b.ops("Mystery", y, count=1, domain="com.example", name="last")
    b.declare(y, (1, 5, 1, 1))
    model = b.load(tmp_path, y)
    analysed, small = assert_shrinks(model, rng, runs=False)
    p = Proved(model, analysed)
    assert "odd" not in model.shapes
    assert p.free() == {"a": 8, "c": 6, "d": 4}
    for name, axis in (("b.w", 0), ("c.w", 1)):
        assert "odd" in p.why(name, axis)
        assert "Mystery" in p.why(name, axis)
    assert small.initializers["d.w"].shape == (3, 4, 3, 3)


def test_model_saved_by_the_runtime(tmp_path: Path) -> None:
    b, x = start()
    (y,) = b.ops(
        "FusedConv", x, b.normal("f.w", 6, 8, 3, 3), count=1, domain=RUNTIME, name="f",
        activation="Relu", pads=[1] * 4,
    )  # fmt: skip
    b.declare(y, (1, 6, 8, 8))
    model = b.load(tmp_path, b.head(y, 6))
    p = Proved(model, coupling.analyse(model))
    assert not p.free()
    assert "saved by ONNX Runtime" in p.why("f.w")
    assert "give the original" in p.why("a.w")
