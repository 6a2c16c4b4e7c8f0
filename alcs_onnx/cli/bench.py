"""Time models side by side in ONNX Runtime, interleaved so that drift hits all of them alike.

example: alcs-onnx bench dense.onnx out.onnx --threads 1
"""

from __future__ import annotations

import argparse
from pathlib import Path

from alcs_onnx.cli import arguments


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `bench`."""
    parser.add_argument("models", type=Path, nargs="+", metavar="MODEL", help="ONNX files to time")
    arguments.add_input_shapes(parser)
    arguments.add_measuring(parser, iterations=200)
    parser.add_argument(
        "--percentile",
        type=arguments.percentile,
        action="append",
        default=None,
        help="a percentile to print besides the median; may be repeated (default 90 and 99)",
    )
    parser.add_argument(
        "--export-json", type=Path, default=None, metavar="FILE", help="write the samples as JSON"
    )
    arguments.add_general(parser)


def run(options: argparse.Namespace) -> int:
    """Time the models and print one row each."""
    from alcs_onnx import report
    from alcs_onnx.files import check_writable
    from alcs_onnx.pipeline import bench

    if options.export_json is not None:
        check_writable(options.export_json, *options.models)
    result = bench(
        options.models,
        input_shapes=dict(options.input_shapes),
        measuring=arguments.measuring(options),
        seed=options.seed,
    )
    report.print_bench(result, options.percentile or [90.0, 99.0])
    if options.export_json is not None:
        report.write_json(options.export_json, result)
    return 0
