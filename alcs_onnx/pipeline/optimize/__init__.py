"""`optimize`: make a model meet a latency budget."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alcs_onnx.lazy import exports
from alcs_onnx.pipeline.optimize.methods import METHODS

if TYPE_CHECKING:
    from alcs_onnx.pipeline.common.results import OptimizeResult
    from alcs_onnx.pipeline.optimize.channel_loop import ChannelOptions
    from alcs_onnx.pipeline.optimize.command import optimize
else:
    __getattr__ = exports(
        __name__,
        {
            ".common.results": ["OptimizeResult"],
            "channel_loop": ["ChannelOptions"],
            "command": ["optimize"],
        },
    )

__all__ = ["METHODS", "ChannelOptions", "OptimizeResult", "optimize"]
