"""`optimize`: make a model meet a latency budget."""

from alcs_onnx.pipeline.common.results import OptimizeResult
from alcs_onnx.pipeline.optimize.channel_loop import ChannelOptions
from alcs_onnx.pipeline.optimize.command import METHODS, optimize

__all__ = ["METHODS", "ChannelOptions", "OptimizeResult", "optimize"]
