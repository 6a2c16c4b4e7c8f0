"""Coupling rules, a module for each kind of operator."""

from alcs_onnx.coupling.rules import (
    convolution,
    cutting,
    elementwise,
    linear,
    movement,
    normalization,
    products,
    reduction,
    reshaping,
    sizes,
    spatial,
)
from alcs_onnx.coupling.rules.registry import RULES, Changes, Kept, Override, Rule, rule_of

__all__ = [
    "RULES",
    "Changes",
    "Kept",
    "Override",
    "Rule",
    "convolution",
    "cutting",
    "elementwise",
    "linear",
    "movement",
    "normalization",
    "products",
    "reduction",
    "reshaping",
    "rule_of",
    "sizes",
    "spatial",
]
