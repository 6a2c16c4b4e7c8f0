"""The page of a sweep: the Pareto table, and accuracy against latency."""

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
        yield Section("Accuracy against latency", [_chart(result)], "chart")
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
        Column("front", help="no other point, nor the dense model, is as fast and as accurate"),
    ]
    dense = result.dense
    first = (
        *("dense", "", "", dense.timing.median, None, None, None, 1.0),
        *(dense.accuracy, 1.0, ""),
    )
    return table(columns, [first, *(_row(result, point) for point in result.points)])


def _row(result: SweepResult, point: SweepPoint) -> tuple[object, ...]:
    front = result.on_front(point)
    return (
        *(point.method, point.budget, point.status),
        None if point.dense is None else point.dense.median,
        point.predicted_ms,
        None if point.measured is None else point.measured.median,
        *(point.share, point.speedup, point.accuracy, point.mac_ratio),
        None if front is None else "yes" if front else "no",
    )


def _chart(result: SweepResult) -> Markup:
    """Measured and estimated latencies as shares of the dense one beside them."""
    series = []
    for method in dict.fromkeys(point.method for point in result.points):
        points = [p for p in result.points if p.method == method and p.position is not None]
        budgets = [point.budget for point in points]
        accuracies = [point.accuracy for point in points]
        for name, shares in (
            ("measured", [point.latency for point in points]),
            ("estimated", [point.predicted_share for point in points]),
        ):
            x = [float("nan") if share is None else 100 * share for share in shares]
            series.append(Series(f"{method}, {name}", x, accuracies, labels=budgets))
    if result.dense.accuracy is not None:
        series.append(Series("dense", [100.0], [result.dense.accuracy]))
    return scatter_chart(series, "latency (% of dense)", f"{result.dense.measure} (%)")
