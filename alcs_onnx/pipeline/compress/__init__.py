"""`compress`: prune and quantize to given targets."""

from alcs_onnx.pipeline.compress.command import CompressOptions, compress
from alcs_onnx.pipeline.compress.result import ComparisonResult, StructureResult

__all__ = ["ComparisonResult", "CompressOptions", "StructureResult", "compress"]
