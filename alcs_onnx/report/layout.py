"""How tables look and how values are written in them."""

from __future__ import annotations

import math
from collections.abc import Sequence

from alcs_onnx.report.console_table import ConsoleTable
from alcs_onnx.types import Machine

__all__ = [
    "LEAST_MS",
    "bytes_text",
    "count_text",
    "counted",
    "describe_machine",
    "ms",
    "new_table",
    "percent",
    "rest_text",
    "shape_text",
]


#: The least time (ms) that is written as a number.
LEAST_MS = 0.001


def new_table(title: str, *columns: str, optional: Sequence[str] = ()) -> ConsoleTable:
    """A plain table; columns whose name begins with `>` are right-aligned and never broken.

    Where the terminal is too narrow, those named in `optional` are left out one by one.
    """
    return ConsoleTable(title, columns, optional)


def ms(value: float | None) -> str:
    """Milliseconds with four digits or so; `-` where not measured.

    What would read as nothing is told to be less than what can be seen.
    """
    if value is None or not math.isfinite(value):
        return "-"
    if 0 <= value < LEAST_MS:
        return f"<{LEAST_MS:g}"
    return f"{value:.3f}" if value < 10 else f"{value:.2f}"


def describe_machine(machine: Machine) -> str:
    """One line: CPU, ISA, threads, versions, governor and load."""
    return (
        f"{machine.cpu} | {machine.isa} | {machine.threads} thread(s) | "
        f"onnxruntime {machine.onnxruntime} | {machine.library} | "
        f"governor {machine.governor} | load {machine.load:.2f}"
    )


def shape_text(shape: Sequence[int | None] | None) -> str:
    """Sizes joined by x; `?` for one that is not known, and for a shape of unknown rank."""
    return "?" if shape is None else "x".join("?" if n is None else str(n) for n in shape)


def rest_text(rest_ms: float, overhead_ms: float) -> tuple[str, str]:
    """A run beyond its nodes: what there is to say, and its time."""
    if overhead_ms > 0:
        return "profiler's own time, taken out of every node", f"{ms(overhead_ms)} ms"
    return "rest of the run", f"{ms(rest_ms)} ms"


def count_text(value: float) -> str:
    """A number of three digits or so, with its unit: 3.49 M, 385 M, 1000."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("K", 1e3)):
        if value >= size:
            scaled = value / size
            return f"{scaled:.{2 if scaled < 9.995 else 1 if scaled < 99.95 else 0}f} {unit}"
    return f"{value:.0f}"


def bytes_text(count: float) -> str:
    """Decimal units and three digits: 1.25 GB, 2.47 MB, 102 KB, 84 B."""
    text = count_text(count)
    return f"{text} B" if text[-1].isdigit() else f"{text}B"


def percent(share: float | None) -> str:
    """A share of 1: `12.5 %`; `-` where there is none."""
    return "-" if share is None else f"{100 * share:.1f} %"


def counted(count: int, noun: str) -> str:
    """`1 node`, `2 nodes`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
