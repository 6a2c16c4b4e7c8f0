"""Tables of many rows: as many as were asked for, and a line that says how many more there are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from alcs_onnx.report.console import say
from alcs_onnx.report.layout import counted

Row = TypeVar("Row")


def first(top: int, count: int) -> int:
    """How many of `count` rows are shown; a `top` of 0 is all."""
    return count if top == 0 else min(top, count)


def foremost(rows: Sequence[Row], top: int, weight: Callable[[Row], float]) -> list[Row]:
    """The `top` rows of most weight, 0 for all, in the order in which they are given."""
    order = sorted(range(len(rows)), key=lambda i: -weight(rows[i]))
    return [rows[i] for i in sorted(order[: first(top, len(rows))])]


def say_rest(count: int, top: int, noun: str) -> None:
    """Say how many of `count` rows are not shown, if any."""
    left = count - first(top, count)
    if left:
        say(f"… and {counted(left, f'more {noun}')} (--top 0)")
