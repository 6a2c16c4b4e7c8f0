"""Time models side by side in ONNX Runtime, interleaved so that drift hits all of them alike.

Every model gets reproducible random inputs of its own shapes. Printed are median, mean, extremes,
percentiles, standard deviation and throughput of each, and its speed-up over the first; with
--profile also what each node took. Signs that the machine was not fit for timing are told.

example: alcs-onnx bench dense.onnx out.onnx --threads 1 --duration 3
"""

from __future__ import annotations

import argparse
from pathlib import Path

from alcs_onnx.cli import arguments


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `bench`."""
    parser.add_argument("models", type=Path, nargs="+", metavar="MODEL", help="ONNX files to time")
    arguments.add_inputs(parser)
    measuring = arguments.add_measuring(parser, iterations=200)
    measuring.add_argument(
        "--duration",
        type=arguments.natural_float,
        default=0.5,
        metavar="SECONDS",
        help="least time of the timed runs, on average over the models: runs go on until both this "
        "and --iterations are reached",
    )
    parser.add_argument(
        "--percentile",
        type=arguments.percentile,
        action="append",
        default=None,
        help="a percentile to print besides the median; may be repeated (default 90 95 99)",
    )
    parser.add_argument(
        "--profile",
        action="store_true",
        help="then run each model again, timed node by node, and print a row per node",
    )
    parser.add_argument(
        "--top",
        type=arguments.natural_int,
        default=None,
        metavar="N",
        help="with --profile, only the N slowest nodes; 0 for all (default 0)",
    )
    parser.add_argument(
        "--export-json", type=Path, default=None, metavar="FILE", help="write the samples as JSON"
    )
    arguments.add_general(parser)


def run(options: argparse.Namespace) -> int:
    """Time the models and print one row each."""
    from alcs_onnx.errors import AlcsError
    from alcs_onnx.files import check_writable
    from alcs_onnx.pipeline.bench import BenchRequest, bench
    from alcs_onnx.report.bench import print_bench
    from alcs_onnx.report.export import write_result
    from alcs_onnx.report.progress import progress

    if options.top is not None and not options.profile:
        raise AlcsError("--top has no effect without --profile")
    if options.export_json is not None:
        check_writable(options.export_json, *options.models)
    request = BenchRequest(
        models=tuple(options.models),
        inputs=arguments.inputs(options),
        measuring=arguments.measuring(options),
        min_seconds=options.duration,
        percentiles=tuple(options.percentile or ()),
        profile=options.profile,
        seed=options.seed,
    )
    with progress() as reporter:
        result = bench(request, reporter)
    print_bench(result, options.percentile, options.top or None)
    if options.export_json is not None:
        write_result(options.export_json, result)
    return 0
