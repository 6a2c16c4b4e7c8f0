"""Prune and quantize a model to given targets, and write it.

Targets say what is kept, of the whole network (`2%`, `50x`, `4300` weights) or of a layer
(`conv1=20%`, `conv1=12` groups, `conv1=30%time` of its run time). Beside targets of layers the
network's is of all the other layers: with `conv1=20% 10%` a tenth of their weights is kept. In a
combination of structures `shape:10%` is for one of them. Shares are of all weights; what is zero
in the file already stays zero. With --data, training is ADMM, then masked retraining, in --rounds
steps; then the weights are trained to the levels of --quantize. With pictures alone
(--calibration) layers are refitted to the dense model's outputs instead, in minutes and without
labels. The written file stores weights in so many bits.

example: alcs-onnx compress in.onnx --keep 2x --calibration photos/ -o out.onnx
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from alcs_onnx.cli import arguments, compression
from alcs_onnx.codebooks import CODEBOOKS
from alcs_onnx.structures import STRUCTURES

NOT_REACHED = "more was lost than may be"

if TYPE_CHECKING:
    from alcs_onnx.pipeline.compress import CompressOptions


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `compress`."""
    arguments.add_model(parser)
    parser.add_argument("-o", "--output", type=Path, required=True, help="the ONNX file to write")
    parser.add_argument(
        "--structure",
        default=STRUCTURES.default,
        metavar="NAME",
        help=f"what is pruned: {STRUCTURES.help}. Or several joined by + that are pruned in turn",
    )
    parser.add_argument(
        "--keep", nargs="+", default=[], metavar="TARGET", help="what is kept (default everything)"
    )
    parser.add_argument(
        "--rounds",
        type=arguments.positive_int,
        default=1,
        help="progressive rounds towards the targets",
    )
    compression.add_rule(parser)
    parser.add_argument(
        "--profile",
        type=Path,
        default=None,
        metavar="TABLE",
        help="table of `profile`, for targets of run time",
    )
    parser.add_argument(
        "--quantize",
        default="",
        metavar="LEVELS",
        help=f"one of {', '.join(CODEBOOKS)} (default none, weights stay float32)",
    )
    compression.add_per_channel(parser)
    parser.add_argument(
        "--plain",
        action="store_true",
        help="write ordinary ONNX, quantized weights behind DequantizeLinear, for any runtime, "
        "instead of the sparse operator with packed weights",
    )
    compression.add_shared(parser)


def run(options: argparse.Namespace) -> int:
    """Compress, print, and export; status 1 when more was lost than may be."""
    from alcs_onnx.pipeline.compress import CompressOptions, CompressRequest, compress
    from alcs_onnx.report.progress import progress

    training = compression.schedule(options)
    compression.check_exports(options, options.model, options.output)
    wanted = CompressOptions(
        structure=options.structure,
        keep=tuple(options.keep),
        rounds=options.rounds,
        levels=options.quantize,
        plain=options.plain,
        per_channel=options.per_channel,
        **compression.layer_options(options),
    )
    _check_heeded(options, wanted)
    request = CompressRequest(
        model=options.model,
        output=options.output,
        training=training,
        options=wanted,
        table=options.profile,
        **compression.keywords(options),
    )
    with progress() as reporter:
        result = compress(request, reporter)
    compression.show(options, result)
    return result.exit_status


def _check_heeded(options: argparse.Namespace, wanted: CompressOptions) -> None:
    """Refuse flags that no target heeds."""
    from alcs_onnx.errors import AlcsError

    compression.check_group_size(options, [options.structure])
    targets = [target for _, target in wanted.named_targets()]
    if options.profile is not None and all(target.unit != "%time" for target in targets):
        raise AlcsError("--profile has no effect without a target of run time: LAYER=30%time")
    if options.rule is not None and all(target.layer for target in targets):
        raise AlcsError("--rule has no effect without a target of the whole network: --keep 2%")
