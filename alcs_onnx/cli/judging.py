"""Flags that say by which pictures it is judged what was lost, and how much may be."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from alcs_onnx.cli import arguments

if TYPE_CHECKING:
    from alcs_onnx.pipeline.common.evidence import Judging


def add_judging(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    """`--calibration` and what goes with it; pixels are read as `--preprocess` says."""
    group = parser.add_argument_group("what was lost")
    group.add_argument(
        "--calibration",
        default=None,
        metavar="PICTURES",
        help="a FOLDER of pictures, FILE.npz or MODULE:FUNCTION, labels are not needed: half are "
        "used to fit on, half to judge what was lost",
    )
    group.add_argument(
        "--samples",
        type=arguments.positive_int,
        default=None,
        metavar="N",
        help="how many of the pictures are used (default 512)",
    )
    group.add_argument(
        "--judge",
        default=None,
        metavar="MODULE:FUNCTION",
        help="how far two outputs say the same, from 0 to 1, for outputs that are no classes: "
        "function(dense outputs, outputs), by name",
    )
    group.add_argument(
        "--max-loss",
        type=arguments.percentage_points,
        default=None,
        metavar="POINTS",
        help="what may be lost: points of accuracy with labels, else of agreement with the dense "
        "model, of the score, or of relative error",
    )
    return group


def requested(options: argparse.Namespace) -> Judging:
    """What `add_judging` parsed; raises `AlcsError` for flags that would have no effect."""
    from alcs_onnx.errors import AlcsError
    from alcs_onnx.pipeline.common.evidence import Judging

    data = getattr(options, "data", None)
    given = {"--samples": options.samples, "--judge": options.judge}
    for flag, value in given.items():
        if value is not None and options.calibration is None:
            raise AlcsError(f"{flag} has no effect without --calibration PICTURES")
    if options.max_loss is not None and options.calibration is None and data is None:
        raise AlcsError("--max-loss needs --calibration PICTURES or --data to be judged by")
    return Judging(
        pictures=options.calibration,
        preprocess=options.preprocess,
        samples=options.samples,
        score=options.judge,
        max_loss=options.max_loss,
    )
