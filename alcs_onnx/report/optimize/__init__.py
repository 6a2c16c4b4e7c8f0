"""What is told of a run of `optimize` or `prune-masks`: tables and a page."""

from alcs_onnx.report.optimize.page import optimize_page
from alcs_onnx.report.optimize.tables import print_optimize

__all__ = ["optimize_page", "print_optimize"]
