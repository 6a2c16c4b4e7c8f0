"""Prune and quantize a model to given targets, and write it.

Targets say what is kept, of the whole network (`2%`, `50x`, `4300` weights) or of a layer
(`conv1=20%`, `conv1=12` groups, `conv1=30%time` of its run time). In a combination of structures
`shape:10%` is for one of them. Training is ADMM, then masked retraining, in --rounds steps; then
the weights are trained to the levels of --quantize. The written file stores them in so many bits.

example: alcs-onnx compress in.onnx --keep 10x --quantize 3bit --data images/ -o out.onnx
"""

from __future__ import annotations

import argparse
from pathlib import Path

from alcs_onnx.cli import arguments, compare_structures, training


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `compress`."""
    arguments.add_model(parser)
    parser.add_argument("-o", "--output", type=Path, required=True, help="the ONNX file to write")
    parser.add_argument(
        "--structure",
        default="simd",
        metavar="NAME",
        help="simd (default), unstructured, filter, channel, shape (columns), or several joined "
        "by + that are pruned in turn",
    )
    parser.add_argument(
        "--keep", nargs="+", default=[], metavar="TARGET", help="what is kept (everything)"
    )
    parser.add_argument(
        "--rounds",
        type=arguments.positive_int,
        default=1,
        help="progressive rounds towards the targets (1)",
    )
    parser.add_argument(
        "--quantize",
        default="",
        metavar="LEVELS",
        help="binary, ternary, or 3bit to 8bit (weights stay float32)",
    )
    parser.add_argument(
        "--per-channel", action="store_true", help="levels of each output channel, not each layer"
    )
    parser.add_argument(
        "--plain",
        action="store_true",
        help="write ordinary ONNX, quantized weights behind DequantizeLinear, for any runtime "
        "(the sparse operator, weights packed)",
    )
    parser.add_argument(
        "--group-size",
        type=arguments.positive_int,
        default=4,
        help="output channels per SIMD group (4)",
    )
    parser.add_argument(
        "--profile",
        type=Path,
        default=None,
        metavar="TABLE",
        help="table of `profile`, for targets of run time",
    )
    arguments.add_fully_connected(parser)
    compare_structures.add_rule(parser)
    compare_structures.add_exports(parser)
    parser.add_argument("--details", action="store_true", help="also print a row per layer")
    arguments.add_measuring(parser, iterations=200)
    training.add_data(parser)
    training.add_training(parser)
    arguments.add_general(parser)


def run(options: argparse.Namespace) -> int:
    """Compress, print, and export."""
    from alcs_onnx import report
    from alcs_onnx.errors import AlcsError
    from alcs_onnx.pipeline import CompressOptions, compress

    schedule = training.requested(options)
    if schedule is None:
        raise AlcsError("compress needs --data: without training little would be left of the model")
    compare_structures.check_exports(options, options.model, options.output)
    wanted = CompressOptions(
        structure=options.structure,
        keep=tuple(options.keep),
        rounds=options.rounds,
        levels=options.quantize,
        plain=options.plain,
        per_channel=options.per_channel,
        fully_connected=options.fully_connected,
        rule=options.rule,
    )
    with report.progress() as progress:
        result = compress(
            options.model,
            options.output,
            schedule,
            options=wanted,
            input_shapes=dict(options.input_shapes),
            table=options.profile,
            simd_group=options.group_size,
            measuring=arguments.measuring(options),
            seed=options.seed,
            progress=progress,
            on_note=progress.note,
        )
    compare_structures.show(options, result)
    return 0
