"""What is told of compressed models, of one structure or of several that were compared."""

from alcs_onnx.report.compress.json import read_comparison_json, write_comparison_json
from alcs_onnx.report.compress.plots import plot_comparison
from alcs_onnx.report.compress.tables import print_comparison

__all__ = ["plot_comparison", "print_comparison", "read_comparison_json", "write_comparison_json"]
