"""Tables that are sorted by a click on a header and filtered by what one types."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from alcs_onnx.report.html.blocks import Link, show
from alcs_onnx.report.html.markup import Attributes, Markup, element, join

#: Tables of fewer rows need no filter.
_FILTERED = 6
#: Texts of more characters are broken over lines where the page is narrow.
_SHORT = 26


@dataclass(frozen=True)
class Column:
    """A column: its title, how its values are written, and what the title means.

    Values are text, numbers, `Link`, `Markup`, or None, which is written as a dash and sorted
    last. A column is right-aligned and sorted as numbers where all its values are numbers;
    `form` is asked for values other than None, `Link` and `Markup`.
    """

    title: str
    form: Callable[[Any], str] = str
    help: str = ""


def table(
    columns: Sequence[Column],
    rows: Sequence[Sequence[Any]],
    *,
    caption: str = "",
    footer: Sequence[Any] | None = None,
) -> Markup:
    """A sortable table; a click on a row follows the row's first `Link`.

    Rows have one value for each column, and so has `footer`, a last row that stays in place.
    """
    numeric = [
        any(is_number(row[i]) for row in rows)
        and all(is_number(row[i]) or row[i] is None for row in rows)
        for i in range(len(columns))
    ]
    titles = (_header(column, right) for column, right in zip(columns, numeric, strict=True))
    body = (element("tr", _row(row), *_cells(columns, row, numeric)) for row in rows)
    content = [
        element("caption", None, caption) if caption else "",
        element("thead", None, element("tr", None, *titles)),
        element("tbody", None, *body),
    ]
    if footer is not None:
        cells = _cells(columns, footer, numeric)
        content.append(element("tfoot", None, element("tr", None, *cells)))
    return element(
        "div",
        {"class": "table"},
        _filter(len(rows)) if len(rows) >= _FILTERED else "",
        # Focusable, so that the keyboard can scroll it.
        element("div", {"class": "scroll", "tabindex": 0}, element("table", None, *content)),
    )


def is_number(value: object) -> bool:
    """Whether `value` is written and sorted as a number; truth values are not."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _header(column: Column, right: bool) -> Markup:
    button = element("button", {"type": "button", "title": column.help or None}, column.title)
    return element(
        "th",
        {"scope": "col", "aria-sort": "none", "class": "number" if right else None},
        button,
    )


def _row(row: Sequence[Any]) -> Attributes:
    return {"class": "linked" if any(isinstance(value, Link) for value in row) else None}


def _cells(columns: Sequence[Column], row: Sequence[Any], numeric: Sequence[bool]) -> list[Markup]:
    return [
        _cell(column, value, right)
        for column, value, right in zip(columns, row, numeric, strict=True)
    ]


def _cell(column: Column, value: Any, right: bool) -> Markup:
    plain = value is None or isinstance(value, (Link, Markup))
    content = value if plain else column.form(value)
    key = value if is_number(value) and math.isfinite(value) else None
    kind = "number" if right else "name short" if len(str(content)) <= _SHORT else "name long"
    return element("td", {"class": kind, "data-value": key}, show(content))


def _filter(rows: int) -> Markup:
    box = element("input", {"type": "search", "placeholder": "filter rows", "autocomplete": "off"})
    label = element("label", None, element("span", {"class": "hidden"}, "Filter rows"), box)
    return element("div", {"class": "filter"}, join(label, element("output", None, f"{rows} rows")))
