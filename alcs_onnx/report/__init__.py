"""What a person reads: tables on the terminal, progress bars, and JSON files."""

from alcs_onnx.report.console import note, progress
from alcs_onnx.report.export import write_json
from alcs_onnx.report.tables import (
    print_bench,
    print_channel_table,
    print_compile,
    print_optimize,
    print_table,
)

__all__ = [
    "note",
    "print_bench",
    "print_channel_table",
    "print_compile",
    "print_optimize",
    "print_table",
    "progress",
    "write_json",
]
