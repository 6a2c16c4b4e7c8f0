"""`compress`: prune and quantize to given targets."""

from alcs_onnx.pipeline.compress.command import compress
from alcs_onnx.pipeline.compress.request import CompressOptions, CompressRequest
from alcs_onnx.pipeline.compress.result import CompressionResult, StructureResult

__all__ = [
    "CompressOptions",
    "CompressRequest",
    "CompressionResult",
    "StructureResult",
    "compress",
]
