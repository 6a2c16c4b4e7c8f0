"""Importance of groups of weights and of channels: larger is kept first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alcs_onnx.importance.registry import CHANNEL_SCORES, SCORES, needs_gradients
from alcs_onnx.lazy import exports

if TYPE_CHECKING:
    from alcs_onnx.importance.scoring import channel_scores, scores
else:
    __getattr__ = exports(__name__, {"scoring": ["channel_scores", "scores"]})

__all__ = ["CHANNEL_SCORES", "SCORES", "channel_scores", "needs_gradients", "scores"]
