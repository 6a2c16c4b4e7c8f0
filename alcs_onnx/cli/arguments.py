"""Argument types and groups that several sub-commands share."""

from __future__ import annotations

import argparse
import os
import re
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING

from alcs_onnx.target import SCHEMES

if TYPE_CHECKING:
    from alcs_onnx.input_settings import InputSettings
    from alcs_onnx.pipeline.common.workload import Measuring
    from alcs_onnx.types import Shape


#: Threads that spin for work starve all others, this program's included.
_THREADS_PER_PROCESSOR = 4
_SIZES = re.compile(r"0*[1-9][0-9]*(,0*[1-9][0-9]*)*")


def input_shape(text: str) -> dict[str, Shape | int]:
    """Parse `NAME:1,3,224,224`, or `SYMBOL=NUMBER` with commas between several.

    Names may contain colons (`input:0:1,224,224,3`).
    """
    name, _, sizes = text.rpartition(":")
    if name and _SIZES.fullmatch(sizes):
        return {name: tuple(int(size) for size in sizes.split(","))}
    parts = [part.rpartition("=") for part in text.split(",")]
    if all(symbol and _SIZES.fullmatch(size) for symbol, _, size in parts):
        return {symbol: int(size) for symbol, _, size in parts}
    raise argparse.ArgumentTypeError(
        f"'{text}' is not of the form NAME:1,3,224,224 or SYMBOL=NUMBER"
    )


def input_values(text: str) -> Path | tuple[str, tuple[str, ...]]:
    """Parse `NAME:VALUE[,VALUE...]`, whose name may contain colons, or the name of an .npz file."""
    name, _, values = text.rpartition(":")
    path = Path(text)
    if path.suffix == ".npz" and (not name or path.is_file()):
        return path
    if not name or not values:
        raise argparse.ArgumentTypeError(
            f"'{text}' is not of the form NAME:VALUE[,VALUE...] and no .npz file"
        )
    return name, tuple(values.split(","))


def positive_int(text: str) -> int:
    """Parse an integer of at least 1."""
    return _at_least(text, 1)


def natural_int(text: str) -> int:
    """Parse an integer of at least 0."""
    return _at_least(text, 0)


def thread_count(text: str) -> int:
    """Parse a number of threads, up to `_THREADS_PER_PROCESSOR` for each of this machine."""
    value = positive_int(text)
    processors = os.cpu_count() or 1
    if value > (most := _THREADS_PER_PROCESSOR * processors):
        raise argparse.ArgumentTypeError(
            f"{value} threads on {processors} processor(s) only wait for each other: {most} at most"
        )
    return value


def _at_least(text: str, least: int) -> int:
    try:
        value = int(text)
    except ValueError:
        value = least - 1
    if value < least:
        raise argparse.ArgumentTypeError(f"'{text}' is not an integer of at least {least}")
    return value


def natural_float(text: str) -> float:
    """Parse a finite number of at least 0."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not isfinite(value) or value < 0:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number of at least 0")
    return value


def positive_float(text: str) -> float:
    """Parse a finite number above 0."""
    value = natural_float(text)
    if value == 0:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number above 0")
    return value


def percentage_points(text: str) -> float:
    """Parse a number of at least 0 and below 100."""
    value = natural_float(text)
    if value >= 100:
        raise argparse.ArgumentTypeError(f"'{text}' percentage points are not below 100")
    return value


def percentile(text: str) -> float:
    """Parse a number above 0 and at most 100."""
    value = positive_float(text)
    if value > 100:
        raise argparse.ArgumentTypeError(f"'{text}' is not a percentile: it is above 100")
    return value


def percentage(text: str) -> float:
    """Parse a number from 0 to 100."""
    value = natural_float(text)
    if value > 100:
        raise argparse.ArgumentTypeError(f"'{text}' is not a percentage: it is above 100")
    return value


def add_model(parser: argparse.ArgumentParser) -> None:
    """The input model, and what is to be known of its inputs."""
    parser.add_argument("model", type=Path, metavar="MODEL", help="the ONNX file to read")
    add_inputs(parser)


def add_inputs(parser: argparse.ArgumentParser) -> None:
    """Sizes and values of inputs alone, for commands that take several models."""
    parser.add_argument(
        "--input-shapes",
        type=input_shape,
        nargs="+",
        action="extend",
        default=[],
        metavar="NAME:1,3,224,224|SYMBOL=4",
        help="sizes of inputs whose shape is dynamic in the file: an input's shape, or the size of "
        "a named dimension wherever it stands (batch=4,height=224)",
    )
    parser.add_argument(
        "--input-values",
        type=input_values,
        nargs="+",
        action="extend",
        default=[],
        metavar="NAME:1,2,3|FILE.npz",
        help="values of inputs for which random ones will not do: one that fills the input or one "
        "for each element, or a file of arrays by input name",
    )


def inputs(options: argparse.Namespace) -> InputSettings:
    """The values of `add_inputs`' arguments; raises `DataError` for a file that cannot be read."""
    import numpy as np

    from alcs_onnx.input_settings import InputSettings, load_values

    values = {}
    for given in options.input_values:
        if isinstance(given, Path):
            values.update(load_values(given))
        else:
            name, texts = given
            values[name] = np.array(texts if len(texts) > 1 else texts[0])
    shapes = {name: size for given in options.input_shapes for name, size in given.items()}
    return InputSettings.of(shapes, values)


def add_preprocess(parser: argparse._ActionsContainer) -> None:
    """How pictures become inputs."""
    parser.add_argument(
        "--preprocess",
        default="none",
        metavar="TEXT",
        help="what happens to pixels: scale=1/255,mean=R:G:B,std=R:G:B or imagenet or tf; none "
        "divides 8-bit images by 255",
    )


def add_fully_connected(parser: argparse.ArgumentParser) -> None:
    """Whether layers other than convolutions are pruned too."""
    parser.add_argument(
        "--fully-connected",
        action="store_true",
        help="also prune fully connected layers, as convolutions: balanced pruning",
    )


def add_measuring(parser: argparse.ArgumentParser, iterations: int) -> argparse._ArgumentGroup:
    """How latency is measured; returns the group of the arguments."""
    group = parser.add_argument_group("measuring")
    group.add_argument("--threads", type=thread_count, default=1, help="intra-op threads")
    group.add_argument("--warmup", type=natural_int, default=20, help="runs before timing starts")
    group.add_argument(
        "--iterations",
        type=positive_int,
        default=iterations,
        help="timed runs of each model",
    )
    group.add_argument(
        "--target",
        default=SCHEMES.default,
        metavar="|".join(SCHEMES),
        help=f"machine on which latency is measured: {SCHEMES.help}",
    )
    return group


#: Rows of long tables that are printed where nothing is said.
TOP = 20


def add_top(parser: argparse.ArgumentParser, rows: str) -> None:
    """How many rows of long tables are printed; `rows` says which."""
    parser.add_argument(
        "--top",
        type=natural_int,
        default=TOP,
        metavar="N",
        help=f"rows of long tables that are printed, {rows}; 0 for all",
    )


def measuring(options: argparse.Namespace) -> Measuring:
    """The values of `add_measuring`'s arguments."""
    from alcs_onnx.pipeline.common.workload import Measuring

    return Measuring(options.threads, options.warmup, options.iterations, options.target)


def add_general(parser: argparse.ArgumentParser) -> None:
    """Seed and verbosity."""
    parser.add_argument("--seed", type=natural_int, default=0, help="random seed")
    parser.add_argument("--verbose", action="store_true", help="print tracebacks of errors")
