"""How the values of an inspection are written."""

from __future__ import annotations

from collections.abc import Iterable

from alcs_onnx.types import Shape


def count(value: float) -> str:
    """Three digits and a unit from ten thousand on: 512, 9,408, 41.2 M."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("K", 1e3)):
        if value >= size and value >= 1e4:
            scaled = value / size
            return f"{scaled:.{2 if scaled < 10 else 1 if scaled < 100 else 0}f} {unit}"
    return f"{value:,.0f}"


def percent(share: float) -> str:
    """A share of 1: 12.5 %."""
    return f"{100 * share:.1f} %"


def shape(dimensions: Shape | None) -> str:
    """1×64×56×56; `?` where the shape, or a dimension, is not known."""
    if dimensions is None:
        return "?"
    return "×".join("?" if size < 0 else str(size) for size in dimensions) or "scalar"


def listed(values: Iterable[str]) -> str | None:
    """Values with commas; None for none at all."""
    return ", ".join(values) or None
