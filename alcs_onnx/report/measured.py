"""Blocks of pages about what was measured: times, the machine, the settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from alcs_onnx.fidelity import Fidelity
from alcs_onnx.report.html import Column, Markup, table
from alcs_onnx.report.layout import ms, percent
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


def fidelity_facts(found: Fidelity) -> dict[str, object]:
    """What is left of the dense model's outputs; what is not known is left out."""
    shares = {
        f"{found.measure}, dense": found.dense_accuracy,
        f"{found.measure}": found.accuracy,
        "agreement": found.agreement,
        "score": found.score,
    }
    known = {name.capitalize(): percent(x) for name, x in shares.items() if x is not None}
    if found.rank_correlation is not None:
        known["Rank correlation"] = f"{found.rank_correlation:.4f}"
    if found.psnr_db is not None:
        known["PSNR"] = f"{found.psnr_db:.2f} dB"
    return {
        "Judged by": f"{found.samples} {found.source}",
        **known,
        "Relative error": f"{found.relative_error:.3g}",
    }


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
