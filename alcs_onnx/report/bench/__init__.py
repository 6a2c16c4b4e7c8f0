"""What is told of files that were timed side by side."""

from alcs_onnx.report.bench.tables import print_bench

__all__ = ["print_bench"]
