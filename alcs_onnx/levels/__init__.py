"""Quantization levels and the Euclidean projections onto them (ADMM-NN-S section 4.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alcs_onnx.lazy import exports
from alcs_onnx.levels.registry import LEVEL_SETS, get_level_set

if TYPE_CHECKING:
    from alcs_onnx.levels.projection import fit_scale, nearest_levels, quantize
else:
    __getattr__ = exports(__name__, {"projection": ["fit_scale", "nearest_levels", "quantize"]})

__all__ = ["LEVEL_SETS", "fit_scale", "get_level_set", "nearest_levels", "quantize"]
