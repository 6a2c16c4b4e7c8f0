"""`optimize`: make a model meet a latency budget."""

from alcs_onnx.pipeline.optimize.command import METHODS, optimize
from alcs_onnx.pipeline.optimize.request import ChannelOptions, OptimizeRequest
from alcs_onnx.pipeline.optimize.result import ChannelReport, OptimizeResult

__all__ = [
    "METHODS",
    "ChannelOptions",
    "ChannelReport",
    "OptimizeRequest",
    "OptimizeResult",
    "optimize",
]
