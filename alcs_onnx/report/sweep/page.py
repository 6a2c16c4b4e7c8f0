"""The page of a sweep: the Pareto table, and what is left against latency."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePath

from alcs_onnx.pipeline.sweep.result import SweepPoint, SweepResult
from alcs_onnx.report.html import (
    Column,
    Markup,
    Section,
    Series,
    facts,
    page,
    scatter_chart,
    table,
    text,
    warning,
)
from alcs_onnx.report.layout import ms, percent
from alcs_onnx.report.measured import machine_facts, settings_facts, timing_table


def sweep_page(result: SweepResult) -> str:
    """The result as one HTML file that needs no other and no network."""
    return page(
        f"Sweep of {PurePath(result.model).name}",
        list(_sections(result)),
        summary=[_told(point) for point in result.points if point.told],
    )


def _told(point: SweepPoint) -> Markup:
    line = f"{point.method} at {point.budget}: {point.told}"
    return warning(line) if point.failed else text(line)


def _sections(result: SweepResult) -> Iterator[Section]:
    yield Section("Points", [_table(result)], "points")
    if any(point.position is not None for point in result.points):
        yield Section("What is left against latency", [_chart(result)], "chart")
    yield Section("Dense model", [timing_table([("dense", result.dense.timing)])], "dense")
    yield Section("Machine", [facts(machine_facts(result.dense.machine))], "machine")
    yield Section("Settings", [facts(settings_facts(result.settings))], "settings")


def _table(result: SweepResult) -> Markup:
    measure = result.dense.measure or "accuracy"
    columns = [
        *(Column("method"), Column("budget"), Column("status")),
        Column("dense ms", ms, help="measured beside the point, in turns"),
        *(Column("predicted ms", ms), Column("measured ms", ms)),
        Column("of budget", percent),
        Column("speed-up", lambda value: f"{value:.2f}x"),
        Column(f"{measure} %", lambda value: f"{value:.2f}"),
        Column("MACs", percent),
        Column(
            "frontier",
            help="no other point of any method, nor the dense model, is as fast with as much left",
        ),
    ]
    dense = result.dense
    first = (
        *("dense", "", "", dense.timing.median, None, None, None, 1.0),
        *(dense.accuracy, 1.0, ""),
    )
    return table(columns, [first, *(_row(result, point) for point in result.points)])


def _row(result: SweepResult, point: SweepPoint) -> tuple[object, ...]:
    frontier = result.on_frontier(point)
    return (
        *(point.method, point.budget, point.status),
        None if point.dense is None else point.dense.median,
        point.predicted_ms,
        None if point.measured is None else point.measured.median,
        *(point.share, point.speedup, point.accuracy, point.mac_ratio),
        None if frontier is None else "yes" if frontier else "no",
    )


def _chart(result: SweepResult) -> Markup:
    """Latencies as shares of the dense one beside them: a series per method, one frontier."""
    placed = [point for point in result.points if point.position is not None]
    series = []
    for method in dict.fromkeys(point.method for point in placed):
        points = [point for point in placed if point.method == method]
        series.append(
            Series(
                method,
                [100 * p.latency for p in points if p.latency is not None],
                [p.accuracy for p in points],
                labels=[p.budget for p in points],
            )
        )
    if result.dense.accuracy is not None:
        series.append(Series("dense", [100.0], [result.dense.accuracy]))
    along = [100 * latency for latency, _ in result.frontier]
    series.append(Series("frontier", along, [left for _, left in result.frontier], "dashed"))
    return scatter_chart(series, "latency (% of dense)", f"{result.dense.measure} (%)")
