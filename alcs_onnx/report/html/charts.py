"""Line and scatter charts as inline SVG: axes, legend, a tip at every point, and the values."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Literal

from alcs_onnx.report.html.axes import Axis, new_axis
from alcs_onnx.report.html.blocks import text
from alcs_onnx.report.html.markup import Markup, element, join
from alcs_onnx.report.html.tables import Column, table

Style = Literal["line", "dashed", "points"]

#: Colours and markers there are; series beyond take the first ones again.
_LOOKS = 8
#: Room around the plot for the axes: left, top, right, bottom.
_MARGIN = (62, 12, 16, 44)


@dataclass(frozen=True)
class Series:
    """Points (x, y) of one name; points with a None or non-finite coordinate are gaps.

    `style` is "line" (with points), "dashed" (a line without points, for limits and references)
    or "points". `labels`, one for each point or none at all, are shown in the points' tips.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float | None]
    style: Style = "line"
    labels: Sequence[str] = ()


@dataclass(frozen=True)
class _Point:
    x: float
    y: float
    label: str


def line_chart(
    series: Sequence[Series],
    x_label: str,
    y_label: str,
    *,
    title: str = "",
    size: tuple[int, int] = (640, 320),
    from_zero: bool = True,
    values: bool = True,
) -> Markup:
    """Lines with a point at each value; `size` is width and height in pixels.

    The y axis begins at 0 if `from_zero`. With `values`, the numbers stand below as a table that
    can be opened.
    """
    return _chart(series, x_label, y_label, title, size, from_zero, values)


def scatter_chart(series: Sequence[Series], x_label: str, y_label: str) -> Markup:
    """As `line_chart` for series that are clouds of points: style "points" unless "dashed"."""
    points = [one if one.style == "dashed" else replace(one, style="points") for one in series]
    return line_chart(points, x_label, y_label, from_zero=False)


def _chart(
    series: Sequence[Series],
    x_label: str,
    y_label: str,
    title: str,
    size: tuple[int, int],
    from_zero: bool,
    values: bool,
) -> Markup:
    runs = [list(_runs(one)) for one in series]
    points = [point for one in runs for run in one for point in run]
    caption = element("figcaption", None, title) if title else ""
    if not points:
        return element("figure", {"class": "chart"}, caption, text("no values to draw"))
    width, height = size
    left, top, right, bottom = _MARGIN
    x = new_axis([p.x for p in points], False, left, width - right, 80)
    y = new_axis([p.y for p in points], from_zero, height - bottom, top, 36)
    drawn = (
        _draw(index, one, runs[index], x, y, x_label, y_label) for index, one in enumerate(series)
    )
    named = title or f"{y_label} against {x_label}"
    svg = element(
        "svg",
        {
            "viewBox": f"0 0 {width} {height}",
            "width": width,
            "height": height,
            "role": "img",
            "aria-label": named,
        },
        _grid(x, y, size, x_label, y_label),
        *drawn,
    )
    return element(
        "figure",
        {"class": "chart"},
        caption,
        svg,
        _legend(series) if len(series) > 1 else "",
        _values(series, runs, x_label, y_label) if values else "",
    )


def _runs(series: Series) -> Iterator[list[_Point]]:
    """The points of a series, cut where one is missing."""
    labels = series.labels or [""] * len(series.x)
    for known, run in groupby(
        zip(series.x, series.y, labels, strict=True),
        key=lambda p: p[1] is not None and math.isfinite(p[0]) and math.isfinite(p[1]),
    ):
        if known:
            yield [_Point(float(x), float(y), label) for x, y, label in run if y is not None]


def _grid(x: Axis, y: Axis, size: tuple[int, int], x_label: str, y_label: str) -> Markup:
    middle_x, middle_y = (x.start + x.end) / 2, (y.start + y.end) / 2
    across = [
        join(
            element("path", {"class": "grid", "d": f"M{x.start} {y.at(tick)}H{x.end}"}),
            _label(x.start - 8, y.at(tick) + 4, "end", y.write(tick)),
        )
        for tick in y.ticks
    ]
    down = [
        join(
            element("path", {"class": "tick", "d": f"M{x.at(tick)} {y.start}v5"}),
            _label(x.at(tick), y.start + 18, "middle", x.write(tick)),
        )
        for tick in x.ticks
    ]
    turn = f"translate(14 {middle_y}) rotate(-90)"
    return join(
        *across,
        *down,
        element("path", {"class": "base", "d": f"M{x.start} {y.start}H{x.end}"}),
        element(
            "text",
            {"class": "axis", "x": middle_x, "y": size[1] - 6, "text-anchor": "middle"},
            x_label,
        ),
        element("text", {"class": "axis", "text-anchor": "middle", "transform": turn}, y_label),
    )


