"""MatMul and Einsum, of constants and of activations."""

from __future__ import annotations

import numpy as np
import pytest
from coupling_helpers import Prove, start


def test_matmul(prove: Prove) -> None:
    b, x = start()
    x = b.op("Flatten", b.op("GlobalAveragePool", x))
    x = b.op("MatMul", x, b.normal("b.w", 8, 6), name="b")
    x = b.relu(b.op("Add", x, b.uniform("b.b", 6)))
    p = prove(b, b.op("MatMul", x, b.normal("c.w", 6, 5), name="c"))
    assert p.free() == {"a": 8, "b": 6}
    assert p.at("a.w") == p.at("b.w", 0)
    assert p.at("b.w", 1) == p.at("b.b") == p.at("c.w", 0)


@pytest.mark.parametrize("copies", [1, 2])
def test_matmul_of_several_matrices(prove: Prove, copies: int) -> None:
    """A constant of more than two axes, for all samples or for parts of the pixels."""
    b, x = start()
    y = b.op("Transpose", b.op("Reshape", x, b.const([1, 8, copies, -1])), perm=[0, 2, 3, 1])
    y = b.relu(b.op("MatMul", y, b.normal("b.w", copies, 8, 6), name="b"))
    y = b.op("Transpose", y, perm=[0, 3, 1, 2])
    p = prove(b, b.head(y, 6))
    assert p.free() == {"a": 8, "b": 6}
    assert p.at("a.w") == p.at("b.w", 1)
    assert p.at("b.w", 2) == p.at("head.w", 1)


def test_matmul_by_heads(prove: Prove) -> None:
    """A matrix for each of the channels: they go with their matrices."""
    b, x = start()
    p = prove(b, b.head(b.op("MatMul", x, b.normal("b.w", 8, 8, 8), name="b"), 8))
    assert p.free() == {"a": 8}
    assert p.at("a.w") == p.at("b.w", 0) == p.at("head.w", 1)


def test_matmul_from_the_left(prove: Prove) -> None:
    """Rows of a constant read the channels in the columns of another."""
    b, x = start()
    flat = b.op("Reshape", x, b.const([1, 8, 64]))
    y = b.relu(b.op("MatMul", b.normal("b.w", 6, 8), flat, name="b"))
    p = prove(b, b.head(b.op("Reshape", y, b.const([1, 6, 8, 8])), 6))
    assert p.free() == {"a": 8, "b": 6}
    assert p.at("a.w") == p.at("b.w", 1)
    assert p.at("b.w", 0) == p.at("head.w", 1)


def test_attention_between_pixels(prove: Prove) -> None:
    """Queries and keys share their channels; values have their own (non-local network)."""
    b, x = start()
    q, k, v = (b.op("Reshape", b.conv(n, x, 8, 6, 1), b.const([0, 6, 64])) for n in "qkv")
    scores = b.op("MatMul", b.op("Transpose", q, perm=[0, 2, 1]), k, name="scores")
    weights = b.op("Softmax", b.op("Mul", scores, b.const(np.float32(0.4))), axis=-1)
    y = b.op("MatMul", weights, b.op("Transpose", v, perm=[0, 2, 1]), name="values")
    y = b.op("Reshape", b.op("Transpose", y, perm=[0, 2, 1]), b.const([0, 6, 8, 8]))
    p = prove(b, b.head(b.op("Add", b.conv("o", y, 6, 8, 1), x), 8))
    assert p.free() == {"a": 8, "q": 6, "v": 6}
    assert p.at("q.w") == p.at("k.w")
    assert p.at("v.w") == p.at("o.w", 1)
    assert (p.mixed("q"), p.mixed("v")) == (("scores",), ())


def test_attention_of_heads(prove: Prove) -> None:
    """The same channels of every head go, as many as there are of one."""
    b, x = start()
    heads = []
    for name in "qkv":
        flat = b.op("Reshape", b.conv(name, x, 8, 8, 1), b.const([1, 8, 64]))
        tokens = b.op("Transpose", flat, perm=[0, 2, 1])
        split = b.op("Reshape", tokens, b.const([1, 64, 2, 4]))
        heads.append(b.op("Transpose", split, perm=[0, 2, 1, 3]))
    q, k, v = heads
    scores = b.op("MatMul", q, b.op("Transpose", k, perm=[0, 1, 3, 2]), name="scores")
    y = b.op("MatMul", b.op("Softmax", scores, axis=-1), v)
    y = b.op("Reshape", b.op("Transpose", y, perm=[0, 2, 1, 3]), b.const([1, 64, 8]))
    p = prove(b, b.op("MatMul", y, b.normal("o.w", 8, 5), name="o"))
    assert p.free() == {"a": 8, "q": 4, "v": 4}
    assert p.at("v.w") == p.at("o.w", 0)


def test_attention_between_channels(prove: Prove) -> None:
    """Scores of channels by channels: two axes of channels, which is not followed."""
    b, x = start()
    flat = b.op("Reshape", x, b.const([1, 8, 64]))
    scores = b.op("MatMul", flat, b.op("Transpose", flat, perm=[0, 2, 1]), name="scores")
    y = b.op("MatMul", b.op("Softmax", scores, axis=-1), flat)
    p = prove(b, b.head(b.op("Reshape", y, b.const([1, 8, 8, 8])), 8))
    assert "scores" in p.why("a.w")


def test_einsum_of_a_layer(prove: Prove) -> None:
    b, x = start()
    y = b.op("Einsum", b.relu(x), b.normal("b.w", 8, 6), equation="nchw,cd->ndhw", name="b")
    p = prove(b, b.head(b.conv("c", b.relu(y), 6, 4), 4))
    assert p.free() == {"a": 8, "b": 6, "c": 4}
    assert p.at("a.w") == p.at("b.w", 0)
    assert p.at("b.w", 1) == p.at("c.w", 1)


def test_einsum_of_activations(prove: Prove) -> None:
    """Sums over channels, channels that pass, and letters that only one operand has."""
    b, x = start()
    y = b.conv("b", x, 8, 8)
    scores = b.op("Einsum", x, y, equation="nchw,nchv->nhwv", name="scores")
    z = b.op("Einsum", scores, b.conv("c", x, 8, 6), equation="nhwv,ndhv->ndhw", name="passes")
    p = prove(b, b.head(z, 6))
    assert p.free() == {"a": 8, "c": 6}
    assert p.at("a.w") == p.at("b.w")
    assert p.mixed("a") == ("scores",)
    assert p.mixed("c") == ()


def test_einsum_that_is_not_followed(prove: Prove) -> None:
    b, x = start()
    y = b.op("Einsum", x, equation="...hw->...wh", name="swap")
    p = prove(b, b.head(y, 8))
    assert "swap" in p.why("a.w")
