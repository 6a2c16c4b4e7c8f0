"""Measure the latency table of a model: each layer's time at 11 densities, and the rest.

With --method channel, instead: the time of the whole model with each group of coupled channels
reduced to several sizes. The table is a JSON file that `optimize --profile` reuses on the same
machine.

example: alcs-onnx profile in.onnx -o table.json
"""

from __future__ import annotations

import argparse
from pathlib import Path

from alcs_onnx.cli import arguments
from alcs_onnx.pipeline.optimize.methods import GROUP_METHODS, METHODS, has_group_size


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `profile`."""
    arguments.add_model(parser)
    parser.add_argument("-o", "--output", type=Path, required=True, help="the JSON file to write")
    parser.add_argument(
        "--group-size",
        type=arguments.positive_int,
        default=None,
        help="output channels per SIMD group (default 4)",
    )
    parser.add_argument(
        "--method",
        choices=[*GROUP_METHODS, "channel"],
        default=METHODS.default,
        help=f"the method of `optimize` that the table is for ({METHODS.default})",
    )
    arguments.add_fully_connected(parser)
    arguments.add_measuring(parser, iterations=60)
    arguments.add_general(parser)


def run(options: argparse.Namespace) -> int:
    """Measure, save, and print the curves."""
    from alcs_onnx import report
    from alcs_onnx.errors import AlcsError
    from alcs_onnx.pipeline.profile import profile, profile_channels

    if options.group_size is not None and not has_group_size(options.method):
        raise AlcsError(f"--group-size has no effect with --method {options.method}")
    if options.method == "channel":
        with report.progress() as progress:
            curves = profile_channels(
                options.model,
                options.output,
                input_shapes=dict(options.input_shapes),
                fully_connected=options.fully_connected,
                measuring=arguments.measuring(options),
                progress=progress.stage,
                on_note=progress.note,
            )
        report.print_channel_table(curves)
        return 0
    with report.progress() as progress:
        table = profile(
            options.model,
            options.output,
            input_shapes=dict(options.input_shapes),
            method=options.method,
            simd_group=options.group_size or 4,
            fully_connected=options.fully_connected,
            measuring=arguments.measuring(options),
            progress=progress.stage,
            on_note=progress.note,
        )
    report.print_table(table)
    return 0
