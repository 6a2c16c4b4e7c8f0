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

from alcs_onnx.errors import AlcsError
from alcs_onnx.files import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_FORMATS = ("png", "svg")


def plot_history(histories: Mapping[str, Sequence[Mapping[str, Any]]], path: Path) -> None:
    """Loss, ||W - U|| / ||W|| and test metric after each epoch, a line for each run by name.

    The curves of ALCS figure 7. Records are those of `train.EpochRecord` as dictionaries: stage,
    epoch, loss, relative_residual, metric (None where not measured); `OptimizeResult.history` and
    `StructureResult.epochs` hold them. Epochs are counted through all stages and rounds of a run;
    residuals are drawn of ADMM alone, since fine-tuning has none. `path` ends in .png or .svg.
    Raises `AlcsError` for any other ending, without epochs and without matplotlib, and
    `OutputError` where `path` cannot be written.
    """
    if not any(histories.values()):
        raise AlcsError("there are no epochs to plot")
    with figure_file(path, width=13, height=4) as figure:
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


@contextmanager
def figure_file(path: Path, *, width: float, height: float) -> Iterator[Figure]:
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


def _suffix(path: Path) -> str:
    return path.suffix.lower().lstrip(".")


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
