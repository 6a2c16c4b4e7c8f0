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
