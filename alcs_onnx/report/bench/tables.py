"""Terminal tables of files that were timed side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath

from alcs_onnx.pipeline.bench.result import PERCENTILES, BenchResult, BenchRow
from alcs_onnx.report.console import note, out, say
from alcs_onnx.report.layout import describe_machine, ms, new_table


def print_bench(
    result: BenchResult, percentiles: Sequence[float] | None = None, top: int | None = None
) -> None:
    """One row per file with the wanted percentiles, P90, P95 and P99 by default.

    Files that were profiled get a table of their nodes each, the slowest `top` or all.
    """
    wanted = [f"{p:g}" for p in percentiles or PERCENTILES]
    columns = [">median ms", ">mean", ">min", ">max", *(f">P{p}" for p in wanted), ">std"]
    table = new_table(
        "Latency, interleaved",
        *("model", *columns, ">runs", ">inferences/s", ">speed-up"),
        optional=("std", "max", "min", "mean", "runs", "inferences/s"),
    )
    for row, name in zip(result.rows, _names(result.rows), strict=True):
        timing = row.timing
        times = (timing.median, timing.mean, row.minimum, row.maximum)
        table.add_row(
            name,
            *(ms(t) for t in (*times, *(row.percentiles[p] for p in wanted), timing.stddev)),
            str(timing.runs),
            f"{row.throughput:.1f}",
            f"{row.speedup:.2f}x",
        )
    out.print(table)
    for row in result.rows:
        if row.nodes:
            _print_nodes(row, top)
    say(describe_machine(result.machine))
    for text in result.warnings:
        note(f"warning: {text}")


def _names(rows: Sequence[BenchRow]) -> list[str]:
    """Files without their folders, where those say nothing that tells the files apart."""
    names = [PurePath(row.model).name for row in rows]
    return names if len(set(names)) == len(names) else [row.model for row in rows]


def _print_nodes(row: BenchRow, top: int | None) -> None:
    shown = row.nodes[:top]
    table = new_table(
        f"Nodes of {row.model}, profiled",
        *("node", "operator", "ran as", ">ms", ">% of run"),
    )
    for node in shown:
        name = node.node or "(the runtime's own)"
        table.add_row(name, node.op, node.ran_as, ms(node.ms), f"{100 * node.share:.1f}")
    left = row.nodes[len(shown) :]
    if left:
        table.add_row(
            f"{len(left)} more",
            *("", "", ms(sum(node.ms for node in left))),
            f"{100 * sum(node.share for node in left):.1f}",
        )
    out.print(table)
