"""How the values of an inspection are written."""

from __future__ import annotations

from collections.abc import Iterable

from alcs_onnx.pipeline.inspect.result import ModelFacts


def listed(values: Iterable[str]) -> str | None:
    """Values with commas; None for none at all."""
    return ", ".join(values) or None


def operator(domain: str, op: str) -> str:
    """An operator, after its domain where that is not ONNX's own."""
    return f"{domain}::{op}" if domain else op


def what_optimize_does(model: ModelFacts) -> str:
    """How the decisions about layers are called: taken in an optimized file, else foreseen."""
    return f"what optimize {'did' if model.optimized else 'would do'}"
