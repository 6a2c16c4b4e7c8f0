"""What a person reads: tables on the terminal, progress bars, plots, and JSON files."""

from alcs_onnx.report.bench import print_bench
from alcs_onnx.report.comparison_json import read_comparison_json, write_comparison_json
from alcs_onnx.report.comparison_tables import print_comparison
from alcs_onnx.report.console import note, progress
from alcs_onnx.report.export import write_page, write_result
from alcs_onnx.report.inspection_json import inspection_json
from alcs_onnx.report.inspection_tables import print_inspection
from alcs_onnx.report.model_comparison import print_model_comparison
from alcs_onnx.report.optimize_page import optimize_page
from alcs_onnx.report.plots import check_plot, plot_comparison, plot_history, plot_sweep
from alcs_onnx.report.sweep_page import sweep_page
from alcs_onnx.report.sweep_tables import print_sweep
from alcs_onnx.report.tables import (
    print_channel_table,
    print_compile,
    print_optimize,
    print_table,
)

__all__ = [
    "check_plot",
    "inspection_json",
    "note",
    "optimize_page",
    "plot_comparison",
    "plot_history",
    "plot_sweep",
    "print_bench",
    "print_channel_table",
    "print_comparison",
    "print_compile",
    "print_inspection",
    "print_model_comparison",
    "print_optimize",
    "print_sweep",
    "print_table",
    "progress",
    "read_comparison_json",
    "sweep_page",
    "write_comparison_json",
    "write_page",
    "write_result",
]
