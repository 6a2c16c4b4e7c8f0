"""How the values of an inspection are written."""

from __future__ import annotations

from collections.abc import Iterable


def listed(values: Iterable[str]) -> str | None:
    """Values with commas; None for none at all."""
    return ", ".join(values) or None


def operator(domain: str, op: str) -> str:
    """An operator, after its domain where that is not ONNX's own."""
    return f"{domain}::{op}" if domain else op
