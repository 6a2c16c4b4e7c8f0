"""Coupling rules, a module for each kind of operator."""

from alcs_onnx.coupling.rules import (
    convolution,
    elementwise,
    linear,
    movement,
    normalization,
    reduction,
    reshaping,
    spatial,
)
from alcs_onnx.coupling.rules.registry import RULES, Changes, Rule

__all__ = [
    "RULES",
    "Changes",
    "Rule",
    "convolution",
    "elementwise",
    "linear",
    "movement",
    "normalization",
    "reduction",
    "reshaping",
    "spatial",
]
