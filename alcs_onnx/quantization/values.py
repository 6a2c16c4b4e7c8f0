"""The values that go in and out of quantization."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from alcs_onnx.serialized import Serialized

#: The first opset whose QuantizeLinear and DequantizeLinear take a scale for each channel.
LEAST_OPSET = 13

#: The first ONNX Runtime whose quantizer works with the onnx package of today.
LEAST_RUNTIME = (1, 20)

#: Integer types that activations and weights are quantized to.
TYPES = ("u8", "s8")


@dataclass(frozen=True)
class Ranges:
    """What the float tensors of a model were seen to be: tensor name -> (low, high).

    `calibrator` chose the ranges, from `pictures` runs of the model. Tensors that were infinite
    somewhere have no range.
    """

    values: Mapping[str, tuple[float, float]]
    calibrator: str
    pictures: int

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the ranges."""
        rows = sorted((name, *map(float.hex, ends)) for name, ends in self.values.items())
        return hashlib.sha256(repr(rows).encode()).hexdigest()


@dataclass(frozen=True)
class QuantizeOptions:
    """How tensors are quantized.

    `per_channel`: weights have a scale for each output channel. `activation` and `weight` are the
    integer types ("u8", "s8"). `reduce_range`: weights take 7 bits, for CPUs whose products of
    8 bits overflow (AVX2 and AVX-512 without VNNI).
    """

    per_channel: bool = True
    activation: str = "u8"
    weight: str = "s8"
    reduce_range: bool = False


@dataclass(frozen=True, eq=False)
class Quantized:
    """A quantized model.

    `nodes` are those in int8, by the names of their first outputs in the source; `left` are those
    that were asked for and stay float, each with the reason. `computed` has for each node in int8
    the tensor of `model` that is its result before it is rounded; activations that went into the
    range of what they follow have none.
    """

    model: Serialized
    nodes: frozenset[str]
    left: Mapping[str, str] = field(default_factory=dict)
    computed: Mapping[str, str] = field(default_factory=dict)
