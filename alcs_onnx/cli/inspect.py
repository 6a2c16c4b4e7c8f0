"""Look at a model file: what is in it, what optimizing would do with it, and why.

  model     every node with shapes, parameters and multiply-accumulates; what each layer would
            become, what would be fused, and why one would be left alone
  coupling  the groups of channels that live and die together, and why some are frozen
  sparsity  where the zeros are: by weight, SIMD group, column, filter, channel, and 2:4
  latency   measured: the whole model and each node; with --curves each layer at 11 densities

Any ONNX file will do, an optimized one too. JSON has the form of
alcs_onnx/pipeline/inspect/schema.json.

example: alcs-onnx inspect model in.onnx
         alcs-onnx inspect latency in.onnx --threads 1 --format html -o in.html
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from alcs_onnx.cli import arguments

if TYPE_CHECKING:
    from alcs_onnx.pipeline.inspect import Inspection

VIEWS = ("model", "coupling", "sparsity", "latency")
FORMATS = ("text", "json", "html")
#: What only the view of latency heeds.
_LATENCY_FLAGS = ("curves", "profile", "threads", "warmup", "iterations", "target")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `inspect`."""
    parser.add_argument("view", choices=VIEWS, metavar="|".join(VIEWS), help="what to look at")
    arguments.add_model(parser)
    parser.add_argument("--format", choices=FORMATS, default="text", help="what is written")
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        default=None,
        help="the file to write, - for standard output (default standard output for text and JSON, "
        "MODEL.inspection.html here for HTML)",
    )
    parser.add_argument(
        "--top",
        type=arguments.natural_int,
        default=None,
        metavar="N",
        help="rows of long tables that are printed, the heaviest; 0 for all "
        f"(default {arguments.TOP})",
    )
    parser.add_argument(
        "--group-size",
        type=arguments.positive_int,
        default=4,
        help="output channels per SIMD group",
    )
    arguments.add_fully_connected(parser)
    parser.add_argument(
        "--curves", action="store_true", help="latency: measure each layer at 11 densities, too"
    )
    parser.add_argument(
        "--profile",
        type=Path,
        default=None,
        metavar="TABLE",
        help="latency: take the curves from a table of `profile`",
    )
    arguments.add_measuring(parser, iterations=60)
    parser.set_defaults(usual={name: parser.get_default(name) for name in _LATENCY_FLAGS})
    arguments.add_general(parser)


def run(options: argparse.Namespace) -> int:
    """Inspect, and print or write what was found."""
    from alcs_onnx.errors import AlcsError
    from alcs_onnx.files import check_writable, write_atomically
    from alcs_onnx.pipeline.inspect.command import inspect
    from alcs_onnx.pipeline.inspect.request import InspectRequest
    from alcs_onnx.report import console
    from alcs_onnx.report.inspect import print_inspection
    from alcs_onnx.report.progress import progress

    _check_flags(options)
    output = _output(options)
    if output is not None:
        if options.format == "text":
            raise AlcsError("-o writes JSON or HTML: add --format json or --format html")
        check_writable(output, options.model, *([options.profile] if options.profile else []))
    with progress() as reporter:
        inspection = inspect(
            InspectRequest(
                model=options.model,
                view=options.view,
                everything=options.format == "html",
                inputs=arguments.inputs(options),
                fully_connected=options.fully_connected,
                simd_group=options.group_size,
                curves=options.curves,
                table=options.profile,
                measuring=arguments.measuring(options),
                seed=options.seed,
            ),
            reporter,
        )
    if options.format == "text":
        print_inspection(
            inspection, view=options.view, top=arguments.TOP if options.top is None else options.top
        )
    elif output is None:
        print(_rendered(inspection, options.format, options.view), end="")
    else:
        write_atomically(output, _rendered(inspection, options.format, options.view).encode())
        console.note(f"wrote {output}")
    return 0


def _check_flags(options: argparse.Namespace) -> None:
    """Raise `AlcsError` for flags without effect."""
    from alcs_onnx.errors import AlcsError

    if options.view != "latency":
        for name in _LATENCY_FLAGS:
            if getattr(options, name) != options.usual[name]:
                raise AlcsError(f"--{name} has no effect with inspect {options.view}")
    if options.curves and options.profile is not None:
        raise AlcsError("--curves measures what --profile takes from a table: give one of them")
    if options.top is not None and options.format != "text":
        raise AlcsError(f"--top has no effect with --format {options.format}")


def _output(options: argparse.Namespace) -> Path | None:
    """Where to write; None for standard output."""
    if options.output == Path("-"):
        return None
    if options.output is None and options.format == "html":
        return Path(f"{options.model.stem}.inspection.html")
    output: Path | None = options.output
    return output


def _rendered(inspection: Inspection, form: str, view: str) -> str:
    from alcs_onnx.report.inspect import inspection_json, inspection_page

    if form == "json":
        return inspection_json(inspection)
    return inspection_page(inspection, view)
