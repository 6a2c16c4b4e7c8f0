"""Plots of results as PNG or SVG files.

Matplotlib is imported when a plot is made and not before, and only as a library that draws
files: no window, and no settings of the process are touched.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from alcs_onnx.errors import AlcsError
from alcs_onnx.files import replacing
from alcs_onnx.pipeline.compress.result import ComparisonResult
from alcs_onnx.pipeline.sweep.result import SweepPoint, SweepResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_FORMATS = ("png", "svg")


def plot_comparison(result: ComparisonResult, path: Path) -> None:
    """Accuracy against compression, and what weights and indices take, for each structure.

    The line across is the dense model's accuracy, the broken one the least that was wanted.
    `path` ends in .png or .svg. Raises `AlcsError` for any other ending, for a result without
    rows and without matplotlib, and `OutputError` where `path` cannot be written.
    """
    if not result.rows:
        raise AlcsError("there are no structures to plot")
    with _figure(path, width=11, height=4.2) as figure:
        accuracy, storage = figure.subplots(1, 2)
        figure.suptitle(f"{result.model} on {result.data}")
        _draw_accuracy(accuracy, result)
        _draw_storage(storage, result)


def plot_history(histories: Mapping[str, Sequence[Mapping[str, Any]]], path: Path) -> None:
    """Loss, ||W - U|| / ||W|| and test metric after each epoch, a line for each run by name.

    The curves of ALCS figure 7. Records are those of `train.EpochRecord` as dictionaries: stage,
    epoch, loss, relative_residual, metric (None where not measured); `OptimizeResult.history` and
    `StructureResult.epochs` hold them. Epochs are counted through all stages and rounds of a run;
    residuals are drawn of ADMM alone, since fine-tuning has none. Raises as `plot_comparison`
    does.
    """
    if not any(histories.values()):
        raise AlcsError("there are no epochs to plot")
    with _figure(path, width=13, height=4) as figure:
        loss, residual, metric = figure.subplots(1, 3)
        for index, (name, records) in enumerate(histories.items()):
            colour = f"C{index}"
            loss.plot([], color=colour, label=name)
            _draw_curve(loss, records, "loss", colour)
            _draw_curve(residual, records, "relative_residual", colour, admm_only=True)
            _draw_curve(metric, records, "metric", colour)
        loss.set_ylabel("training loss")
        residual.set_ylabel("‖W − U‖ / ‖W‖ in ADMM")
        metric.set_ylabel("metric on the test samples")
        for axes in (loss, residual, metric):
            axes.set_xlabel("epoch (broken: fine-tuning)")
            axes.xaxis.get_major_locator().set_params(integer=True)
            axes.grid(alpha=0.3)
        loss.legend()


def plot_sweep(result: SweepResult, path: Path) -> None:
    """Accuracy against latency: each method's points, measured and estimated, and the dense model.

    Latencies are shares of the dense one measured beside each; the upper axis has them in ms of
    the dense model as it was measured first. A ring marks the Pareto front. `path` ends in .png
    or .svg. Raises as `plot_comparison` does, and for a sweep whose points have no accuracy.
    """
    methods: dict[str, list[tuple[float, float, SweepPoint]]] = {}
    for point in result.points:
        if point.position is not None:
            latency, accuracy = point.position
            methods.setdefault(point.method, []).append((100 * latency, accuracy, point))
    if not methods:
        raise AlcsError("there are no points with an accuracy to plot")
    with _figure(path, width=8, height=5) as figure:
        axes = figure.subplots()
        for index, (method, points) in enumerate(methods.items()):
            _draw_method(axes, result, method, sorted(points, key=lambda x: x[0]), f"C{index}")
        if result.dense.accuracy is not None:
            axes.plot(100, result.dense.accuracy, "k*", markersize=12, label="dense")
        axes.plot([], "ko", markersize=12, fillstyle="none", label="on the Pareto front")
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


def check_plot(path: Path) -> None:
    """Raise `AlcsError` for a file that no plot can be written to: another format, no matplotlib.

    Asked before long work, so that it is not done in vain.
    """
    if _suffix(path) not in _FORMATS:
        raise AlcsError(f"cannot plot to {path}: the name has to end in .png or .svg")
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise AlcsError(f"plots need matplotlib ({error}): pip install alcs-onnx[plot]") from None


def _suffix(path: Path) -> str:
    return path.suffix.lower().lstrip(".")


@contextmanager
def _figure(path: Path, *, width: float, height: float) -> Iterator[Figure]:
    """A figure (sizes in inches) that is written to `path` when the block ends."""
    check_plot(path)
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    yield figure
    suffix = _suffix(path)
    # Without the date, equal results are equal files.
    metadata = {"Date": None} if suffix == "svg" else None
    with replacing(path) as temporary:
        figure.savefig(temporary, format=suffix, dpi=150, metadata=metadata)


def _draw_accuracy(axes: Axes, result: ComparisonResult) -> None:
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


def _draw_method(
    axes: Axes,
    result: SweepResult,
    method: str,
    points: Sequence[tuple[float, float, SweepPoint]],
    colour: str,
) -> None:
    """The points of one method (latency in %, accuracy in %) by latency, joined by a line."""
    latencies, accuracies = [x for x, _, _ in points], [y for _, y, _ in points]
    axes.plot(latencies, accuracies, "o-", color=colour, label=f"{method}, measured")
    estimates = [
        (100 * point.predicted_share, y)
        for _, y, point in points
        if point.predicted_share is not None
    ]
    axes.plot(*zip(*estimates, strict=True), "x", color=colour, label=f"{method}, estimated")
    for x, y, point in points:
        axes.annotate(point.budget, (x, y), xytext=(6, -12), textcoords="offset points")
        if result.on_front(point):
            axes.plot(x, y, "o", color=colour, markersize=12, fillstyle="none")


def _draw_storage(axes: Axes, result: ComparisonResult) -> None:
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


def _draw_curve(
    axes: Axes,
    records: Sequence[Mapping[str, Any]],
    key: str,
    colour: str,
    admm_only: bool = False,
) -> None:
    """One run, stage after stage; a line begins where the one of the stage before has ended."""
    before: list[tuple[int, float]] = []
    numbered = enumerate(records, start=1)
    for stage, members in groupby(numbered, key=lambda pair: pair[1]["stage"]):
        # Rounds and quantization have names before it: "2-admm", "quantize-admm".
        admm = stage.endswith("admm")
        wanted = admm or not admm_only
        points = [(at, float(r[key])) for at, r in members if wanted and r[key] is not None]
        if not points:
            before = []
            continue
        line = [*before[-1:], *points]
        # A line of one point would not be seen.
        marker = "o" if len(line) == 1 else None
        axes.plot(*zip(*line, strict=True), "-" if admm else "--", color=colour, marker=marker)
        before = points
