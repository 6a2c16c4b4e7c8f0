"""Where a model is timed. A target is named by text, such as `local`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alcs_onnx.lazy import exports
from alcs_onnx.target.registry import SCHEMES, get_target

if TYPE_CHECKING:
    from alcs_onnx.target.base import ModelTimes, NodeTimes, Target, TensorType
else:
    __getattr__ = exports(__name__, {"base": ["ModelTimes", "NodeTimes", "Target", "TensorType"]})

__all__ = ["SCHEMES", "ModelTimes", "NodeTimes", "Target", "TensorType", "get_target"]
