"""The commands as functions: the stages in order, each a short module."""

from alcs_onnx.pipeline.benching import bench
from alcs_onnx.pipeline.compiling import compile_model
from alcs_onnx.pipeline.optimizing import Training, optimize
from alcs_onnx.pipeline.profiling import profile
from alcs_onnx.pipeline.results import (
    Accuracy,
    BenchResult,
    CompileResult,
    LayerReport,
    NumericCheck,
    OptimizeResult,
)
from alcs_onnx.pipeline.scene import Measuring

__all__ = [
    "Accuracy",
    "BenchResult",
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
]
