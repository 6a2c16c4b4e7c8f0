"""Quantized activations and weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from coupling_helpers import Prove, start
from zoo.builder import Builder


def test_quantized_activation(prove: Prove) -> None:
    b = Builder()
    x = b.input((1, 3, 8, 8))
    for name, channels in (("a", 3), ("b", 8)):
        step, zero = b.const(np.float32(2**-5)), b.const(np.uint8(100))
        x = b.op("DequantizeLinear", b.op("QuantizeLinear", x, step, zero), step, zero)
        weight = b.rng.integers(-8, 9, (8, channels, 3, 3)).astype(np.float32) / 64
        # Exact sums, which no order rounds to another integer.
        x = b.op("Conv", x, b.const(weight, f"{name}.w"), name=name, pads=[1] * 4)
    p = prove(b, b.head(x, 8))
    assert p.free() == {"a": 8, "b": 8}
    assert p.at("a.w") == p.at("b.w", 1)


@pytest.mark.parametrize(("axis", "zero"), [(0, 0), (1, 0), (None, 0), (None, 5)])
def test_quantized_weight(prove: Prove, axis: int | None, zero: int) -> None:
    b, x = start()
    shape = (6, 8, 3, 3)
    count = () if axis is None else (shape[axis],)
    parts = [
        b.const(b.rng.integers(-99, 99, shape).astype(np.int8), "q"),
        b.const(b.rng.uniform(0.002, 0.004, count).astype(np.float32), "step"),
        b.const(np.full(count, zero, np.int8), "zero"),
    ]
    attributes: dict[str, Any] = {} if axis is None else {"axis": axis}
    weight = b.op("DequantizeLinear", *parts, **attributes)
    y = b.op("Conv", x, weight, b.uniform("bias", 6), name="b", pads=[1] * 4)
    p = prove(b, b.head(y, 6))
    assert p.free() == {"a": 8, "b": 6}
    assert p.at("q", 1) == p.at("a.w")
    assert p.at("q", 0) == p.at("bias") == p.at("head.w", 1)
    if axis is not None:
        assert p.at("step") == p.at("zero") == p.at("q", axis)
