"""Which activation nodes the op can take over, as clip(max(x, slope * x), low, high) or a gate.

One function per operator, registered in `ACTIVATIONS`; it returns what the op is to be told, or
the reason why this node cannot be expressed so. Gates made of several nodes are recognised in
`graph/gates.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import isnan

import numpy as np

from alcs_onnx.graph import GraphEditor, Node
from alcs_onnx.types import Activation, Gate

_NONE = Activation()


def _relu(editor: GraphEditor, node: Node) -> Activation | str:
    return Activation(low=0.0)


def _clip(editor: GraphEditor, node: Node) -> Activation | str:
    bounds = []
    for name, default in ((node.input(1), _NONE.low), (node.input(2), _NONE.high)):
        constant = editor.constant(name) if name else np.float32(default)
        if constant is None or np.size(constant) != 1:
            return "its bounds are computed at run time"
        bounds.append(min(max(float(np.asarray(constant).item()), _NONE.low), _NONE.high))
    low, high = bounds
    if isnan(low) or isnan(high) or low > high:
        return f"its bounds {low} and {high} make no interval"
    return Activation(low=low, high=high)


def _hard_swish(editor: GraphEditor, node: Node) -> Activation | str:
    return Activation(gate=Gate.HARD_SWISH)


def _sloped(slope: float) -> Activation | str:
    # max(x, slope * x) is LeakyRelu only as long as x wins on the positive side.
    return Activation(slope=slope) if slope <= 1 else f"its slope {slope} is above 1"


def _leaky_relu(editor: GraphEditor, node: Node) -> Activation | str:
    return _sloped(node.float_attribute("alpha", 0.01))


def _prelu(editor: GraphEditor, node: Node) -> Activation | str:
    slope = editor.constant(node.input(1))
    if slope is None or slope.size != 1:
        return "it has one slope per channel"
    return _sloped(float(slope.reshape(-1)[0]))


ACTIVATIONS: Mapping[str, Callable[[GraphEditor, Node], Activation | str]] = {
    "Clip": _clip,
    "HardSwish": _hard_swish,
    "LeakyRelu": _leaky_relu,
    "PRelu": _prelu,
    "Relu": _relu,
}
