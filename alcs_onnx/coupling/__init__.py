"""Which channels live and die together: one rule for each operator, resolved over the graph."""

from alcs_onnx.coupling.analysis import Coupling, analyse
from alcs_onnx.coupling.rules import RULES, Changes, Override, rule_of
from alcs_onnx.coupling.zeros import ZERO_RULES, zero_channels

__all__ = [
    "RULES",
    "ZERO_RULES",
    "Changes",
    "Coupling",
    "Override",
    "analyse",
    "rule_of",
    "zero_channels",
]
