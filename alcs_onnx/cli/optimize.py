"""Make a trained model meet a latency budget, with as much accuracy as possible.

Measures the model on this machine, chooses which weights or which channels to keep, trains what
is left when there is data, rewrites the graph and measures the result. With weights every Conv
becomes ai.alcs::SimdSparseConv, and the file also runs, slower, where the library is not
registered. With channels alone the file is plain ONNX, quicker in any runtime.

example: alcs-onnx optimize in.onnx --budget 50% --data images/ -o out.onnx
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alcs_onnx.cli import arguments, judging, training
from alcs_onnx.importance import CHANNEL_SCORES, SCORES
from alcs_onnx.pipeline.optimize.methods import (
    AUTO,
    CANDIDATES,
    CHANNEL_METHODS,
    GOOD_ENOUGH,
    METHODS,
    PRECISIONS,
    REFITS,
    has_group_size,
    has_precision,
    in_precision,
    refits,
    removes,
    scores_groups,
    structure_of,
)
from alcs_onnx.solve import CHANNEL_SOLVERS, SOLVERS

NOT_REACHED = (
    "the budget cannot be reached, the measured latency is above it, or more was lost than may be"
)

if TYPE_CHECKING:
    from alcs_onnx.pipeline.optimize import ChannelOptions


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `optimize`."""
    arguments.add_model(parser)
    add_method(parser)
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        default=None,
        help="the ONNX file to write (required without --dry-run)",
    )
    parser.add_argument(
        "--plan", type=Path, default=None, metavar="FILE", help="apply a plan of `prune-masks`"
    )
    parser.add_argument("--dry-run", action="store_true", help="stop before training and writing")
    parser.add_argument(
        "--export-json", type=Path, default=None, metavar="FILE", help="write the result as JSON"
    )
    parser.add_argument(
        "--report",
        type=Path,
        nargs="?",
        const=Path(),
        default=None,
        metavar="FILE",
        help="write an HTML page of the result (default out.report.html beside out.onnx, for a dry "
        "run MODEL-METHOD-BUDGET.report.html here)",
    )
    arguments.add_top(parser, "the slowest layers")
    arguments.add_measuring(parser, iterations=200)
    add_channels(parser)
    judging.add_judging(parser)
    training.add_data(parser)
    training.add_training(parser)
    arguments.add_general(parser)


def add_method(parser: argparse.ArgumentParser) -> None:
    """Arguments that say how much and what is removed, and by which table."""
    parser.add_argument(
        "--budget",
        required=True,
        metavar="62ms|40%|2x",
        help="a latency, a share of the dense latency, or a speed-up",
    )
    parser.add_argument(
        "--method",
        choices=(AUTO, *METHODS),
        metavar="METHOD",
        default=None,
        help=f"what is removed: {METHODS.help}; auto, the default with --calibration or "
        f"--data, tries {', '.join(CANDIDATES)} and takes the one that loses least; with --data, "
        f"where int8 loses more than {GOOD_ENOUGH:g} %%, the next that reaches the budget is "
        f"trained beside it (default without {METHODS.default})",
    )
    parser.add_argument(
        "--precision",
        choices=PRECISIONS,
        default="auto",
        help="what nodes are: int8 alone, float32 alone, or what --method comes to; with int8 "
        "--method simd is block-int8 and --method channel is channel-int8",
    )
    parser.add_argument(
        "--search-minutes",
        type=arguments.positive_float,
        default=None,
        metavar="MINUTES",
        help="how long --method auto goes on trying others once one method reaches the budget "
        "(default 5)",
    )
    add_groups(parser)
    parser.add_argument(
        "--profile", type=Path, default=None, metavar="TABLE", help="reuse a table of `profile`"
    )


def add_groups(parser: argparse.ArgumentParser) -> None:
    """Arguments of the methods that remove groups of weights."""
    parser.add_argument(
        "--group-size",
        type=arguments.positive_int,
        default=None,
        help="output channels per SIMD group (default 4)",
    )
    parser.add_argument(
        "--projection",
        choices=tuple(SOLVERS),
        default=None,
        help=f"how groups are chosen under the budget: {SOLVERS.help}; implies --refit weights "
        f"where there are pictures or data (default {SOLVERS.default})",
    )
    parser.add_argument(
        "--refit",
        choices=REFITS,
        default=None,
        help="with pictures or data: by what layers are given their shares before what is left is "
        "refitted, where training then starts: the loss of the network's outputs, the error of the "
        "layers' own, or the weights, as --projection says; or off, which also rounds int8 weights "
        "to the nearest (default loss)",
    )
    parser.add_argument(
        "--closing-epochs",
        type=arguments.natural_int,
        default=None,
        metavar="N",
        help="where nothing is trained: epochs of distillation on the same pictures after layers "
        "were refitted, kept where less is lost by them; 0 for none (default as many as take a "
        "few minutes, up to 30)",
    )
    arguments.add_fully_connected(parser)