def _label(x: float, y: float, anchor: str, content: str) -> Markup:
    return element("text", {"x": x, "y": y, "text-anchor": anchor}, content)


def _draw(
    index: int,
    series: Series,
    runs: Sequence[Sequence[_Point]],
    x: Axis,
    y: Axis,
    x_label: str,
    y_label: str,
) -> Markup:
    lines, marks = [], []
    for run in runs:
        if series.style != "points":
            path = "L".join(f"{x.at(p.x)} {y.at(p.y)}" for p in run)
            lines.append(element("path", {"class": f"line {series.style}", "d": f"M{path}"}))
        for point in run if series.style != "dashed" else ():
            marks.append(
                _mark(index, x.at(point.x), y.at(point.y), _tip(series, point, x_label, y_label))
            )
    return element("g", {"class": f"series look-{index % _LOOKS}"}, *lines, *marks)


def _tip(series: Series, point: _Point, x_label: str, y_label: str) -> str:
    head = " · ".join(filter(None, (series.name, point.label)))
    return f"{head}\n{x_label}: {point.x:.6g}\n{y_label}: {point.y:.6g}"


#: Markers of radius 4 or so, one for each look, so that series differ without colours too.
_MARKS: tuple[Callable[[float, float], str], ...] = (
    lambda x, y: f"M{x - 4} {y}a4 4 0 1 0 8 0a4 4 0 1 0 -8 0z",
    lambda x, y: f"M{x - 3.5} {y - 3.5}h7v7h-7z",
    lambda x, y: f"M{x} {y - 5}l4.5 8h-9z",
    lambda x, y: f"M{x} {y - 5}l5 5l-5 5l-5 -5z",
    lambda x, y: f"M{x} {y + 5}l4.5 -8h-9z",
    lambda x, y: f"M{x - 1.5} {y - 5}h3v3.5h3.5v3h-3.5v3.5h-3v-3.5h-3.5v-3h3.5z",
    lambda x, y: f"M{x - 5} {y - 2.5}h10v5h-10z",
    lambda x, y: f"M{x - 2.5} {y - 5}h5v10h-5z",
)


def _mark(index: int, x: float, y: float, tip: str) -> Markup:
    return element("path", {"class": "mark", "d": _MARKS[index % _LOOKS](x, y), "data-tip": tip})


def _legend(series: Sequence[Series]) -> Markup:
    entries = []
    for index, one in enumerate(series):
        line = element("path", {"class": f"line {one.style}", "d": "M0 7H26"})
        sample = join(
            line if one.style != "points" else "",
            _mark(index, 13, 7, one.name) if one.style != "dashed" else "",
        )
        picture = element(
            "svg",
            {
                "class": f"series look-{index % _LOOKS}",
                "width": 26,
                "height": 14,
                "aria-hidden": "true",
            },
            sample,
        )
        entries.append(element("li", None, picture, element("span", {"class": "name"}, one.name)))
    return element("ul", {"class": "keys"}, *entries)


def _values(
    series: Sequence[Series], runs: Sequence[Sequence[Sequence[_Point]]], x_label: str, y_label: str
) -> Markup:
    columns = (
        Column("series"),
        Column("label"),
        Column(x_label, lambda v: f"{v:.6g}"),
        Column(y_label, lambda v: f"{v:.6g}"),
    )
    named = any(one.labels for one in series)
    rows = [
        (one.name, *((point.label,) if named else ()), point.x, point.y)
        for one, found in zip(series, runs, strict=True)
        for run in found
        for point in run
    ]
    shown = columns if named else (columns[0], *columns[2:])
    return element("details", None, element("summary", None, "Values"), table(shown, rows))
