"""A graph that one can move through: drawn as SVG, with colours, search and a panel of details."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from alcs_onnx.report.html.blocks import text
from alcs_onnx.report.html.colouring import Colouring
from alcs_onnx.report.html.graph_layout import Layout, Point, layered_layout
from alcs_onnx.report.html.markup import Attributes, Markup, element, join, writable

_WIDTH, _HEIGHT = 176, 56
#: Characters that fit into a node: its title, and the lines below in smaller letters.
_TITLE_LENGTH, _LINE_LENGTH = 20, 25
_MARGIN = 24


@dataclass(frozen=True)
class GraphNode:
    """A node: what its box says, and what the panel says when it is chosen.

    `key` is its name in the page's address and should be unique: of equal ones, only the first
    is found. `lines` (two at most) stand below the title. Nodes that share a name in `groups` are
    highlighted together. `small` draws it as a pill, for what is no operator.
    """

    key: str
    title: str
    lines: Sequence[str] = ()
    details: Markup = Markup("")  # noqa: RUF009 (a constant)
    groups: Sequence[str] = ()
    small: bool = False


def node_href(key: str) -> str:
    """The address, on the page, of the node called `key`."""
    return f"#node={quote(writable(key), safe='')}"


def graph(
    nodes: Sequence[GraphNode],
    edges: Sequence[tuple[int, int]],
    colourings: Sequence[Colouring],
    *,
    templates: Mapping[str, Markup] | None = None,
) -> Markup:
    """Draw nodes and the edges between their numbers, coloured by one of `colourings`, of one
    fill for each node; the first is shown at first.

    In details, an element with `data-copy` is replaced by the template of that name, or by a copy
    of the page's element with that `data-name`, so that what many nodes share is on the page
    once. Raises `ValueError` for a cycle. There should be one graph on a page, because addresses
    lead to its nodes.
    """
    if not nodes:
        return text("The graph has no nodes.")
    edges = list(dict.fromkeys(edges))
    layout = layered_layout([(_WIDTH, _HEIGHT)] * len(nodes), edges)
    box = (
        f"{-_MARGIN} {-_MARGIN} {layout.width + 2 * _MARGIN:.0f} {layout.height + 2 * _MARGIN:.0f}"
    )
    shared = [
        element("template", {"data-name": name}, content)
        for name, content in (templates or {}).items()
    ]
    own = [element("template", {"data-node": i}, node.details) for i, node in enumerate(nodes)]
    return element(
        "div",
        {"class": "graph", "data-colouring": colourings[0].id},
        _controls(colourings),
        element(
            "div",
            {"class": "stage"},
            element(
                "svg",
                {"class": "canvas", "viewBox": box, "role": "group", "aria-label": "Graph"},
                element("g", {"class": "edges"}, *map(_edge, edges, layout.routes)),
                element("g", {"class": "nodes"}, *_nodes(nodes, layout, colourings)),
            ),
            _overview(layout, colourings[0], box),
            element(
                "aside",
                {"class": "details", "aria-live": "polite", "aria-label": "Details"},
                element("p", {"class": "hint"}, "Click a node, or search for one."),
            ),
        ),
        *shared,
        *own,
    )


def _controls(colourings: Sequence[Colouring]) -> Markup:
    options = (element("option", {"value": one.id}, one.title) for one in colourings)
    legends = (
        element(
            "div",
            {"class": "legend", "data-colouring": one.id, "hidden": index > 0},
            one.legend,
        )
        for index, one in enumerate(colourings)
    )
    search = element(
        "input", {"type": "search", "placeholder": "name, operator or shape", "autocomplete": "off"}
    )
    buttons = (
        element("button", {"type": "button", "data-do": action, "aria-label": label}, sign)
        for action, label, sign in (
            ("out", "Zoom out", "−"),
            ("in", "Zoom in", "+"),
            ("fit", "Show the whole graph", "Fit"),
        )
    )
    return element(
        "div",
        {"class": "controls"},
        element("label", None, "Colour ", element("select", None, *options)),
        element("label", None, "Search ", search),
        element("output", {"class": "matches"}),
        element("span", {"class": "zoom"}, *buttons),
        element("div", {"class": "legends", "aria-live": "polite"}, *legends),
    )


def _nodes(
    nodes: Sequence[GraphNode], layout: Layout, colourings: Sequence[Colouring]
) -> list[Markup]:
    numbers = {name: i for i, name in enumerate(dict.fromkeys(g for n in nodes for g in n.groups))}
    return [
        _node(
            node,
            i,
            layout.centres[i],
            layout.ranks[i],
            [numbers[group] for group in node.groups],
            colourings,
        )
        for i, node in enumerate(nodes)
    ]


def _node(
    node: GraphNode,
    index: int,
    centre: Point,
    rank: int,
    groups: Sequence[int],
    colourings: Sequence[Colouring],
) -> Markup:
    corner = f"{centre[0] - _WIDTH / 2:.1f} {centre[1] - _HEIGHT / 2:.1f}"
    # A pill's round ends leave less room.
    left, length = (24, _LINE_LENGTH - 4) if node.small else (10, _LINE_LENGTH)
    outlined = [one.id for one in colourings if index in one.outlined]
    look = ["node", *(["small"] if node.small else [])]
    attributes: Attributes = {
        "class": " ".join((*look, *(["outlined"] if colourings[0].id in outlined else []))),
        "transform": f"translate({corner})",
        "role": "button",
        # One stop for the tab key; arrow keys move from node to node.
        "tabindex": 0 if index == 0 else -1,
        "data-key": node.key,
        "data-rank": rank,
        "data-groups": " ".join(map(str, groups)) or None,
        "data-fill": colourings[0].fills[index],
        "data-outlined": " ".join(outlined) or None,
        **{f"data-fill-{one.id}": one.fills[index] for one in colourings},
    }
    lines = [line for line in node.lines if line]
    rows = (
        element("text", {"class": "line", "x": left, "y": 34 + 14 * i}, _tail(line, length))
        for i, line in enumerate(lines[:2])
    )
    return element(
        "g",
        attributes,
        # Also the name that assistive technology reads.
        element("title", None, "\n".join((node.title, *node.lines))),
        element("rect", {"width": _WIDTH, "height": _HEIGHT, "rx": 28 if node.small else 6}),
        element("text", {"class": "title", "x": left, "y": 19}, _cut(node.title, _TITLE_LENGTH)),
        *rows,
    )


def _edge(edge: tuple[int, int], route: Sequence[Point]) -> Markup:
    ends: Attributes = {"data-from": edge[0], "data-to": edge[1]}
    return element("path", {"class": "edge", **ends, "d": _path(route)})


def _path(route: Sequence[Point]) -> str:
    """A curve that is vertical at every point, with an arrow's head at its end."""
    (x, y), *rest = route
    path = f"M{x:g} {y:g}"
    for to_x, to_y in rest:
        middle = (y + to_y) / 2
        if abs(to_x - x) < 0.1:
            path += f"V{to_y:g}"
        else:
            path += f"C{x:g} {middle:g} {to_x:g} {middle:g} {to_x:g} {to_y:g}"
        x, y = to_x, to_y
    return f"{path}m-4 -6l4 6l4 -6"


