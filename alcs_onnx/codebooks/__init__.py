"""Quantization levels and the Euclidean projections onto them (ADMM-NN-S section 4.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alcs_onnx.codebooks.registry import CODEBOOKS, get_codebook
from alcs_onnx.lazy import exports

if TYPE_CHECKING:
    from alcs_onnx.codebooks.projection import fit_scale, nearest_levels, quantize
else:
    __getattr__ = exports(__name__, {"projection": ["fit_scale", "nearest_levels", "quantize"]})

__all__ = ["CODEBOOKS", "fit_scale", "get_codebook", "nearest_levels", "quantize"]
