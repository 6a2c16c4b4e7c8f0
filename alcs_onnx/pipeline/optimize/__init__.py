"""`optimize`: make a model meet a latency budget."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alcs_onnx.lazy import exports
from alcs_onnx.pipeline.optimize.methods import METHODS

if TYPE_CHECKING:
    from alcs_onnx.pipeline.optimize.command import optimize
    from alcs_onnx.pipeline.optimize.request import ChannelOptions, OptimizeRequest
    from alcs_onnx.pipeline.optimize.result import ChannelReport, OptimizeResult
else:
    __getattr__ = exports(
        __name__,
        {
            "command": ["optimize"],
            "request": ["ChannelOptions", "OptimizeRequest"],
            "result": ["ChannelReport", "OptimizeResult"],
        },
    )

__all__ = [
    "METHODS",
    "ChannelOptions",
    "ChannelReport",
    "OptimizeRequest",
    "OptimizeResult",
    "optimize",
]
