"""A fused activation as the operators that it stands for, and as reports call it."""

from __future__ import annotations

from alcs_onnx.graph.activations.registry import Call, gate_numbered
from alcs_onnx.types import Activation

_NONE = Activation()


def activation_calls(activation: Activation) -> tuple[Call, ...]:
    """What computes it, each from the one before. A last Mul reads what the first one does, too.

    LeakyRelu where there is a slope, then Relu or Clip; or the factor of a gate, then Mul.
    """
    gate = gate_numbered(activation.gate)
    if gate is not None:
        return (*gate.factor, Call("Mul"))
    calls = []
    if activation.slope != _NONE.slope:
        calls.append(Call("LeakyRelu", {"alpha": activation.slope}))
    low, high = activation.low, activation.high
    if (low, high) == (0, _NONE.high):
        calls.append(Call("Relu"))
    elif (low, high) != (_NONE.low, _NONE.high):
        calls.append(Call("Clip", constants={"low": low, "high": high}))
    return tuple(calls)


def activation_names(activation: Activation) -> tuple[str, ...]:
    """The same in words: `LeakyRelu(0.1)`, `Relu`, `Clip(0..6)`, `HardSwish`."""
    gate = gate_numbered(activation.gate)
    if gate is not None:
        return (gate.name,)
    return tuple(_told(call) for call in activation_calls(activation))


def _told(call: Call) -> str:
    alpha = call.attributes.get("alpha")
    if alpha is not None:
        return f"{call.op_type}({alpha:g})"
    if not call.constants:
        return call.op_type
    limits = {"low": _NONE.low, "high": _NONE.high}
    shown = (f"{x:g}" if x != limits[name] else "" for name, x in call.constants.items())
    return f"{call.op_type}({'..'.join(shown)})"
