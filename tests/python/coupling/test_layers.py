"""Layers with weights, on the smallest graph that shows each."""

from __future__ import annotations

import pytest
from coupling_helpers import Prove, start
from zoo.builder import Builder


def test_conv(prove: Prove) -> None:
    b, x = start()
    p = prove(b, b.head(b.relu(b.conv("b", b.relu(x), 8, 6)), 6))
    assert p.free() == {"a": 8, "b": 6}
    assert p.at("a.w") == p.at("a.b") == p.at("b.w", 1) == [("a", i) for i in range(8)]
    assert p.at("b.w") == p.at("head.w", 1) == [("b", i) for i in range(6)]
    assert (p.role("a.w"), p.role("a.b"), p.role("b.w", 1)) == ("out", "vector", "in")
    assert "graph output" in p.why("head.w")
    assert "graph input" in p.why("a.w", 1)


def test_several_readers(prove: Prove) -> None:
    b, x = start()
    y = b.op("Concat", b.conv("b", x, 8, 4, 1), b.conv("c", x, 8, 4), axis=1)
    p = prove(b, b.head(y, 8))
    assert p.at("a.w") == p.at("b.w", 1) == p.at("c.w", 1)


def test_conv_1d(prove: Prove) -> None:
    b = Builder()
    x = b.conv("a", b.input((1, 3, 16)), 3, 8, rank=1)
    p = prove(b, b.head(b.conv("b", b.relu(x), 8, 6, rank=1), 6))
    assert p.free() == {"a": 8, "b": 6}
    assert p.at("a.w") == p.at("b.w", 1)


def test_grouped_conv(prove: Prove) -> None:
    """The same place of every group stays or goes, so that groups remain of one size."""
    b, x = start(12)
    p = prove(b, b.head(b.conv("b", x, 12, 6, group=3), 6))
    assert [channel for _, channel in p.at("b.w", 1)] == [0, 1, 2, 3]
    assert p.at("a.w") == 3 * p.at("b.w", 1)
    assert p.at("b.w") == 3 * p.at("b.w")[:2] == p.at("head.w", 1)
    assert p.free() == {"a": 4, "b": 2}


def test_depthwise_conv(prove: Prove) -> None:
    b, x = start()
    y = b.conv("b", x, 8, 8, group=8)
    p = prove(b, b.head(b.conv("c", y, 8, 4), 4))
    assert p.free() == {"a": 8, "c": 4}
    assert p.at("a.w") == p.at("b.w") == p.at("b.b") == p.at("c.w", 1)
    assert p.role("b.w") == "scale"


def test_depthwise_conv_with_several_outputs(prove: Prove) -> None:
    """Both outputs of an input channel go with it."""
    b, x = start(4)
    p = prove(b, b.head(b.conv("b", x, 4, 8, group=4), 8))
    assert p.free() == {"a": 4}
    assert p.at("b.w") == p.at("head.w", 1) == [("a", i // 2) for i in range(8)]


@pytest.mark.parametrize("group", [1, 2, 8])
def test_conv_transpose(prove: Prove, group: int) -> None:
    b, x = start()
    weights = [b.normal("b.w", 8, 8 // group, 2, 2), b.uniform("b.b", 8)]
    y = b.op("ConvTranspose", x, *weights, name="b", group=group, strides=[2, 2])
    p = prove(b, b.head(y, 8))
    assert p.at("a.w") == p.at("b.w", 0)
    assert p.at("b.b") == p.at("head.w", 1)
    if group == 8:
        assert p.at("a.w") == p.at("b.b")
        assert p.free() == {"a": 8}
    else:
        assert p.at("b.b") == group * p.at("b.w", 1)
        assert p.at("a.w") == group * p.at("a.w")[: 8 // group]
        assert p.free() == {"a": 8 // group, "b": 8 // group}


@pytest.mark.parametrize("trans_b", [0, 1])
def test_gemm(prove: Prove, trans_b: int) -> None:
    b, x = start()
    x = b.relu(b.gemm("b", b.op("Flatten", b.op("GlobalAveragePool", x)), 8, 6, trans_b))
    p = prove(b, b.gemm("c", x, 6, 5, trans_b))
    assert p.free() == {"a": 8, "b": 6}
    inputs = 1 if trans_b else 0
    assert p.at("a.w") == p.at("b.w", inputs)
    assert p.at("b.w", 1 - inputs) == p.at("b.b") == p.at("c.w", inputs)
    assert "graph output" in p.why("c.b")
