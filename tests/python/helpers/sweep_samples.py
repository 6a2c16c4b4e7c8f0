"""Sweeps of a dense model of 2 ms, with any points."""

from __future__ import annotations

from alcs_onnx.pipeline.sweep import DensePoint, SweepPoint, SweepResult
from alcs_onnx.types import Machine, Timing

MACHINE = Machine("a CPU", "avx2", 1, "1.31", "lib", "performance", 0.5)


def timing(median: float) -> Timing:
    return Timing(median, median, median, median, 0.0, 10)


def point(budget: str, latency: float, accuracy: float | None, method: str = "simd") -> SweepPoint:
    """A finished point of a dense model of 2 ms."""
    return SweepPoint(
        method, budget, "met", "budget met", f"net-{method}-{budget}.onnx",
        budget_ms=2 * latency, dense=timing(2.0), predicted_share=0.95 * latency,
        measured=timing(2 * latency), accuracy=accuracy, mac_ratio=latency,
    )  # fmt: skip


def swept(*points: SweepPoint, accuracy: float | None = 90.0) -> SweepResult:
    dense = DensePoint(timing(2.0), MACHINE, accuracy, "accuracy", 100)
    return SweepResult("net.onnx", "digest", dense, points)
