"""The plain blocks of a page: paragraphs, warnings, facts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from alcs_onnx.report.html.markup import Markup, element, escape

#: Facts of more characters take the room of two.
_WIDE = 48


@dataclass(frozen=True)
class Link:
    """Text that leads to a place on the page (`#layers`, or `node_href` of a graph's node)."""

    text: str
    href: str

    def __str__(self) -> str:
        return self.text


def show(value: object) -> Markup:
    """A value as it stands in facts and cells: links as links, None as a dash.

    What holds it should be of the class `name`.
    """
    if isinstance(value, Markup):
        return value
    if isinstance(value, Link):
        return element("a", {"href": value.href}, value.text)
    return escape("-" if value is None else value)


def text(content: str) -> Markup:
    """A paragraph."""
    return element("p", None, content)


def warning(content: str) -> Markup:
    """A paragraph that must not be overlooked."""
    return element("p", {"class": "warning", "role": "note"}, content)


def facts(values: Mapping[str, object]) -> Markup:
    """What is known, name by name: values may be text, `Link` or `Markup`; None is a dash."""
    pairs = (
        element(
            "div",
            {"class": "wide" if _is_long(value) else None},
            element("dt", None, name),
            element("dd", {"class": "name"}, show(value)),
        )
        for name, value in values.items()
    )
    return element("dl", {"class": "facts"}, *pairs)


def _is_long(value: object) -> bool:
    return not isinstance(value, Markup) and len(str(value)) > _WIDE
