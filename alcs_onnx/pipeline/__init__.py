"""The commands as functions: the stages in order, each a short module."""

from alcs_onnx.pipeline.benching import bench
from alcs_onnx.pipeline.channels import ChannelOptions
from alcs_onnx.pipeline.compiling import compile_model
from alcs_onnx.pipeline.optimizing import METHODS, optimize
from alcs_onnx.pipeline.profiling import profile, profile_channels
from alcs_onnx.pipeline.results import (
    Accuracy,
    BenchResult,
    ChannelReport,
    CompileResult,
    LayerReport,
    NumericCheck,
    OptimizeResult,
)
from alcs_onnx.pipeline.scene import Measuring
from alcs_onnx.pipeline.training import Training

__all__ = [
    "METHODS",
    "Accuracy",
    "BenchResult",
    "ChannelOptions",
    "ChannelReport",
    "CompileResult",
    "LayerReport",
    "Measuring",
    "NumericCheck",
    "OptimizeResult",
    "Training",
    "bench",
    "compile_model",
    "optimize",
    "profile",
    "profile_channels",
]
