"""Make a trained model meet a latency budget, with as much accuracy as possible.

Measures the model on this machine, chooses which groups of weights or which channels to keep,
trains what is left when there is data, rewrites the graph and measures the result. With groups
every Conv becomes ai.alcs::SimdSparseConv, and the file also runs, slower, where the library is
not registered. With channels alone the file is plain ONNX, quicker in any runtime.

example: alcs-onnx optimize in.onnx --budget 50% --data images/ -o out.onnx
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alcs_onnx.cli import arguments
from alcs_onnx.types import Budget

if TYPE_CHECKING:
    from alcs_onnx.pipeline import ChannelOptions, Training


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `optimize`."""
    arguments.add_model(parser)
    add_method(parser)
    parser.add_argument("-o", "--output", type=Path, default=None, help="the ONNX file to write")
    parser.add_argument(
        "--plan", type=Path, default=None, metavar="FILE", help="apply a plan of `prune-masks`"
    )
    parser.add_argument("--dry-run", action="store_true", help="stop before training and writing")
    parser.add_argument(
        "--export-json", type=Path, default=None, metavar="FILE", help="write the result as JSON"
    )
    arguments.add_measuring(parser, iterations=200)
    add_channels(parser)
    _add_data(parser)
    _add_training(parser)
    arguments.add_general(parser)


def add_method(parser: argparse.ArgumentParser) -> None:
    """Arguments that say how much and what is removed."""
    parser.add_argument(
        "--budget",
        required=True,
        metavar="62ms|40%|2x",
        help="a latency, a share of the dense latency, or a speed-up",
    )
    parser.add_argument(
        "--method",
        choices=["simd", "channel", "hybrid"],
        default="simd",
        help="what is removed: simd = groups of weights of adjacent output channels (default), "
        "channel = whole channels with all that is coupled to them, hybrid = channels, then "
        "groups of what is left",
    )
    parser.add_argument(
        "--group-size",
        type=arguments.positive_int,
        default=None,
        help="output channels per SIMD group (default 4)",
    )
    parser.add_argument(
        "--projection",
        choices=["energy-normalised", "energy", "bisection"],
        default=None,
        help="how groups are chosen: most kept energy under the budget, of each layer relative to "
        "its own (default) or absolute, or the largest norms by bisection as in the ALCS paper",
    )
    arguments.add_fully_connected(parser)
    parser.add_argument(
        "--profile", type=Path, default=None, metavar="TABLE", help="reuse a table of `profile`"
    )


#: Fields of `ChannelOptions` and their flags. Passed on only where given.
_CHANNEL_FLAGS = {
    "score": "--score",
    "solver": "--channel-solver",
    "stages": "--stages",
    "contributions": "--contributions",
    "min_share": "--min-share",
}


def add_channels(parser: argparse.ArgumentParser) -> None:
    """Arguments of the methods that remove channels."""
    group = parser.add_argument_group("channels: SP-LAMP (defaults)")
    group.add_argument(
        "--score",
        choices=["sp-lamp", "lamp", "l2", "l1", "taylor", "uniform"],
        default=argparse.SUPPRESS,
        help="importance of a channel; taylor needs --data (sp-lamp)",
    )
    group.add_argument(
        "--channel-solver",
        choices=["knapsack", "greedy", "uniform"],
        dest="solver",
        default=argparse.SUPPRESS,
        help="most score under the budget, one threshold on the score, or the same share of "
        "every group (knapsack)",
    )
    group.add_argument(
        "--stages",
        type=arguments.positive_int,
        default=argparse.SUPPRESS,
        help="steps towards the budget, between which scores are taken anew (4)",
    )
    group.add_argument(
        "--contributions",
        choices=["measured", "predicted"],
        default=argparse.SUPPRESS,
        help="latencies of channel groups: measure each at several sizes, or predict them from "
        "the times of the dense model's nodes and measure a few (measured)",
    )
    group.add_argument(
        "--min-share",
        type=arguments.natural_float,
        default=argparse.SUPPRESS,
        help="share of its channels that every group keeps at least (0.125)",
    )


def requested(options: argparse.Namespace) -> dict[str, Any]:
    """What `add_method`, `add_channels` and the measuring flags ask of `alcs_onnx.optimize`."""
    groups = {"simd_group": options.group_size, "projection": options.projection}
    return {
        "input_shapes": dict(options.input_shapes),
        "fully_connected": options.fully_connected,
        "method": options.method,
        **{name: value for name, value in groups.items() if value is not None},
        "channels": _channel_options(options),
        "table": options.profile,
        "measuring": arguments.measuring(options),
        "seed": options.seed,
    }


def _channel_options(options: argparse.Namespace) -> ChannelOptions:
    """What `add_channels` parsed; raises `AlcsError` for flags that the method does not heed."""
    from alcs_onnx.errors import AlcsError
    from alcs_onnx.pipeline import ChannelOptions

    given = {name: getattr(options, name) for name in _CHANNEL_FLAGS if hasattr(options, name)}
    unheeded = [_CHANNEL_FLAGS[name] for name in given] if options.method == "simd" else []
    if options.method == "channel":
        names = {"group_size": "--group-size", "projection": "--projection"}
        unheeded += [flag for name, flag in names.items() if getattr(options, name) is not None]
        training = {"rho": "--rho", "admm_epochs": "--admm-epochs"}
        unheeded += [f for name, f in training.items() if hasattr(options, _destination(name))]
    if unheeded:
        raise AlcsError(f"{unheeded[0]} has no effect with --method {options.method}")
    return ChannelOptions(**given)


