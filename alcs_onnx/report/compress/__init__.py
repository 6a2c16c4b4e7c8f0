"""What is told of compressed models, of one structure or of several that were compared."""

from alcs_onnx.report.compress.json import read_compression_json, write_compression_json
from alcs_onnx.report.compress.plots import plot_compression
from alcs_onnx.report.compress.tables import print_compression

__all__ = [
    "plot_compression",
    "print_compression",
    "read_compression_json",
    "write_compression_json",
]