#: Flags about groups of weights, and which methods heed them.
_GROUP_FLAGS = {
    "group_size": ("--group-size", has_group_size),
    "projection": ("--projection", structure_of),
    "refit": ("--refit", removes),
    "closing_epochs": ("--closing-epochs", removes),
}


def _heeding(name: str, value: object) -> Callable[[str], object]:
    """Which methods heed a flag about groups that has a value."""
    return refits if (name, value) == ("refit", "off") else _GROUP_FLAGS[name][1]


#: Fields of `ChannelOptions` and their flags, besides the score. Passed on only where given.
_CHANNEL_FLAGS = {
    "solver": "--channel-solver",
    "stages": "--stages",
    "contributions": "--contributions",
    "min_share": "--min-share",
}


def add_channels(parser: argparse.ArgumentParser) -> None:
    """Arguments of the methods that remove channels."""
    group = parser.add_argument_group("channels: SP-LAMP")
    group.add_argument(
        "--score",
        choices=tuple(dict.fromkeys((*CHANNEL_SCORES, *SCORES))),
        default=None,
        help=f"importance of a channel: {CHANNEL_SCORES.help}; of a group of weights: "
        f"{SCORES.help} (default {CHANNEL_SCORES.default}, {SCORES.default} for weights)",
    )
    group.add_argument(
        "--channel-solver",
        choices=tuple(CHANNEL_SOLVERS),
        dest="solver",
        default=argparse.SUPPRESS,
        help=f"how channels are chosen: {CHANNEL_SOLVERS.help} (default {CHANNEL_SOLVERS.default})",
    )
    group.add_argument(
        "--stages",
        type=arguments.positive_int,
        default=argparse.SUPPRESS,
        help="steps towards the budget, between which scores are taken anew (default 4)",
    )
    group.add_argument(
        "--contributions",
        choices=["measured", "predicted"],
        default=argparse.SUPPRESS,
        help="latencies of channel groups: measure each at several sizes, or predict them from "
        "the times of the dense model's nodes and measure a few (default measured)",
    )
    group.add_argument(
        "--min-share",
        type=arguments.natural_float,
        default=argparse.SUPPRESS,
        help="share of its channels that every group keeps at least (default 0.125)",
    )


def requested(options: argparse.Namespace) -> dict[str, Any]:
    """The fields of `OptimizeRequest` that `add_method`, `add_channels` and others ask for."""
    from alcs_onnx.types import Budget

    found = {
        **settings(options, _ways(options)),
        "model": options.model,
        "budget": Budget.parse(options.budget),
        "method": options.method,
        "precision": options.precision,
        "table": options.profile,
    }
    if options.search_minutes is not None:
        found["search_minutes"] = options.search_minutes
    return found


def _ways(options: argparse.Namespace) -> Sequence[str]:
    """The methods that the run may come to: several where it is to find the best.

    Raises `AlcsError` for a search that there is none of.
    """
    from alcs_onnx.errors import AlcsError

    searches = _judged(options) and options.profile is None
    searches = searches and getattr(options, "plan", None) is None
    searches = searches and options.precision != "int8"
    if options.method == AUTO or (options.method is None and searches):
        return [x for x in CANDIDATES if has_precision(x, options.precision)]
    if options.search_minutes is not None:
        raise AlcsError("--search-minutes has no effect without --method auto")
    if options.method is None:
        return ["int8" if options.precision == "int8" else METHODS.default]
    return [in_precision(options.method, options.precision)]


def _judged(options: argparse.Namespace) -> bool:
    """Whether there is something of the user's to compare methods by, and to fit on."""
    return options.calibration is not None or getattr(options, "data", None) is not None


