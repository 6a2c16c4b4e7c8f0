"""Flags and output that `compress` and `compare-structures` share."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alcs_onnx.cli import arguments, judging, training
from alcs_onnx.solve import RULES
from alcs_onnx.structures import structure_sequence

if TYPE_CHECKING:
    from alcs_onnx.pipeline.common.training import Training
    from alcs_onnx.pipeline.compress import CompressionResult


def add_shared(parser: argparse.ArgumentParser) -> None:
    """Which layers take part, where the result goes, and how it is measured and trained."""
    parser.add_argument(
        "--group-size",
        type=arguments.positive_int,
        default=None,
        help="output channels per SIMD group (default 4)",
    )
    arguments.add_fully_connected(parser)
    parser.add_argument(
        "--export-json", type=Path, default=None, metavar="FILE", help="write the result as JSON"
    )
    parser.add_argument(
        "--plot", type=Path, default=None, metavar="FILE", help="draw the result (.png or .svg)"
    )
    parser.add_argument(
        "--plot-training",
        type=Path,
        default=None,
        metavar="FILE",
        help="draw loss, residual and accuracy of every epoch (.png or .svg)",
    )
    parser.add_argument("--details", action="store_true", help="also print a row per layer")
    arguments.add_measuring(parser, iterations=200)
    training.add_data(parser, "layers are refitted with the pictures of --calibration")
    training.add_training(parser)
    judging.add_judging(parser)
    arguments.add_general(parser)


def add_rule(parser: argparse._ActionsContainer) -> None:
    """How a target of the network is shared out."""
    parser.add_argument(
        "--rule",
        choices=tuple(RULES),
        default=None,
        help=f"how weights are shared out over the layers (default {RULES.default})",
    )


def add_per_channel(parser: argparse._ActionsContainer) -> None:
    """What levels are shared by."""
    parser.add_argument(
        "--per-channel", action="store_true", help="levels of each output channel, not each layer"
    )


def layer_options(options: argparse.Namespace) -> dict[str, Any]:
    """The fields of `LayerOptions` that were given."""
    rule = {} if options.rule is None else {"rule": options.rule}
    return {"fully_connected": options.fully_connected, **rule}


def keywords(options: argparse.Namespace) -> dict[str, Any]:
    """What `add_shared` asks of `compress` and `compare_structures`."""
    size = {} if options.group_size is None else {"simd_group": options.group_size}
    return {
        "inputs": arguments.inputs(options),
        **size,
        "measuring": arguments.measuring(options),
        "judging": judging.requested(options),
        "seed": options.seed,
    }


def schedule(options: argparse.Namespace) -> Training | None:
    """The training that was asked for; None where layers are refitted with pictures.

    Raises `AlcsError` for flags that would have no effect then.
    """
    from alcs_onnx.errors import AlcsError

    unheeded = {
        "--checkpoint": options.checkpoint is not None,
        "--plot-training": options.plot_training is not None,
        "--augment": options.augment != "none",
    }
    for flag, given in unheeded.items():
        if given and options.data is None:
            raise AlcsError(f"{flag} has no effect without --data: nothing is trained")
    return training.requested(options)


def check_group_size(options: argparse.Namespace, structures: Sequence[str]) -> None:
    """Refuse `--group-size` where none of `structures` (or combinations) has groups of a size."""
    from alcs_onnx.errors import AlcsError

    if options.group_size is None:
        return
    parts = [part for text in structures for part in structure_sequence(text, 1)]
    if not any(part.has_group_size for part in parts):
        raise AlcsError(
            f"--group-size has no effect on {' '.join(structures)}: its groups have no such size"
        )


def check_exports(options: argparse.Namespace, *inputs: Path) -> None:
    """Refuse files of `add_shared` that cannot be written, before anything is trained."""
    from alcs_onnx.errors import AlcsError
    from alcs_onnx.files import check_writable
    from alcs_onnx.report.plots import check_plot

    for path in (options.export_json, options.plot, options.plot_training):
        if path is not None:
            check_writable(path, *inputs)
    epochs = [
        getattr(options, training.destination(field), None)
        for field in ("admm_epochs", "finetune_epochs")
    ]
    if options.plot_training is not None and epochs == [0, 0]:
        raise AlcsError("--plot-training has no effect: there are no epochs")
    for path in (options.plot, options.plot_training):
        if path is not None:
            check_plot(path)


def show(options: argparse.Namespace, result: CompressionResult) -> None:
    """Print the result and write the files of `add_shared`."""
    from alcs_onnx.report.compress import (
        plot_compression,
        print_compression,
        write_compression_json,
    )
    from alcs_onnx.report.plots import plot_history

    print_compression(result, details=options.details)
    if options.export_json is not None:
        write_compression_json(options.export_json, result)
    if options.plot is not None:
        plot_compression(result, options.plot)
    if options.plot_training is not None:
        plot_history({row.structure: row.epochs for row in result.rows}, options.plot_training)
