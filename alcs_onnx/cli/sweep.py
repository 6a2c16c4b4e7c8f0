"""Optimize for several budgets by several methods, and compare what each costs in accuracy.

Every point is a run of `optimize`; latency tables and what int8 gains are measured once. All points
have one frontier: what no other beats in latency and in what is left. The folder gets the models
(MODEL-METHOD-BUDGET.onnx), the table (sweep.json), a plot (sweep.png, where matplotlib is
installed) and all that is needed to go on: a sweep that was interrupted and is started again with
--resume takes over what is finished and continues the rest from its last training state. A budget
that cannot be reached is a row that says so.

example: alcs-onnx sweep in.onnx --budgets 80%,60%,40% --data images/ -o runs
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from pathlib import Path

from alcs_onnx.cli import arguments, judging, optimize, training
from alcs_onnx.pipeline.optimize.methods import AUTO, CANDIDATES, METHODS, default_methods

NOT_REACHED = (
    "a budget is met by no method: out of reach, measured above it, or with more lost than may be"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `sweep`."""
    arguments.add_model(parser)
    parser.add_argument(
        "--budgets",
        nargs="+",
        required=True,
        metavar="62ms|40%|2x",
        help="latencies, shares of the dense latency, or speed-ups, with commas or spaces between",
    )
    parser.add_argument(
        "--methods",
        nargs="+",
        default=None,
        metavar="METHOD",
        help=f"what is removed: {METHODS.help}; or auto, the one of several that loses least "
        f"(default with --calibration or --data "
        f"{', '.join(default_methods(judged=True))}, without "
        f"{', '.join(default_methods(judged=False))})",
    )
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="FOLDER", help="folder of all results"
    )
    parser.add_argument(
        "--resume", action="store_true", help="go on with the interrupted sweep in the folder"
    )
    parser.add_argument(
        "--tables",
        type=Path,
        default=None,
        metavar="FOLDER",
        help="where latency tables are kept, and found of an earlier sweep "
        "(default in the output folder)",
    )
    parser.add_argument(
        "--report", action="store_true", help="write an HTML page of the result, REPORT.html"
    )
    optimize.add_groups(parser)
    arguments.add_measuring(parser, iterations=200)
    optimize.add_channels(parser)
    judging.add_judging(parser)
    training.add_training_data(parser)
    training.add_training(parser)
    arguments.add_general(parser)


def run(options: argparse.Namespace) -> int:
    """Sweep, draw and print the table; status 1 when a budget is missed or too much lost."""
    from alcs_onnx.errors import AlcsError
    from alcs_onnx.pipeline.sweep import SweepRequest, parse_budgets, sweep
    from alcs_onnx.report import console
    from alcs_onnx.report.export import write_page
    from alcs_onnx.report.progress import progress
    from alcs_onnx.report.sweep import plot_sweep, print_sweep, sweep_page

    methods = _methods(options)
    judged = options.calibration is not None or options.data is not None
    settings = optimize.settings(options, _heeding(methods or default_methods(judged=judged)))
    request = SweepRequest(
        model=options.model,
        budgets=parse_budgets(options.budgets),
        output=options.output,
        methods=methods,
        resume=options.resume,
        tables=options.tables,
        training=training.schedule(options),
        judging=judging.requested(options),
        **settings,
    )
    with progress() as reporter:
        result = sweep(request, reporter)
    try:
        plot_sweep(result, options.output / "sweep.png")
    except AlcsError as error:
        console.note(f"no plot: {error}")
    if options.report:
        write_page(options.output / "REPORT.html", sweep_page(result))
    print_sweep(result, options.output)
    return result.exit_status


def _heeding(methods: Sequence[str]) -> Sequence[str]:
    """The methods that flags are for: in place of "auto" those that it tries."""
    for method in methods:
        if method != AUTO:
            METHODS.check(method)
    tried = (CANDIDATES if method == AUTO else (method,) for method in methods)
    return list(dict.fromkeys(name for names in tried for name in names))


def _methods(options: argparse.Namespace) -> tuple[str, ...] | None:
    """The methods that are named, with commas or spaces between; None where the flag is absent."""
    if options.methods is None:
        return None
    found = (name for text in options.methods for name in re.split(r"[,\s]+", text))
    return tuple(filter(None, found))
