"""Operators on pixels: pools, resizing, means."""

from __future__ import annotations

import numpy as np
import pytest
from coupling_helpers import Prove, start


@pytest.mark.parametrize(
    "how",
    [
        ["", np.array([1, 1, 2, 2], np.float32)],
        ["", "", np.array([1, 8, 16, 12])],
        [np.zeros(8, np.float32), np.array([1, 1, 0.5, 0.5], np.float32)],
    ],
)
def test_resize(prove: Prove, how: list[np.ndarray | str]) -> None:
    b, x = start()
    inputs = [v if isinstance(v, str) else b.const(v) for v in how]
    p = prove(b, b.head(b.op("Resize", x, *inputs, mode="nearest"), 8))
    assert p.free() == {"a": 8}


def test_pools(prove: Prove) -> None:
    b, x = start()
    for kind in ("MaxPool", "AveragePool", "LpPool"):
        x = b.op(kind, x, kernel_shape=[2, 2])
    y = b.op("Concat", b.op("GlobalAveragePool", x), b.op("GlobalMaxPool", x), axis=1)
    p = prove(b, b.gemm("head", b.op("Flatten", y), 16, 5))
    assert p.free() == {"a": 8}
    assert p.at("head.w", 1) == 2 * p.at("a.w")


@pytest.mark.parametrize("keep", [0, 1])
def test_mean_of_pixels(prove: Prove, keep: int) -> None:
    b, x = start()
    mean = b.op("ReduceMean", x, axes=[2, 3], keepdims=keep)
    p = prove(b, b.gemm("head", b.op("Flatten", mean), 8, 5))
    assert p.free() == {"a": 8}
    assert p.at("head.w", 1) == p.at("a.w")


def test_softmax(prove: Prove) -> None:
    b, x = start()
    rows = b.op("Softmax", x, axis=-1)
    channels = b.op("Softmax", b.conv("b", rows, 8, 6), axis=1, name="soft")
    p = prove(b, b.head(channels, 6))
    assert p.free() == {"a": 8}
    assert "soft" in p.why("b.w")


def test_softmax_before_opset_13(prove: Prove) -> None:
    """It works over all axes from the named one on, by default from the channels."""
    b, x = start(opset=12)
    rows = b.op("Softmax", x, axis=2)
    plain = b.op("Softmax", b.conv("b", rows, 8, 6), name="soft")
    batch = b.op("LogSoftmax", b.conv("c", plain, 6, 5), axis=0, name="log")
    p = prove(b, b.head(batch, 5))
    assert p.free() == {"a": 8}
    assert "soft" in p.why("b.w")
    assert "log" in p.why("c.w")


def test_mean_of_channels(prove: Prove) -> None:
    """Spatial attention: means and maxima of the channels that are left (CBAM)."""
    b, x = start()
    mean = b.op("ReduceMean", x, axes=[1], keepdims=1, name="mean")
    largest = b.op("ReduceMax", x, axes=[1], keepdims=1, name="largest")
    gate = b.conv("attend", b.op("Concat", mean, largest, axis=1), 2, 1, 7)
    p = prove(b, b.head(b.op("Mul", x, b.op("Sigmoid", gate)), 8))
    assert p.free() == {"a": 8}
    assert p.mixed("a") == ("mean", "largest")
    assert "mean" in p.why("attend.w", 1)


@pytest.mark.parametrize("op_type", ["ReduceL2", "ReduceLogSumExp", "ReduceSum", "ReduceMin"])
@pytest.mark.parametrize("keep", [0, 1])
def test_reductions_of_everything(prove: Prove, op_type: str, keep: int) -> None:
    b, x = start(opset=18)
    total = b.op(op_type, x, b.const([1, 2, 3]), keepdims=keep, name="total")
    p = prove(b, b.op("Reshape", total, b.const([1, 1])))
    assert p.free() == {"a": 8}
    assert p.mixed("a") == ("total",)
