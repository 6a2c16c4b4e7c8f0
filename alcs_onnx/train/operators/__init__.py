"""Torch meanings of ONNX operators, one registration each, by family."""

from alcs_onnx.train.operators import (
    activation,
    arithmetic,
    layout,
    linear,
    normalization,
    pooling,
    reduction,
    resize,
)
from alcs_onnx.train.operators.registry import Build, Operator, Step, find, register, registered

__all__ = [
    "Build",
    "Operator",
    "Step",
    "activation",
    "arithmetic",
    "find",
    "layout",
    "linear",
    "normalization",
    "pooling",
    "reduction",
    "register",
    "registered",
    "resize",
]
