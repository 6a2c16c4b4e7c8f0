"""The page around the blocks: one file that needs no other and asks the network for nothing."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from alcs_onnx.report.html.markup import Markup, element, join

#: Joined in this order into one module script, so that a file may use names of those before it.
_SCRIPTS = ("tip.js", "table.js", "viewport.js", "graph.js")
_STYLES = ("page.css", "chart.css", "graph.css")


@dataclass(frozen=True)
class Section:
    """A titled part of a page. `id` is its anchor, unique on the page."""

    title: str
    blocks: Sequence[Markup]
    id: str


def page(title: str, sections: Sequence[Section], *, summary: Sequence[Markup] = ()) -> str:
    """A whole HTML file: `summary` below the title, then the sections, linked from the top.

    Scripts and styles are inline, and the page's own policy forbids every other, as well as all
    access to the network. Write it as UTF-8.
    """
    script, style = _joined(_SCRIPTS), _joined(_STYLES)
    policy = (
        f"default-src 'none'; script-src {_digest(script)}; style-src {_digest(style)}; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )
    head = element(
        "head",
        None,
        element("meta", {"charset": "utf-8"}),
        element("meta", {"http-equiv": "Content-Security-Policy", "content": policy}),
        element("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}),
        element("meta", {"name": "color-scheme", "content": "light dark"}),
        element("title", None, title),
        # Without one, browsers ask for a file of their own choice.
        element("link", {"rel": "icon", "href": "data:,"}),
        element("style", None, style),
        element("script", {"type": "module"}, script),
    )
    links = [element("a", {"href": f"#{section.id}"}, section.title) for section in sections]
    body = element(
        "body",
        None,
        element("header", {"class": "top"}, element("h1", {"class": "name"}, title), *summary),
        element("nav", {"class": "sections", "aria-label": "Sections"}, *links),
        element("main", None, *map(_section, sections)),
    )
    return f"<!doctype html>\n{element('html', {'lang': 'en'}, head, body)}\n"


def _section(section: Section) -> Markup:
    heading = f"{section.id}-title"
    return element(
        "section",
        {"id": section.id, "aria-labelledby": heading},
        element("h2", {"id": heading}, section.title),
        *section.blocks,
    )


@cache
def _joined(names: tuple[str, ...]) -> Markup:
    folder = files(__package__) / "assets"
    return join(*(Markup((folder / name).read_text(encoding="utf-8")) for name in names))


def _digest(content: str) -> str:
    """A source expression that allows exactly this inline text."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"
