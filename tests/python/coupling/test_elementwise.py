"""Operators that work number by number, with broadcasting."""

from __future__ import annotations

import pytest
from coupling_helpers import Prove, start


def test_prelu(prove: Prove) -> None:
    b, x = start()
    x = b.op("PRelu", x, b.uniform("many", 8, 1, 1))
    x = b.op("PRelu", x, b.uniform("one", 1, 1, 1))
    p = prove(b, b.head(x, 8))
    assert p.free() == {"a": 8}
    assert p.at("many") == p.at("a.w")
    assert p.model.initializers["one"].size == 1


@pytest.mark.parametrize("op_type", ["Relu", "Sigmoid", "HardSwish", "Elu", "Sqrt", "Erf", "Neg"])
def test_unary(prove: Prove, op_type: str) -> None:
    b, x = start()
    p = prove(b, b.head(b.conv("b", b.op(op_type, b.op("Abs", x)), 8, 4), 4))
    assert p.free() == {"a": 8, "b": 4}


def test_identity_and_cast(prove: Prove) -> None:
    b, x = start()
    x = b.op("Cast", b.op("Identity", x), to=11)  # double
    p = prove(b, b.head(b.op("Cast", x, to=1), 8))
    assert p.free() == {"a": 8}


@pytest.mark.parametrize("op_type", ["Add", "Sub", "Mul", "Max"])
def test_binary_links_channels(prove: Prove, op_type: str) -> None:
    b, x = start()
    y = b.relu(b.op(op_type, b.conv("b", x, 8, 8), x))
    p = prove(b, b.head(b.op(op_type, b.conv("c", y, 8, 8), y), 8))
    assert p.free() == {"a": 8}
    assert p.at("a.w") == p.at("b.w") == p.at("b.w", 1) == p.at("c.w") == p.at("head.w", 1)


@pytest.mark.parametrize("shape", [(8, 1, 1), (1, 8, 1, 1), (8, 8, 8)])
def test_constant_of_channels(prove: Prove, shape: tuple[int, ...]) -> None:
    b, x = start()
    y = b.op("Mul", b.relu(x), b.uniform("factor", *shape))
    p = prove(b, b.head(b.relu(y), 8))
    assert p.at("factor", len(shape) - 3) == p.at("a.w")


@pytest.mark.parametrize("shape", [(), (1,), (8,), (8, 1), (1, 1, 1, 1)])
def test_constant_of_pixels(prove: Prove, shape: tuple[int, ...]) -> None:
    """Nothing of it counts channels, even where its size happens to be theirs."""
    b, x = start()
    p = prove(b, b.head(b.relu(b.op("Sub", b.relu(x), b.uniform("c", *shape))), 8))
    assert p.free() == {"a": 8}
    assert p.analysed.group("a").slots
    assert all(slot.tensor != "c" for group in p.analysed.groups for slot in group.slots)


def test_squeeze_and_excitation(prove: Prove) -> None:
    b, x = start()
    y = b.relu(b.conv("down", b.op("GlobalAveragePool", x), 8, 2, 1))
    y = b.op("Sigmoid", b.conv("up", y, 2, 8, 1))
    p = prove(b, b.head(b.op("Mul", x, y), 8))
    assert p.free() == {"a": 8, "down": 2}
    assert p.at("a.w") == p.at("down.w", 1) == p.at("up.w") == p.at("head.w", 1)


def test_one_channel_for_all(prove: Prove) -> None:
    """A map that scales all channels is one channel itself, and cannot go."""
    b, x = start()
    gate = b.op("Sigmoid", b.conv("attend", x, 8, 1, 1))
    p = prove(b, b.head(b.op("Mul", b.conv("b", x, 8, 6), gate), 6))
    assert p.free() == {"a": 8, "b": 6}
    assert p.why("attend.w")
    assert p.at("b.w") == p.at("head.w", 1)


def test_where_and_comparison(prove: Prove) -> None:
    b, x = start()
    y = b.conv("b", x, 8, 8)
    chosen = b.op("Where", b.op("Greater", x, y), x, y)
    p = prove(b, b.head(chosen, 8))
    assert p.at("a.w") == p.at("b.w") == p.at("head.w", 1)
