"""Compare structures of sparsity at the same accuracy: storage, and measured speed.

Each structure is pruned in rounds as far as the accuracy allows, then quantized with as few
bits as keep it. Printed are the columns of ADMM-NN-S tables 7 to 12 (weights left, bits, index
bits, storage with relative and absolute indices, compression rate), and, measured with the
sparse operator instead of assumed, latency and the pruning-to-performance ratio. Rounds train with
--data; with pictures alone (--calibration) they refit layers, and the accuracy is what is left of
the dense model's outputs.

example: alcs-onnx compare-structures lenet5.onnx --data mnist.npz
"""

from __future__ import annotations

import argparse
from pathlib import Path

from alcs_onnx.cli import arguments, compression
from alcs_onnx.codebooks import CODEBOOKS
from alcs_onnx.pipeline.compare_structures import defaults
from alcs_onnx.structures import STRUCTURES

NOT_REACHED = "more was lost than may be"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `compare-structures`."""
    arguments.add_model(parser)
    parser.add_argument(
        "--structures",
        nargs="+",
        default=defaults.STRUCTURES,
        metavar="NAME",
        help=f"any of {', '.join(STRUCTURES)}, or several joined by + that are pruned in turn",
    )
    parser.add_argument(
        "--tolerance",
        type=arguments.percentage_points,
        default=0.5,
        metavar="POINTS",
        help="how far below the dense accuracy is the same accuracy, in percentage points",
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        default=None,
        metavar="FOLDER",
        help="for the written models (default none is written)",
    )
    _add_search(parser)
    compression.add_shared(parser)


def _add_search(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("search")
    group.add_argument(
        "--rounds",
        type=arguments.positive_int,
        default=8,
        help="pruning rounds of each structure",
    )
    group.add_argument(
        "--factor",
        type=arguments.positive_float,
        default=2.0,
        help="what a round divides the number of weights by; its square root after a round that "
        "cost too much accuracy",
    )
    compression.add_rule(group)
    group.add_argument(
        "--quantize",
        nargs="*",
        default=defaults.LEVELS,
        metavar="LEVELS",
        help=f"quantizations to try, fewest levels first, of {', '.join(CODEBOOKS)}; nothing "
        "leaves float32",
    )
    compression.add_per_channel(group)


def run(options: argparse.Namespace) -> int:
    """Compare, print, and export."""
    from alcs_onnx.pipeline.compare_structures import (
        CompareStructuresRequest,
        ComparisonOptions,
        SearchOptions,
        compare_structures,
    )
    from alcs_onnx.report.progress import progress

    training = compression.schedule(options)
    compression.check_exports(options, options.model)
    compression.check_group_size(options, options.structures)
    wanted = ComparisonOptions(
        structures=tuple(options.structures),
        tolerance=options.tolerance / 100,
        search=SearchOptions(
            rounds=options.rounds,
            factor=options.factor,
            levels=tuple(options.quantize),
            per_channel=options.per_channel,
        ),
        **compression.layer_options(options),
    )
    request = CompareStructuresRequest(
        model=options.model,
        training=training,
        options=wanted,
        output=options.output,
        **compression.keywords(options),
    )
    with progress() as reporter:
        result = compare_structures(request, reporter)
    compression.show(options, result)
    return result.exit_status