def _overview(layout: Layout, colouring: Colouring, box: str) -> Markup:
    """The whole graph without words, and the part of it that is in view."""
    boxes = (
        element(
            "rect",
            {
                "class": "dot",
                "data-fill": fill,
                "x": round(x - _WIDTH / 2),
                "y": round(y - _HEIGHT / 2),
                "width": _WIDTH,
                "height": _HEIGHT,
            },
        )
        for (x, y), fill in zip(layout.centres, colouring.fills, strict=True)
    )
    attributes = {
        "class": "overview",
        "viewBox": box,
        "preserveAspectRatio": "none",
        "aria-hidden": "true",
    }
    return element("svg", attributes, join(*boxes), element("rect", {"class": "view"}))


def _tail(content: str, length: int) -> str:
    """The end of a text, where names differ, as much as fits."""
    return _cut(content[::-1], length)[::-1]


def _cut(content: str, length: int) -> str:
    """The beginning of a text, as much as `length` narrow characters take, and an ellipsis."""
    room = float(length)
    for index, character in enumerate(content):
        wide = unicodedata.east_asian_width(character) in "WF"
        room -= 2 if wide else 0 if unicodedata.combining(character) else 1
        if room < 0:
            return f"{content[: max(index - 1, 0)]}…"
    return content
