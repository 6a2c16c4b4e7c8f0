"""Compare structures of sparsity at the same accuracy: storage, and measured speed.

Each structure is pruned in rounds as far as the accuracy allows, then quantized with as few
bits as keep it. Printed are the columns of ADMM-NN-S tables 7 to 12 (weights left, bits, index
bits, storage with relative and absolute indices, compression rate), and, measured with the
sparse operator instead of assumed, latency and the pruning-to-performance ratio.

example: alcs-onnx compare-structures lenet5.onnx --data mnist.npz --structures unstructured shape
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from alcs_onnx.cli import arguments, training

if TYPE_CHECKING:
    from alcs_onnx.pipeline import ComparisonResult


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `compare-structures`."""
    arguments.add_model(parser)
    parser.add_argument(
        "--structures",
        nargs="+",
        default=None,
        metavar="NAME",
        help="unstructured, simd, filter, channel, shape (columns), or several joined by + that "
        "are pruned in turn (default: unstructured simd filter shape shape+filter)",
    )
    parser.add_argument(
        "--tolerance",
        type=arguments.natural_float,
        default=0.5,
        metavar="POINTS",
        help="how far below the dense accuracy is the same accuracy, in percentage points (0.5)",
    )
    arguments.add_fully_connected(parser)
    parser.add_argument(
        "--group-size",
        type=arguments.positive_int,
        default=4,
        help="output channels per SIMD group (4)",
    )
    _add_search(parser)
    parser.add_argument(
        "-o", "--output", type=Path, default=None, metavar="FOLDER", help="for the written models"
    )
    add_exports(parser)
    parser.add_argument("--details", action="store_true", help="also print a row per layer")
    arguments.add_measuring(parser, iterations=200)
    training.add_data(parser)
    training.add_training(parser)
    arguments.add_general(parser)


def add_exports(parser: argparse.ArgumentParser) -> None:
    """Files that the result is written to, besides the models."""
    parser.add_argument(
        "--export-json", type=Path, default=None, metavar="FILE", help="write the result as JSON"
    )
    parser.add_argument(
        "--plot", type=Path, default=None, metavar="FILE", help="draw the result (.png or .svg)"
    )


def add_rule(parser: argparse._ActionsContainer) -> None:
    """How a target of the network is shared out."""
    parser.add_argument(
        "--rule",
        choices=["lamp", "energy", "energy-normalised", "uniform"],
        default="lamp",
        help="how weights are shared out over the layers (lamp)",
    )


def _add_search(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("search")
    group.add_argument(
        "--rounds",
        type=arguments.positive_int,
        default=8,
        help="pruning rounds of each structure (8)",
    )
    group.add_argument(
        "--factor",
        type=arguments.positive_float,
        default=2.0,
        help="what a round divides the number of weights by; its square root after a round that "
        "cost too much accuracy (2)",
    )
    add_rule(group)
    group.add_argument(
        "--quantize",
        nargs="*",
        default=["3bit", "4bit", "5bit", "8bit"],
        metavar="LEVELS",
        help="quantizations to try, fewest levels first: binary, ternary, 3bit to 8bit; nothing "
        "leaves float32 (3bit 4bit 5bit 8bit)",
    )
    group.add_argument(
        "--per-channel", action="store_true", help="levels of each output channel, not each layer"
    )


def run(options: argparse.Namespace) -> int:
    """Compare, print, and export."""
    from alcs_onnx import report
    from alcs_onnx.errors import AlcsError
    from alcs_onnx.pipeline import (
        DEFAULT_STRUCTURES,
        ComparisonOptions,
        SearchOptions,
        compare_structures,
    )

    schedule = training.requested(options)
    if schedule is None:
        raise AlcsError("compare-structures needs --data: what is compared is accuracy")
    check_exports(options, options.model)
    comparison = ComparisonOptions(
        structures=tuple(options.structures or DEFAULT_STRUCTURES),
        tolerance=options.tolerance / 100,
        fully_connected=options.fully_connected,
        rule=options.rule,
        search=SearchOptions(
            rounds=options.rounds,
            factor=options.factor,
            levels=tuple(options.quantize),
            per_channel=options.per_channel,
        ),
    )
    with report.progress() as progress:
        result = compare_structures(
            options.model,
            schedule,
            options=comparison,
            output=options.output,
            input_shapes=dict(options.input_shapes),
            simd_group=options.group_size,
            measuring=arguments.measuring(options),
            seed=options.seed,
            progress=progress,
            on_note=progress.note,
        )
    show(options, result)
    return 0


def check_exports(options: argparse.Namespace, *inputs: Path) -> None:
    """Refuse files of `add_exports` that cannot be written, before anything is trained."""
    from alcs_onnx import report
    from alcs_onnx.files import check_writable

    for path in (options.export_json, options.plot):
        if path is not None:
            check_writable(path, *inputs)
    if options.plot is not None:
        report.check_plot(options.plot)


def show(options: argparse.Namespace, result: ComparisonResult) -> None:
    """Print the result and write the files of `add_exports`."""
    from alcs_onnx import report

    report.print_comparison(result, details=options.details)
    if options.export_json is not None:
        report.write_comparison_json(options.export_json, result)
    if options.plot is not None:
        report.plot_comparison(result, options.plot)
