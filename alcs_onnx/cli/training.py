"""Flags of training data and schedule, shared by every command that trains."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from alcs_onnx.cli import arguments

if TYPE_CHECKING:
    from alcs_onnx.pipeline.common.training import Training


#: What is done without data.
_NOT_TRAINED = "weights are removed but not trained"


def add_data(parser: argparse.ArgumentParser, without: str = _NOT_TRAINED) -> None:
    """Where the data comes from, and checkpoints; `without` says what is done without data."""
    add_checkpoints(add_training_data(parser, without))


def add_training_data(
    parser: argparse.ArgumentParser, without: str = _NOT_TRAINED
) -> argparse._ArgumentGroup:
    """Where the data comes from, alone; returns the group of the flags."""
    group = add_source(parser, f"training and test data; without it {without}")
    group.add_argument(
        "--augment",
        default="none",
        metavar="TEXT",
        help="random changes of training images: flip,crop=4",
    )
    return group


def add_checkpoints(group: argparse._ActionsContainer) -> None:
    """Where a long run is saved on the way."""
    group.add_argument(
        "--checkpoint",
        type=Path,
        default=None,
        metavar="FOLDER",
        help="save every epoch here, tables, and what layers lose",
    )
    group.add_argument(
        "--resume", action="store_true", help="go on from the newest state in --checkpoint"
    )


def add_source(parser: argparse.ArgumentParser, text: str) -> argparse._ArgumentGroup:
    """`--data`, which `text` describes, and how its pixels are read; returns their group."""
    group = parser.add_argument_group("data")
    group.add_argument(
        "--data",
        default=None,
        metavar="DATA",
        help=f"a FOLDER, FILE.npz or MODULE:FUNCTION: {text}",
    )
    arguments.add_preprocess(group)
    return group


#: Training flags: the field of `TrainConfig` that each sets, its type and its help. Values are
#: passed on only where given, so that the defaults stand in one place.
_TRAINING: dict[str, tuple[str, Callable[[str], object], str]] = {
    "--rho": (
        "rho",
        arguments.positive_float,
        "ADMM penalty (default the pull per epoch that the paper's 0.01 has on ImageNet)",
    ),
    "--rho-growth": (
        "rho_growth",
        arguments.positive_float,
        "what rho is multiplied by after each --rho-every iterations (default 1)",
    ),
    "--rho-every": (
        "rho_every",
        arguments.positive_int,
        "iterations between rises of rho (default 1)",
    ),
    "--rho-max": ("rho_max", arguments.positive_float, "where rho stops rising (default no limit)"),
    "--rho-adapt": (
        "rho_adapt",
        arguments.positive_float,
        "what rho is multiplied by when the weights move away from the plan, 1 for never "
        "(default 2)",
    ),
    "--optimizer": ("optimizer", str, "sgd with momentum, or adam (default sgd)"),
    "--finetune-optimizer": ("finetune_optimizer", str, "sgd or adam (default adam)"),
    "--lr": ("lr", arguments.positive_float, "learning rate (default 0.001)"),
    "--momentum": ("momentum", arguments.natural_float, "SGD momentum (default 0.9)"),
    "--weight-decay": ("weight_decay", arguments.natural_float, "in ADMM (default 0.0001)"),
    "--admm-epochs": ("admm_epochs", arguments.natural_int, "ADMM iterations (default 60)"),
    "--iteration-epochs": (
        "iteration_epochs",
        arguments.positive_int,
        "epochs of each ADMM iteration (default 1)",
    ),
    "--finetune-epochs": ("finetune_epochs", arguments.natural_int, "masked epochs (default 60)"),
    "--finetune-lr": (
        "finetune_lr",
        arguments.positive_float,
        "rate that fine-tuning anneals from, along a cosine (default that of --lr)",
    ),
    "--batch-size": ("batch_size", arguments.positive_int, "samples per step (default 128)"),
    "--distill": (
        "distill",
        arguments.natural_float,
        "share of the loss taught by the dense model (default 0, without labels 1)",
    ),
    "--temperature": ("temperature", arguments.positive_float, "of the teaching (default 2)"),
    "--train-threads": (
        "threads",
        arguments.positive_int,
        "threads of torch (default torch's own choice)",
    ),
}


def destination(field: str) -> str:
    """Where a training flag is parsed to: apart from measuring's `threads`, for one."""
    return f"training_{field}"


def add_training(parser: argparse.ArgumentParser) -> None:
    """The schedule of ADMM and fine-tuning."""
    group = parser.add_argument_group("training: ADMM, then masked retraining")
    for flag, (field, kind, text) in _TRAINING.items():
        group.add_argument(
            flag,
            dest=destination(field),
            type=kind,
            default=argparse.SUPPRESS,
            metavar=flag.rpartition("-")[2].upper(),
            help=text,
        )
    group.add_argument(
        "--rho-layers",
        dest=destination("rho_layers"),
        type=_layer_value,
        nargs="+",
        default=argparse.SUPPRESS,
        metavar="LAYER=RHO",
        help="other penalties of single layers",
    )
    group.add_argument(
        "--bfloat16",
        dest=destination("bfloat16"),
        action="store_true",
        default=argparse.SUPPRESS,
        help="train in mixed precision, quicker where the CPU has it",
    )


def _layer_value(text: str) -> tuple[str, float]:
    """Parse `conv1=0.003`; names may hold equals signs."""
    layer, equals, value = text.rpartition("=")
    if not layer or not equals:
        raise argparse.ArgumentTypeError(f"'{text}' is not of the form LAYER=RHO")
    return layer, arguments.positive_float(value)


def flags_given(options: argparse.Namespace) -> list[str]:
    """The flags of `add_training` that are there."""
    flags = {field: flag for flag, (field, _, _) in _TRAINING.items()}
    flags |= {"rho_layers": "--rho-layers", "bfloat16": "--bfloat16"}
    return [flag for field, flag in flags.items() if hasattr(options, destination(field))]


def requested(options: argparse.Namespace) -> Training | None:
    """The training that was asked for, with its checkpoints; None without data.

    Raises `AlcsError` for flags that would have no effect.
    """
    from alcs_onnx.errors import AlcsError

    if options.resume and options.checkpoint is None:
        raise AlcsError("--resume needs the folder of --checkpoint")
    found = schedule(options)
    if found is None:
        if options.checkpoint is not None and getattr(options, "calibration", None) is None:
            raise AlcsError("--checkpoint needs --data or --calibration: nothing else takes long")
        return None
    return replace(found, checkpoint=options.checkpoint, resume=options.resume)


def schedule(options: argparse.Namespace) -> Training | None:
    """The training that was asked for, saved nowhere on the way; None without data.

    Raises `AlcsError` for flags that would have no effect.
    """
    from alcs_onnx.errors import AlcsError
    from alcs_onnx.pipeline.common.training import Training

    fields = [*(field for field, _, _ in _TRAINING.values()), "rho_layers", "bfloat16"]
    given = {
        field: getattr(options, destination(field))
        for field in fields
        if hasattr(options, destination(field))
    }
    if options.data is None:
        if given:
            flag = flags_given(options)[0]
            raise AlcsError(f"{flag} needs --data: without data nothing is trained")
        return None
    if "rho_layers" in given:
        given["rho_layers"] = dict(given["rho_layers"])
    return Training(
        data=options.data,
        preprocess=options.preprocess,
        augment=options.augment,
        config=given,
    )
