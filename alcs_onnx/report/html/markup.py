"""HTML as text that is escaped exactly once.

`Markup` is text that may go into a page as it is; everything else is escaped where it enters an
element. So a forgotten call shows tags on the page, and never runs them.
"""

from __future__ import annotations

import html
from collections.abc import Mapping

#: Elements of HTML without an end tag.
_VOID = frozenset({"br", "hr", "input", "link", "meta"})
#: What no HTML document can hold: control characters, and halves of surrogate pairs as they
#: come from paths that are not UTF-8.
_UNWRITABLE = (*range(9), *range(11, 32), *range(127, 160), *range(0xD800, 0xE000), 0xFFFE, 0xFFFF)
_REPLACED = dict.fromkeys(_UNWRITABLE, "\ufffd")
_ESCAPES = {
    **_REPLACED,
    **{ord(character): html.escape(character) for character in "&<>\"'"},
}

Attributes = Mapping[str, str | int | float | bool | None]


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def escape(value: object) -> Markup:
    """`value` as text of an element or of a quoted attribute; `Markup` is left as it is."""
    if isinstance(value, Markup):
        return value
    return Markup(str(value).translate(_ESCAPES))


def writable(content: str) -> str:
    """`content` as a page has it: characters that no document can hold are replaced."""
    return content.translate(_REPLACED)


def element(tag: str, attributes: Attributes | None = None, *children: object) -> Markup:
    """An element; children that are no `Markup` are escaped.

    Attributes that are None or False are left out, and True is one without a value.
    """
    opening = tag
    for name, value in (attributes or {}).items():
        if value is True:
            opening += f" {name}"
        elif value is not None and value is not False:
            # Markup inside an attribute is only text there.
            opening += (
                f' {name}="{escape(str.__str__(value) if isinstance(value, str) else value)}"'
            )
    if tag in _VOID:
        return Markup(f"<{opening}>")
    return Markup(f"<{opening}>{''.join(map(escape, children))}</{tag}>")


def join(*parts: object) -> Markup:
    """Parts one after the other, those that are no `Markup` escaped."""
    return Markup("".join(map(escape, parts)))
