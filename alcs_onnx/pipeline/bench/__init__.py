"""`bench`: time model files side by side."""

from alcs_onnx.pipeline.bench.command import bench
from alcs_onnx.pipeline.bench.request import BenchRequest
from alcs_onnx.pipeline.bench.result import BenchResult

__all__ = ["BenchRequest", "BenchResult", "bench"]
