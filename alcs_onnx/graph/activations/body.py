"""The activation in the ONNX function bodies of our convolutions, as ONNX text.

A body can branch on attributes through If with a constant condition, which ONNX Runtime (1.18 and
newer tried) replaces by the branch taken, before it fuses activations into Conv. So the activation
clip(max(v, slope * v), low, high), or the gate of v, costs what it did in the original model. It is
a row of choices, each of which hands on the result of the one before or does something to it:

    LeakyRelu or PRelu   unless slope = 1 (slope <= 1)
    Relu                 if low = 0 and high is the float limit
    Clip                 unless low and high are these, or both the limits
    v * HardSigmoid(v)   if gate = 1
    v * Sigmoid(v)       if gate = 2

and so on, by the registry. A gate comes with slope = 1 and the limits. That attribute is newer than
the others and alone may be absent, which means no gate: the bodies of older files do not know it.
A row, because nested choices take runtimes longer to load.

The slope of LeakyRelu is an attribute, and although a node of a body may refer to an attribute of
the function, onnx.reference cannot run a LeakyRelu that does. So each slope that a file has stands
in its bodies as a number. Any other one, as of a node that a tool adds to the file, is PRelu's,
which gives the same, but ONNX Runtime does not fuse it. Numbers are tensors with a type, because
tools may take a plain one for a double.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import isfinite
from typing import NamedTuple

from alcs_onnx.graph.activations.registry import GATES, Gate
from alcs_onnx.types import Activation

FLOAT_ATTRIBUTES = ("slope", "low", "high")

_NONE = Activation()

_CONDITIONS = f"""
  slope = Constant <value_float: float = @slope> ()
  low = Constant <value_float: float = @low> ()
  high = Constant <value_float: float = @high> ()
  gate = Constant <value_int: int = @gate> ()
  no_slope = Constant <value = float {{{_NONE.slope}}}> ()
  lowest = Constant <value = float {{{_NONE.low}}}> ()
  highest = Constant <value = float {{{_NONE.high}}}> ()
  nought = Constant <value = float {{0.0}}> ()
  straight = Equal (slope, no_slope)
  open_below = Equal (low, lowest)
  open_above = Equal (high, highest)
  from_nought = Equal (low, nought)
  unbounded = And (open_below, open_above)
  rectified = And (from_nought, open_above)
  unclipped = Or (unbounded, rectified)
"""

_KEPT = "{y} = Identity ({x})"


class _Choice(NamedTuple):
    """Nodes that make {y} of {x} if a condition holds, and if not; and those that it is made by."""

    condition: str
    then: str
    otherwise: str = _KEPT
    given: str = ""


def activation_nodes(v: str, slopes: Iterable[float]) -> str:
    """Nodes for Y = clip(max(v, slope * v), low, high), or the gate of `v`.

    `slopes` are those of the nodes in the file.
    """
    choices = [
        *_slope_choices(slopes),
        _Choice("rectified", "{y} = Relu ({x})"),
        _Choice("unclipped", _KEPT, "{y} = Clip ({x}, low, high)"),
        *map(_gate_choice, GATES.values()),
    ]
    nodes = _CONDITIONS
    for index, (condition, then, otherwise, given) in enumerate(choices, 1):
        y = f"y_{index}" if index < len(choices) else "Y"
        nodes += f"""{given}
  {y} = If ({condition}) <
    then_branch = then () => (float[] {y}_then) {{ {then.format(x=v, y=f"{y}_then")} }},
    else_branch = else () => (float[] {y}_else) {{ {otherwise.format(x=v, y=f"{y}_else")} }}
  >"""
        v = y
    return nodes


def _slope_choices(slopes: Iterable[float]) -> list[_Choice]:
    """LeakyRelu for each of `slopes`, PRelu for others, and nothing for 1."""
    choices, known = [], "straight"
    for index, slope in enumerate(sorted(filter(isfinite, {*slopes} - {_NONE.slope}))):
        given = f"""
  slope_{index} = Constant <value = float {{{slope!r}}}> ()
  sloped_{index} = Equal (slope, slope_{index})
  known_{index} = Or ({known}, sloped_{index})"""
        leaky = f"{{y}} = LeakyRelu <alpha = {slope!r}> ({{x}})"
        choices.append(_Choice(f"sloped_{index}", leaky, given=given))
        known = f"known_{index}"
    return [*choices, _Choice(known, _KEPT, "{y} = PRelu ({x}, slope)")]


def _gate_choice(gate: Gate) -> _Choice:
    nodes, factor = "", "{x}"
    for index, call in enumerate(gate.factor):
        attributes = ", ".join(f"{name} = {value!r}" for name, value in call.attributes.items())
        given = f" <{attributes}>" if attributes else ""
        nodes += f"{{y}}_{index} = {call.op_type}{given} ({factor}) "
        factor = f"{{y}}_{index}"
    number = f"""
  number_{gate.number} = Constant <value_int = {gate.number}> ()
  gated_{gate.number} = Equal (gate, number_{gate.number})"""
    return _Choice(f"gated_{gate.number}", f"{nodes}{{y}} = Mul ({{x}}, {factor})", given=number)
