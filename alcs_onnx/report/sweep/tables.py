"""The Pareto table of a sweep."""

from __future__ import annotations

from pathlib import Path

from alcs_onnx.pipeline.sweep.result import SweepPoint, SweepResult
from alcs_onnx.report.console import out, say
from alcs_onnx.report.layout import describe_machine, ms, new_table


def print_sweep(result: SweepResult, folder: Path | None = None) -> None:
    """A row for each budget and method, the dense model first; last what each has lost.

    `folder` is what was written.
    """
    measure = result.dense.measure or "accuracy"
    table = new_table(
        f"Sweep of {result.model}",
        *("method", ">budget", "status", ">dense ms", ">predicted ms", ">measured ms"),
        *(">of budget %", ">speed-up", f">{measure} %", ">MACs %", "frontier"),
        optional=("MACs %", "dense ms", "predicted ms", "of budget %"),
    )
    dense = result.dense
    table.add_row(
        *("dense", "", "", ms(dense.timing.median), "", ms(dense.timing.median), "", "1.00x"),
        *(_number(dense.accuracy, 2), "100.0", ""),
    )
    for point in result.points:
        table.add_row(*_cells(result, point))
    out.print(table)
    say(
        "dense ms: measured beside the point, in turns | frontier: no other point of any method, "
        "nor the dense model, is as fast with as much left",
    )
    say(describe_machine(dense.machine))
    if folder is not None:
        say(f"wrote {folder}")
    for point in result.points:
        if point.told:
            style = "bold red" if point.failed else "bold"
            say(f"{point.method} at {point.budget}: {point.told}", style=style)


def _cells(result: SweepResult, point: SweepPoint) -> list[str]:
    medians = [
        None if timing is None else timing.median for timing in (point.dense, point.measured)
    ]
    frontier = result.on_frontier(point)
    return [
        point.method,
        point.budget,
        point.status,
        ms(medians[0]),
        ms(point.predicted_ms),
        ms(medians[1]),
        _number(None if point.share is None else 100 * point.share, 1),
        "-" if point.speedup is None else f"{point.speedup:.2f}x",
        _number(point.accuracy, 2),
        _number(None if point.mac_ratio is None else 100 * point.mac_ratio, 1),
        "-" if frontier is None else "yes" if frontier else "no",
    ]


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
