"""Whole models: dense ONNX Runtime against this engine, in turns, with what each layer reaches.

    python tools/bench/models.py resnet18 resnet50 --density 1 0.5 0.25 --group-size 4 8

MODEL is resnet18, resnet50, mobilenet_v1 (random weights: latency does not depend on them) or an
ONNX file. Every convolution but the first and depthwise ones keeps a random share of its groups.
README.md beside this file explains the tables and the other engines.
"""

from __future__ import annotations

import argparse
import platform
import shlex
import sys
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
from modelbench import rivals, runners, subjects, tables
from modelbench.bench import Settings, bench_model
from modelbench.engines import ENGINES
from modelbench.results import ModelReport

from alcs_onnx.cli import arguments
from alcs_onnx.documents import write_json
from alcs_onnx.errors import AlcsError
from alcs_onnx.files import check_writable
from alcs_onnx.report.console import note, out
from alcs_onnx.report.layout import describe_machine
from alcs_onnx.report.progress import progress
from alcs_onnx.target import get_target

#: Other work that may keep a core.
_BUSY = 0.5


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = [engine.name for engine in ENGINES]
    parser.add_argument("models", nargs="+", metavar="MODEL")
    parser.add_argument("--density", type=float, nargs="+", default=[1.0, 0.5, 0.25])
    parser.add_argument("--group-size", type=int, nargs="+", default=[8])
    parser.add_argument("--threads", type=int, nargs="+", default=[1])
    parser.add_argument("--iterations", type=int, default=40, help="recorded runs per model")
    parser.add_argument("--warmup", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--engines", nargs="*", choices=names, metavar="ENGINE",
        help=f"other engines, of {', '.join(names)} (default: those installed; nothing: none)",
    )  # fmt: skip
    parser.add_argument(
        "--int8", action="store_true", help="quantized too: by ONNX Runtime's own kernels and ours"
    )
    parser.add_argument("--no-nodes", action="store_true", help="whole models only")
    parser.add_argument("--every-node", action="store_true", help="print every node too")
    parser.add_argument(
        "--peak-tool", type=Path, help="fma_peak (default: the newest under build/)"
    )
    arguments.add_inputs(parser)
    parser.add_argument("-o", "--output", type=Path, help="write everything as JSON")
    parser.add_argument("--no-samples", action="store_true", help="no single runs in the JSON")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    options = parse(argv)
    try:
        run(options, sys.argv[1:] if argv is None else argv)
    except AlcsError as error:
        print(f"models.py: {error}", file=sys.stderr)
        return 2
    return 0


def run(options: argparse.Namespace, argv: list[str]) -> None:
    if options.output is not None:
        check_writable(options.output)
    machine = get_target("local").machine(max(options.threads))
    versions = {"python": platform.python_version(), "numpy": np.__version__}
    out.print(describe_machine(machine), soft_wrap=True)
    found, absent = rivals.find(options.engines)
    for name, reason in absent.items():
        out.print(f"{name}: {reason}", soft_wrap=True)
    tool = options.peak_tool or runners.find_peak_tool()
    if tool is None:
        note("no shares of the peak: cmake --preset bench && cmake --build --preset bench "
             "--target fma_peak makes the tool that measures it")  # fmt: skip
    if machine.load > _BUSY:
        note(f"this machine is busy (load {machine.load:.1f}): node times are wall time and suffer")
    settings = Settings(
        densities=tuple(options.density),
        group_sizes=tuple(options.group_size),
        threads=tuple(sorted(set(options.threads))),
        iterations=options.iterations,
        warmup=options.warmup,
        seed=options.seed,
        nodes=not options.no_nodes,
        int8=options.int8,
        isa=machine.isa,
        peak_tool=tool,
    )
    reports: list[ModelReport] = []
    record = {
        "command": shlex.join(["python", "tools/bench/models.py", *map(_portable, argv)]),
        "date": datetime.now().astimezone().isoformat(timespec="seconds"),
        "machine": machine,
        "versions": versions,
        "engines": {rival.engine.name: rival.version for rival in found} | absent,
        "models": reports,
    }
    for name in options.models:
        model = subjects.load(name, options.seed, arguments.inputs(options))
        with progress() as bars:
            report = bench_model(_portable(name), model, settings, found, bars)
        tables.print_report(out, report, options.every_node)
        reports.append(without_samples(report) if options.no_samples else report)
        if options.output is not None:  # after each model: a long run may be cut short
            write_json(options.output, record)


def without_samples(report: ModelReport) -> ModelReport:
    """The report without the durations of single runs and nodes."""
    rows = tuple(replace(row, samples=()) for row in report.rows)
    nodes = tuple(replace(node, layers=()) for node in report.nodes)
    return replace(report, rows=rows, nodes=nodes)


def _portable(argument: str) -> str:
    """A path without the folders of the machine it lies on."""
    path = Path(argument)
    return path.name if path.is_absolute() else argument


if __name__ == "__main__":
    sys.exit(main())
