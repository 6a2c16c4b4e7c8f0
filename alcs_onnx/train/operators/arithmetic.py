"""Element-wise functions of several tensors, with broadcasting."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import torch
from torch import Tensor

from alcs_onnx.op_traits import LINEAR
from alcs_onnx.train.operators.registry import Build, Step, register

_BINARY: dict[str, Step] = {
    "And": torch.logical_and,
    "Equal": torch.eq,
    "Greater": torch.gt,
    "GreaterOrEqual": torch.ge,
    "Less": torch.lt,
    "LessOrEqual": torch.le,
    "Mul": torch.mul,
    "Or": torch.logical_or,
    "Sub": torch.sub,
}


def _bias_inputs(build: Build) -> Sequence[int]:
    """The operand that is the bias of a linear layer; other constants (anchors, the 3 of a
    hand-written HardSwish, a mean to subtract) are data and stay as they are.
    """
    for index, other in ((0, 1), (1, 0)):
        producer = build.model.producer(build.input(other))
        if producer is not None and producer.op_type in LINEAR:
            return (index,)
    return ()


@register("Add", parameters=_bias_inputs)
def add(_build: Build) -> Step:
    """Sum; a constant added to a linear layer is its bias and is trained."""
    return torch.add


@register(*_BINARY)
def binary(build: Build) -> Step:
    """Functions without attributes."""
    return _BINARY[build.node.op_type]


@register("Div")
def div(_build: Build) -> Step:
    """Quotient; integers are truncated."""

    def step(a: Tensor, b: Tensor) -> Tensor:
        return a / b if a.is_floating_point() else torch.div(a, b, rounding_mode="trunc")

    return step


@register("Pow")
def power(build: Build) -> Step:
    """Power; a constant scalar exponent keeps torch on its quick paths."""
    exponent = build.constant(1)
    if exponent is not None and exponent.size == 1:
        value = exponent.item()
        return lambda x, _: torch.pow(x, value)
    return torch.pow


@register("Mod")
def mod(build: Build) -> Step:
    """Remainder with the divisor's sign, or C's fmod."""
    return torch.fmod if build.attribute("fmod", 0) else torch.remainder


@register("Where")
def where(_build: Build) -> Step:
    """Choice by a condition."""
    return torch.where


@register("Sum", "Mean", "Max", "Min")
def variadic(build: Build) -> Step:
    """Sum, mean, maximum or minimum of any number of tensors."""
    kind = build.node.op_type
    function = {"Max": torch.maximum, "Min": torch.minimum}.get(kind, torch.add)
    share = 1 / len(build.node.inputs) if kind == "Mean" else None

    def step(*values: Tensor) -> Tensor:
        total = reduce(function, values)
        return total if share is None else total * share

    return step
