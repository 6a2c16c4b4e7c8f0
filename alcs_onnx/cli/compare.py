"""Say whether two models give the same results on the same inputs, and where they part.

The first model is the reference. Printed are the accuracy of both and how far their top-1 classes
agree, the differences of their outputs, and the first tensor, in the order of the graph, whose
values part, where one model was made from the other. Without --data the inputs are random,
normally distributed and the same in every run; they say little about accuracy.

example: alcs-onnx compare dense.onnx out.onnx --data images/
"""

from __future__ import annotations

import argparse
from pathlib import Path

from alcs_onnx.cli import arguments, training

NOT_REACHED = "the models agree less than --require-agreement asks for"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `compare`."""
    parser.add_argument("model", type=Path, metavar="A", help="the reference, an ONNX file")
    parser.add_argument("other", type=Path, metavar="B", help="the ONNX file to compare with it")
    arguments.add_inputs(parser)
    parser.add_argument(
        "--tolerance",
        type=arguments.natural_float,
        default=1e-3,
        help="largest difference, relative to a tensor's largest value or 0.01, that is none",
    )
    parser.add_argument(
        "--require-agreement",
        type=arguments.percentage,
        default=None,
        metavar="PERCENT",
        help="end with status 1 where the top-1 classes agree on fewer samples",
    )
    parser.add_argument(
        "--details", action="store_true", help="also print a row per tensor of both graphs"
    )
    parser.add_argument(
        "--export-json", type=Path, default=None, metavar="FILE", help="write the result as JSON"
    )
    parser.add_argument(
        "--threads", type=arguments.thread_count, default=1, help="intra-op threads"
    )
    group = training.add_source(
        parser, "data whose test samples are compared (default random inputs)"
    )
    group.add_argument(
        "--samples",
        type=arguments.positive_int,
        default=None,
        metavar="N",
        help="only N of the test samples, or N random inputs (default all, or 8)",
    )
    arguments.add_general(parser)


def run(options: argparse.Namespace) -> int:
    """Compare and print; status 1 when the models agree less than is required."""
    from alcs_onnx.errors import AlcsError
    from alcs_onnx.files import check_writable
    from alcs_onnx.pipeline.compare import CompareRequest, compare
    from alcs_onnx.report.compare import print_model_comparison
    from alcs_onnx.report.export import write_result
    from alcs_onnx.report.progress import progress

    if options.data is None and options.preprocess != "none":
        raise AlcsError("--preprocess has no effect without --data")
    if options.export_json is not None:
        check_writable(options.export_json, options.model, options.other)
    request = CompareRequest(
        a=options.model,
        b=options.other,
        data=options.data,
        preprocess=options.preprocess,
        samples=options.samples,
        tolerance=options.tolerance,
        inputs=arguments.inputs(options),
        threads=options.threads,
        seed=options.seed,
    )
    with progress() as reporter:
        result = compare(request, reporter)
    required = options.require_agreement
    if required is not None and result.agreement is None:
        raise AlcsError("--require-agreement needs models whose first output is [N, classes]")
    print_model_comparison(result, details=options.details)
    if options.export_json is not None:
        write_result(options.export_json, result)
    if required is None or result.agreement is None:
        return 0
    return int(result.agreement.agreement < required)