def _add_data(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("data")
    group.add_argument(
        "--data",
        default=None,
        metavar="FOLDER|FILE.npz|MODULE:FUNCTION",
        help="training and test data; without it weights are removed but not trained",
    )
    group.add_argument(
        "--preprocess",
        default="none",
        metavar="TEXT",
        help="what happens to pixels: scale=1/255,mean=R:G:B,std=R:G:B or imagenet or tf "
        "(default: 8-bit images are divided by 255)",
    )
    group.add_argument(
        "--augment",
        default="none",
        metavar="TEXT",
        help="random changes of training images: flip,crop=4 (default none)",
    )
    group.add_argument(
        "--checkpoint", type=Path, default=None, metavar="FOLDER", help="save every epoch here"
    )
    group.add_argument(
        "--resume", action="store_true", help="go on from the newest state in --checkpoint"
    )


#: Training flags: the field of `TrainConfig` that each sets, its type and its help. Values are
#: passed on only where given, so that the defaults stand in one place.
_TRAINING: dict[str, tuple[str, Callable[[str], object], str]] = {
    "--rho": (
        "rho",
        arguments.positive_float,
        "ADMM penalty (the pull per epoch that the paper's 0.01 has on ImageNet)",
    ),
    "--optimizer": ("optimizer", str, "sgd with momentum, or adam (sgd)"),
    "--finetune-optimizer": ("finetune_optimizer", str, "sgd or adam (adam)"),
    "--lr": ("lr", arguments.positive_float, "learning rate (0.001)"),
    "--momentum": ("momentum", arguments.natural_float, "SGD momentum (0.9)"),
    "--weight-decay": ("weight_decay", arguments.natural_float, "in ADMM (1e-4)"),
    "--admm-epochs": ("admm_epochs", arguments.natural_int, "ADMM iterations (60)"),
    "--finetune-epochs": ("finetune_epochs", arguments.natural_int, "masked epochs (60)"),
    "--finetune-lr": (
        "finetune_lr",
        arguments.positive_float,
        "rate that fine-tuning anneals from, along a cosine (that of --lr)",
    ),
    "--batch-size": ("batch_size", arguments.positive_int, "samples per step (128)"),
    "--distill": (
        "distill",
        arguments.natural_float,
        "share of the loss taught by the dense model (0; 1 where labels are missing)",
    ),
    "--temperature": ("temperature", arguments.positive_float, "of the teaching (2)"),
    "--train-threads": ("threads", arguments.positive_int, "threads of torch (its own choice)"),
}


def _destination(field: str) -> str:
    """Where a training flag is parsed to: apart from measuring's `threads`, for one."""
    return f"training_{field}"


def _add_training(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("training: ALCS algorithm 2 (defaults)")
    for flag, (field, kind, text) in _TRAINING.items():
        group.add_argument(
            flag, dest=_destination(field), type=kind, default=argparse.SUPPRESS, help=text
        )
    group.add_argument(
        "--bfloat16",
        dest=_destination("bfloat16"),
        action="store_true",
        default=argparse.SUPPRESS,
        help="train in mixed precision, quicker where the CPU has it",
    )


def _training(options: argparse.Namespace) -> Training | None:
    """The training that was asked for; None without data."""
    from alcs_onnx.errors import AlcsError
    from alcs_onnx.pipeline import Training

    fields = [*(field for field, _, _ in _TRAINING.values()), "bfloat16"]
    given = {
        field: getattr(options, _destination(field))
        for field in fields
        if hasattr(options, _destination(field))
    }
    if options.data is None:
        flags = [flag for flag, (field, _, _) in _TRAINING.items() if field in given]
        flags += ["--bfloat16"] if "bfloat16" in given else []
        flags += ["--checkpoint"] if options.checkpoint is not None else []
        if flags:
            raise AlcsError(f"{flags[0]} needs --data: without data nothing is trained")
        return None
    return Training(
        data=options.data,
        preprocess=options.preprocess,
        augment=options.augment,
        config=given,
        checkpoint=options.checkpoint,
        resume=options.resume,
    )


def run(options: argparse.Namespace) -> int:
    """Optimize and print what was done; status 1 when the measured model misses the budget."""
    from alcs_onnx import report
    from alcs_onnx.errors import AlcsError
    from alcs_onnx.files import check_writable
    from alcs_onnx.pipeline import optimize

    if options.output is None and not options.dry_run:
        raise AlcsError("optimize needs an output file: -o out.onnx (or --dry-run)")
    if options.resume and options.checkpoint is None:
        raise AlcsError("--resume needs the folder of --checkpoint")
    if options.export_json is not None:
        outputs = [options.output] if options.output is not None else []
        check_writable(options.export_json, options.model, *outputs)
    with report.progress() as progress:
        result = optimize(
            options.model,
            Budget.parse(options.budget),
            None if options.dry_run else options.output,
            plan=options.plan,
            training=_training(options),
            progress=progress,
            on_note=progress.note,
            **requested(options),
        )
    if options.export_json is not None:
        report.write_json(options.export_json, result)
    report.print_optimize(result)
    return result.exit_status
