"""`compare`: whether two model files say the same, and where they part."""

from alcs_onnx.pipeline.compare.command import compare
from alcs_onnx.pipeline.compare.request import CompareRequest
from alcs_onnx.pipeline.compare.result import ModelComparison

__all__ = ["CompareRequest", "ModelComparison", "compare"]
