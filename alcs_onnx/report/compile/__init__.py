"""What is told of a model that was rewritten."""

from alcs_onnx.report.compile.tables import print_compile

__all__ = ["print_compile"]
