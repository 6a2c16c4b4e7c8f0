"""How tables look and how values are written in them."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich import box
from rich.table import Table

from alcs_onnx.types import Machine


def new_table(title: str, *columns: str) -> Table:
    """A plain table; columns whose name begins with `>` are right-aligned."""
    table = Table(title=title, box=box.SIMPLE, title_justify="left", pad_edge=False)
    for column in columns:
        table.add_column(
            column.lstrip(">"),
            justify="right" if column.startswith(">") else "left",
            overflow="fold",
        )
    return table


def shape(sizes: Sequence[int]) -> str:
    """`1x3x224x224`."""
    return "x".join(map(str, sizes))


def ms(value: float | None) -> str:
    """Milliseconds with four digits or so; `-` where not measured."""
    if value is None or not math.isfinite(value):
        return "-"
    return f"{value:.3f}" if value < 10 else f"{value:.2f}"


def describe_machine(machine: Machine) -> str:
    """One line: CPU, ISA, threads, versions, governor and load."""
    return (
        f"{machine.cpu} | {machine.isa} | {machine.threads} thread(s) | "
        f"onnxruntime {machine.onnxruntime} | {machine.library} | "
        f"governor {machine.governor} | load {machine.load:.2f}"
    )


def printable(text: str) -> str:
    """`text` from a file without what a terminal would act on: control characters as escapes."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def shape_text(shape: Sequence[int | None] | None) -> str:
    """Sizes joined by x; `?` for one that is not known, and for a shape of unknown rank."""
    return "?" if shape is None else "x".join("?" if n is None else str(n) for n in shape)


def count_text(value: float) -> str:
    """A number of three digits or so, with its unit: 3.49 M, 385 M, 1000."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("K", 1e3)):
        if value >= size:
            scaled = value / size
            return f"{scaled:.{2 if scaled < 9.995 else 1 if scaled < 99.95 else 0}f} {unit}"
    return f"{value:.0f}"
