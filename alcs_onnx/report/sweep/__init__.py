"""What is told of a sweep: the Pareto table, a page and a plot."""

from alcs_onnx.report.sweep.page import sweep_page
from alcs_onnx.report.sweep.plots import plot_sweep
from alcs_onnx.report.sweep.tables import print_sweep

__all__ = ["plot_sweep", "print_sweep", "sweep_page"]
