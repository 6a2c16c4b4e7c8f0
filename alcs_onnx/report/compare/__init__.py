"""What is told of two models that were compared."""

from alcs_onnx.report.compare.tables import print_model_comparison

__all__ = ["print_model_comparison"]
