"""The commands as functions: the stages in order, each a short module."""

from alcs_onnx.pipeline.bench_results import BenchResult
from alcs_onnx.pipeline.benching import bench
from alcs_onnx.pipeline.channels import ChannelOptions
from alcs_onnx.pipeline.comparing import (
    DEFAULT_STRUCTURES,
    ComparisonOptions,
    compare_structures,
)
from alcs_onnx.pipeline.comparison_results import ComparisonResult, StructureResult
from alcs_onnx.pipeline.compiling import compile_model
from alcs_onnx.pipeline.compressing import CompressOptions, compress
from alcs_onnx.pipeline.inspecting import inspect
from alcs_onnx.pipeline.model_comparing import compare
from alcs_onnx.pipeline.model_comparison_results import ModelComparison
from alcs_onnx.pipeline.optimizing import METHODS, optimize
from alcs_onnx.pipeline.profiling import profile, profile_channels
from alcs_onnx.pipeline.results import (
    Accuracy,
    ChannelReport,
    CompileResult,
    LayerReport,
    NumericCheck,
    OptimizeResult,
)
from alcs_onnx.pipeline.scene import Measuring
from alcs_onnx.pipeline.searching import SearchOptions
from alcs_onnx.pipeline.sweep_results import DensePoint, SweepPoint, SweepResult
from alcs_onnx.pipeline.sweeping import sweep
from alcs_onnx.pipeline.training import Training

__all__ = [
    "DEFAULT_STRUCTURES",
    "METHODS",
    "Accuracy",
    "BenchResult",
    "ChannelOptions",
    "ChannelReport",
    "ComparisonOptions",
    "ComparisonResult",
    "CompileResult",
    "CompressOptions",
    "DensePoint",
    "LayerReport",
    "Measuring",
    "ModelComparison",
    "NumericCheck",
    "OptimizeResult",
    "SearchOptions",
    "StructureResult",
    "SweepPoint",
    "SweepResult",
    "Training",
    "bench",
    "compare",
    "compare_structures",
    "compile_model",
    "compress",
    "inspect",
    "optimize",
    "profile",
    "profile_channels",
    "sweep",
]
