"""Blocks of pages about what was measured: times, the machine, the settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from alcs_onnx.report.html import Column, Markup, table
from alcs_onnx.report.layout import ms
from alcs_onnx.types import Machine, Timing


def machine_facts(machine: Machine) -> dict[str, object]:
    """The fields of a `Machine` as facts."""
    return settings_facts(asdict(machine))


def settings_facts(settings: Mapping[str, object]) -> dict[str, object]:
    """Settings as facts, nested ones by dotted name; what is None was not given."""
    known: dict[str, object] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping):
            nested = settings_facts(value)
            known |= {f"{name}.{key}": item for key, item in nested.items()}
        elif isinstance(value, (list, tuple)):
            known[name] = ", ".join(map(str, value))
        else:
            known[name] = value
    return known


def timing_table(rows: Sequence[tuple[str, Timing]]) -> Markup:
    """Latencies (ms) of models by name, and how much faster than the first each is."""
    columns = [
        *(Column("model"), Column("median ms", ms), Column("P90 ms", ms), Column("P99 ms", ms)),
        *(Column("mean ms", ms), Column("std ms", ms), Column("runs")),
        Column("speed-up", lambda value: f"{value:.2f}x"),
    ]
    first = rows[0][1].median
    return table(
        columns,
        [
            (name, t.median, t.p90, t.p99, t.mean, t.stddev, t.runs, first / t.median)
            for name, t in rows
        ],
    )
