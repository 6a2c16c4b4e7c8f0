"""The plot of a sweep: what is left against latency."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from alcs_onnx.errors import AlcsError
from alcs_onnx.pipeline.sweep.result import SweepPoint, SweepResult
from alcs_onnx.report.plots import figure_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot_sweep(result: SweepResult, path: Path) -> None:
    """What is left against latency: each method's points, the dense model, and one frontier.

    Latencies are shares of the dense one measured beside each, with the estimates beside them; the
    upper axis has them in ms of the dense model as it was measured first. A line joins what no
    other point beats in both, of any method. `path` ends in .png or .svg. Raises as `plot_history`
    does, and for a sweep whose points have no accuracy.
    """
    methods: dict[str, list[tuple[float, float, SweepPoint]]] = {}
    for point in result.points:
        if point.position is not None:
            latency, accuracy = point.position
            methods.setdefault(point.method, []).append((100 * latency, accuracy, point))
    if not methods:
        raise AlcsError("there are no points with an accuracy to plot")
    with figure_file(path, width=8, height=5) as figure:
        axes = figure.subplots()
        for index, (method, points) in enumerate(methods.items()):
            _draw_method(axes, method, points, f"C{index}")
        if result.dense.accuracy is not None:
            axes.plot(100, result.dense.accuracy, "k*", markersize=12, label="dense")
        along, left = zip(*result.frontier, strict=True)
        axes.plot([100 * x for x in along], left, "k--", linewidth=1, label="frontier")
        scale = result.dense.timing.median / 100
        upper = axes.secondary_xaxis(
            "top", functions=(lambda x: np.asarray(x) * scale, lambda x: np.asarray(x) / scale)
        )
        upper.set_xlabel(f"ms, at a dense latency of {100 * scale:.3f}")
        axes.set_xlabel("latency (% of dense)")
        axes.set_ylabel(f"{result.dense.measure} (%)")
        axes.set_title(result.model)
        axes.margins(0.08)
        axes.grid(alpha=0.3)
        axes.legend()


def _draw_method(
    axes: Axes,
    method: str,
    points: Sequence[tuple[float, float, SweepPoint]],
    colour: str,
) -> None:
    """The points of one method: latency and what is left, in %."""
    latencies, accuracies = [x for x, _, _ in points], [y for _, y, _ in points]
    axes.plot(latencies, accuracies, "o", color=colour, label=f"{method}, measured")
    estimates = [
        (100 * point.predicted_share, y)
        for _, y, point in points
        if point.predicted_share is not None
    ]
    axes.plot(*zip(*estimates, strict=True), "x", color=colour, label=f"{method}, estimated")
    for x, y, point in points:
        axes.annotate(point.budget, (x, y), xytext=(6, -12), textcoords="offset points")
