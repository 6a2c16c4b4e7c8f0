"""Upgrade rules, a module for each kind of change."""

from alcs_onnx.graph.upgrade.rules import (
    dropout,
    normalization,
    parameters,
    resampling,
    scan,
    scatter,
    softmax,
)

__all__ = ["dropout", "normalization", "parameters", "resampling", "scan", "scatter", "softmax"]
