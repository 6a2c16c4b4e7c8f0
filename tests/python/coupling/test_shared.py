"""One initializer in several places."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from coupling_helpers import Prove, assert_shrinks, start

from alcs_onnx.rewrite import shrink


def test_shared_weight(prove: Prove) -> None:
    """One array in two layers: what goes from one goes from both, or it is frozen."""
    b, x = start()
    weight = b.normal("shared", 8, 8, 3, 3)
    y = b.op("Conv", x, weight, name="b", pads=[1] * 4)
    z = b.op("Conv", b.relu(y), weight, name="c", pads=[1] * 4)
    p = prove(b, b.head(b.relu(z), 8))
    assert p.why("shared") or p.at("shared") == p.at("shared", 1) == p.at("a.w")
    assert p.at("head.w", 1) == p.at("shared")


def test_weight_shared_with_an_output(prove: Prove) -> None:
    """A layer whose channels are the graph's output holds the other that has its weight."""
    b, x = start()
    weight = b.normal("shared", 8, 8, 3, 3)
    y = b.op("Conv", x, weight, name="b", pads=[1] * 4)
    z = b.relu(b.conv("between", y, 8, 8))
    p = prove(b, b.op("Conv", z, weight, name="c", pads=[1] * 4))
    assert "output" in p.why("shared", 0)
    assert p.at("shared", 1) == p.at("a.w") == p.at("between.w")


def test_bias_shared_between_layers(prove: Prove) -> None:
    """A vector as bias of layers that have nothing else in common ties none of them."""
    b, x = start()
    bias = b.uniform("shared", 8)
    y = b.op("Conv", x, b.normal("b.w", 8, 8, 3, 3), bias, name="b", pads=[1] * 4)
    z = b.op("Conv", b.relu(y), b.normal("c.w", 8, 8, 3, 3), bias, name="c", pads=[1] * 4)
    p = prove(b, b.head(b.relu(z), 8))
    assert p.free() == {"a": 8, "b": 8, "c": 8}
    assert p.at("shared", node="b") == p.at("b.w")
    assert p.at("shared", node="c") == p.at("c.w")


def test_bias_shared_with_a_layer_that_stays(prove: Prove) -> None:
    """The last layer keeps all of the vector, the other a part of its own."""
    b, x = start()
    bias = b.uniform("shared", 8)
    y = b.op("Conv", x, b.normal("b.w", 8, 8, 3, 3), bias, name="b", pads=[1] * 4)
    p = prove(b, b.op("Conv", b.relu(y), b.normal("c.w", 8, 8, 3, 3), bias, name="c"))
    assert p.free() == {"a": 8, "b": 8}


def test_bias_shared_within_one_sum(prove: Prove) -> None:
    """Where all readers keep the same channels, one vector is left for all of them."""
    b, x = start()
    bias = b.uniform("shared", 8)
    y, z = (
        b.op("Conv", x, b.normal(f"{n}.w", 8, 8, 3, 3), bias, name=n, pads=[1] * 4) for n in "bc"
    )
    p = prove(b, b.head(b.op("Add", y, z), 8))
    assert p.free() == {"a": 8, "b": 8}
    keep = {"b": np.arange(8) < 5}
    smaller = shrink(p.model, p.analysed, keep)
    assert smaller.initializers["shared"].shape == (5,)


def test_one_vector_in_two_roles_of_a_node(prove: Prove) -> None:
    """Shift and mean of one normalisation, which a Mul and a Conv read as well."""
    b, x = start()
    both = b.uniform("both", 8)
    y = b.op("BatchNormalization", b.relu(x), b.uniform("s", 8), both, both, b.uniform("v", 8))
    y = b.op("Conv", b.relu(y), b.normal("b.w", 8, 8, 3, 3), both, name="b", pads=[1] * 4)
    p = prove(b, b.head(b.conv("c", b.relu(y), 8, 6), 6))
    assert p.free() == {"a": 8, "b": 8, "c": 6}


def test_vector_that_a_foreign_operator_reads(tmp_path: Path, rng: np.random.Generator) -> None:
    """It keeps the vector whole, the convolution has a part of its own."""
    b, x = start()
    bias = b.uniform("shared", 6)
    y = b.op("Conv", x, b.normal("b.w", 6, 8, 3, 3), bias, name="b")
    (z,) = b.ops("Mystery", bias, count=1, domain="com.example", name="odd")
    b.declare(z, (6,))
    model = b.load(tmp_path, b.head(b.relu(y), 6), z)
    analysed, small = assert_shrinks(model, rng, runs=False)
    assert {g.name: g.channels for g in analysed.prunable} == {"a": 8, "b": 6}
    assert small.initializers["shared"].shape == (6,)