def settings(options: argparse.Namespace, methods: Sequence[str]) -> dict[str, Any]:
    """What `add_groups`, `add_channels` and the measuring flags ask of runs by `methods`.

    Raises `AlcsError` for flags that none of the methods heeds.
    """
    channels = _channel_options(options, methods)
    refit, by_weights = options.refit, (options.projection, options.score)
    if refit is None and any(by_weights) and any(map(scores_groups, methods)):
        refit = "weights"  # what is asked for says how weights share out
    groups = {
        "simd_group": options.group_size,
        "projection": options.projection,
        "refit": refit,
        "closing_epochs": options.closing_epochs,
    }
    if any(map(scores_groups, methods)):
        groups["score"] = options.score
    return {
        "inputs": arguments.inputs(options),
        "fully_connected": options.fully_connected,
        **{name: value for name, value in groups.items() if value is not None},
        "channels": channels,
        "measuring": arguments.measuring(options),
        "seed": options.seed,
    }


def _channel_options(options: argparse.Namespace, methods: Sequence[str]) -> ChannelOptions:
    """What `add_channels` parsed; raises `AlcsError` for flags that no method heeds."""
    from alcs_onnx.errors import AlcsError
    from alcs_onnx.pipeline.optimize import ChannelOptions

    given = {name: getattr(options, name) for name in _CHANNEL_FLAGS if hasattr(options, name)}
    channels = bool(set(methods) & set(CHANNEL_METHODS))
    unheeded = [] if channels else [_CHANNEL_FLAGS[name] for name in given]
    if options.score is not None and not channels and not any(map(scores_groups, methods)):
        unheeded.append("--score")
    unheeded += [
        flag
        for name, (flag, _) in _GROUP_FLAGS.items()
        if (value := getattr(options, name)) is not None
        and not any(map(_heeding(name, value), methods))
    ]
    for name in ("refit", "closing_epochs"):
        if getattr(options, name) is not None and not _judged(options):
            flag = _GROUP_FLAGS[name][0]
            raise AlcsError(f"{flag} has no effect without --calibration PICTURES or --data")
    if not any(map(structure_of, methods)):
        admm = {"rho": "--rho", "admm_epochs": "--admm-epochs"}
        unheeded += [f for n, f in admm.items() if hasattr(options, training.destination(n))]
    if not any(map(removes, methods)):
        unheeded += ["--fully-connected"] * options.fully_connected
        unheeded += training.flags_given(options)
    if unheeded:
        raise AlcsError(f"{unheeded[0]} has no effect with --method {', '.join(methods)}")
    if options.score is not None and any(map(scores_groups, methods)):
        SCORES.check(options.score)
    if options.score is not None and channels:
        CHANNEL_SCORES.check(options.score)
        given["score"] = options.score
    return ChannelOptions(**given)


def run(options: argparse.Namespace) -> int:
    """Optimize and print what was done; status 1 when it misses the budget or loses too much."""
    from alcs_onnx.errors import AlcsError
    from alcs_onnx.files import check_writable
    from alcs_onnx.pipeline.optimize import OptimizeRequest, optimize
    from alcs_onnx.report.export import write_page, write_result
    from alcs_onnx.report.optimize import optimize_page, print_optimize
    from alcs_onnx.report.progress import progress

    if options.output is None and not options.dry_run:
        raise AlcsError("optimize needs an output file: -o out.onnx (or --dry-run)")
    files = [path for path in (options.output, options.model) if path is not None]
    if options.export_json is not None:
        check_writable(options.export_json, *files)
        files.append(options.export_json)
    schedule = training.requested(options)
    # Without training it is tables and levels that take long.
    kept = {"tables": options.checkpoint, "remeasure": not options.resume} if not schedule else {}
    request = OptimizeRequest(
        output=None if options.dry_run else options.output,
        plan=options.plan,
        training=schedule,
        **kept,
        judging=judging.requested(options),
        **requested(options),
    )
    page = _report_file(options, request.way)
    if page is not None:
        check_writable(page, *files)
    with progress() as reporter:
        result = optimize(request, reporter)
    if options.export_json is not None:
        write_result(options.export_json, result)
    if page is not None:
        write_page(page, optimize_page(result))
    print_optimize(result, top=options.top, wrote=page)
    return result.exit_status


def _report_file(options: argparse.Namespace, method: str) -> Path | None:
    """The page to write: by default beside the output and named after it, or here after the model.

    Runs with outputs of their own so have pages of their own.
    """
    if options.report is None or options.report != Path():
        found: Path | None = options.report
        return found
    if options.dry_run:
        budget = "".join(options.budget.split()).lower().replace("/", "_")
        return Path(f"{options.model.stem}-{method}-{budget}.report.html")
    output: Path = options.output
    return output.with_name(f"{output.stem}.report.html")
