"""THE registry of the activations that our convolutions do at their store.

There are two kinds, and each activation is one registration:

-   clip(max(x, slope * x), low, high), by the attributes of these names: a function here reads an
    operator as that, or says why this node cannot be expressed so;
-   a gate, x * g(x) with a rising g, by the number that is the attribute `gate`: a row of `GATES`
    here, and one of the same number in the library (runtime/include/alcs/gates.h).

The numbers and attributes stand in files: they stay. The function bodies of older files know none
of the gates that came later, and need not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import isnan

import numpy as np

from alcs_onnx.graph.model import AttributeValue
from alcs_onnx.graph.surgeon import Node
from alcs_onnx.types import Activation

_NONE = Activation()


@dataclass(frozen=True)
class Call:
    """One operator that reads the result of the one before it, and constants after that."""

    op_type: str
    attributes: Mapping[str, AttributeValue] = field(default_factory=dict)
    #: Further inputs: their names and values.
    constants: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Gate:
    """A row of `GATES`: x * g(x).

    `name` is for reports. `factor` computes g from x, in operators that every opset has; a product
    is recognised however g is spelled, as long as it computes the same. `operator` is the ONNX
    operator that is the whole product, where there is one.
    """

    number: int
    name: str
    factor: tuple[Call, ...]
    operator: str = ""

    @property
    def parts(self) -> tuple[str, ...]:
        """The operators that compute the product."""
        return (*(call.op_type for call in self.factor), "Mul")


#: By name. The numbers run from 1 without gaps.
GATES: Mapping[str, Gate] = {
    gate.name: gate
    for gate in (
        Gate(1, "HardSwish", (Call("HardSigmoid", {"alpha": 1 / 6, "beta": 0.5}),), "HardSwish"),
        Gate(2, "Silu", (Call("Sigmoid"),)),
    )
}


#: What the op is to be told of a node, or the reason why it cannot do the same.
Read = Callable[[Node], Activation | str]


def _relu(node: Node) -> Activation | str:
    return Activation(low=0.0)


def _clip(node: Node) -> Activation | str:
    bounds = []
    for index, default in ((1, _NONE.low), (2, _NONE.high)):
        bound = np.float32(default) if node.input(index) is None else node.constant(index)
        if bound is None or np.size(bound) != 1:
            return "its bounds are computed at run time"
        bounds.append(min(max(float(np.asarray(bound).item()), _NONE.low), _NONE.high))
    low, high = bounds
    if isnan(low) or isnan(high) or low > high:
        return f"its bounds {low} and {high} make no interval"
    return Activation(low=low, high=high)


def _sloped(slope: float) -> Activation | str:
    # max(x, slope * x) is LeakyRelu only as long as x wins on the positive side.
    return Activation(slope=slope) if slope <= 1 else f"its slope {slope} is above 1"


def _leaky_relu(node: Node) -> Activation | str:
    return _sloped(node.float_attribute("alpha", 0.01))


def _prelu(node: Node) -> Activation | str:
    slope = node.constant(1)
    if slope is None or slope.size != 1:
        return "it has one slope per channel"
    return _sloped(float(slope.reshape(-1)[0]))


def _gated(gate: Gate) -> Read:
    return lambda node: Activation(gate=gate.number)


#: By operator: the activations that are one node.
OPERATORS: Mapping[str, Read] = {
    "Clip": _clip,
    "LeakyRelu": _leaky_relu,
    "PRelu": _prelu,
    "Relu": _relu,
    **{gate.operator: _gated(gate) for gate in GATES.values() if gate.operator},
}


def gate_numbered(number: int) -> Gate | None:
    """The row of a gate by the attribute's value."""
    return next((gate for gate in GATES.values() if gate.number == number), None)
