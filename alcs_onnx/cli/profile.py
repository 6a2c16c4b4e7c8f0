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
        help="the method of `optimize` that the table is for",
    )
    arguments.add_fully_connected(parser)
    arguments.add_measuring(parser, iterations=60)
    arguments.add_top(parser, "the slowest layers or groups")
    arguments.add_general(parser)


def run(options: argparse.Namespace) -> int:
    """Measure, save, and print the curves."""
    from alcs_onnx.errors import AlcsError
    from alcs_onnx.pipeline.profile import ProfileRequest, profile
    from alcs_onnx.report.profile import print_channel_table, print_table
    from alcs_onnx.report.progress import progress
    from alcs_onnx.types import ChannelTable

    if options.group_size is not None and not has_group_size(options.method):
        raise AlcsError(f"--group-size has no effect with --method {options.method}")
    request = ProfileRequest(
        model=options.model,
        output=options.output,
        method=options.method,
        inputs=arguments.inputs(options),
        fully_connected=options.fully_connected,
        simd_group=options.group_size or 4,
        measuring=arguments.measuring(options),
        seed=options.seed,
    )
    with progress() as reporter:
        table = profile(request, reporter)
    if isinstance(table, ChannelTable):
        print_channel_table(table, top=options.top)
    else:
        print_table(table, top=options.top)
    return 0
