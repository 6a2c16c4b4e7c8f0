"""Which channels live and die together: one rule for each operator, resolved over the graph."""

from alcs_onnx.coupling.analysis import Coupling, analyse
from alcs_onnx.coupling.rules import RULES, Changes, Kept, Rule

__all__ = ["RULES", "Changes", "Coupling", "Kept", "Rule", "analyse"]
