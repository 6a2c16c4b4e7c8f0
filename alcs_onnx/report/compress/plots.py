"""Plots of compressed models."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from alcs_onnx.errors import AlcsError
from alcs_onnx.pipeline.compress.result import CompressionResult
from alcs_onnx.report.plots import figure_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot_compression(result: CompressionResult, path: Path) -> None:
    """Accuracy against compression, and what weights and indices take, for each structure.

    The line across is the dense model's accuracy, the broken one the least that was wanted.
    `path` ends in .png or .svg. Raises `AlcsError` for any other ending, for a result without
    rows and without matplotlib, and `OutputError` where `path` cannot be written.
    """
    if not result.rows:
        raise AlcsError("there are no structures to plot")
    with figure_file(path, width=11, height=4.2) as figure:
        accuracy, storage = figure.subplots(1, 2)
        figure.suptitle(f"{result.model} on {result.data}")
        _draw_accuracy(accuracy, result)
        _draw_storage(storage, result)


def _draw_accuracy(axes: Axes, result: CompressionResult) -> None:
    for row in result.rows:
        if row.compress_rate is None:
            continue
        point = (row.compress_rate, 100 * row.accuracy)
        [drawn] = axes.plot(*point, "o")
        axes.annotate(
            row.structure,
            point,
            xytext=(0, 7),
            textcoords="offset points",
            ha="center",
            color=drawn.get_color(),
        )
    axes.axhline(100 * result.baseline_accuracy, color="grey", linewidth=1)
    if result.least_accuracy is not None:
        axes.axhline(100 * result.least_accuracy, color="grey", linewidth=1, linestyle="--")
    axes.margins(x=0.2, y=0.2)
    axes.set_xlabel("compression of weights and indices (times)")
    axes.set_ylabel(f"{result.measure} (%)")
    axes.grid(alpha=0.3)


def _draw_storage(axes: Axes, result: CompressionResult) -> None:
    places = range(len(result.rows))
    weights = [row.weight_bytes / 1000 for row in result.rows]
    indices = [(row.relative_bytes - row.weight_bytes) / 1000 for row in result.rows]
    absolute = [row.absolute_bytes / 1000 for row in result.rows]
    axes.barh(places, weights, height=0.6, label="weights")
    axes.barh(places, indices, height=0.6, left=weights, label="relative indices, dummies")
    axes.plot(absolute, places, "k|", markersize=20, label="with absolute indices")
    axes.set_yticks(places, [f"{row.structure}\n{row.quantization}" for row in result.rows])
    axes.invert_yaxis()
    axes.set_xlabel("storage (KB)")
    axes.legend(
        loc="upper center", bbox_to_anchor=(0.5, -0.15), ncols=3, frameon=False, markerscale=0.5
    )
