"""Ways to colour the nodes of a graph: by what they are, or by how much of something they have.

Fills are names of colours in `graph.css`: `step-0` (little) to `step-7` (much), `kind-0` to
`kind-8` for what has no order, and `none`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from alcs_onnx.report.html.markup import Markup, element

_STEPS = 8
_NONE = "none"


@dataclass(frozen=True)
class Colouring:
    """One choice of a graph's colours: a fill for each node, and what the fills mean.

    `outlined` are the numbers of nodes with a broken outline.
    """

    id: str
    title: str
    fills: Sequence[str]
    legend: Markup
    outlined: Collection[int] = ()


def by_kind(
    identifier: str,
    title: str,
    kinds: Mapping[str, str],
    values: Sequence[str],
    *,
    outlined: Collection[int] = (),
    outline: str = "",
) -> Colouring:
    """Colour by kind: `kinds` gives each kind its fill, `values` each node its kind.

    The legend has the kinds that occur, with their numbers of nodes, and says that `outlined`
    nodes are `outline`.
    """
    found = [kind for kind in kinds if kind in set(values)]
    keys = [_key(kinds[kind], f"{kind} ({values.count(kind)})") for kind in found]
    if outlined:
        keys.append(_key("outline", f"{outline} ({len(outlined)})"))
    return Colouring(
        identifier,
        title,
        [kinds[value] for value in values],
        element("ul", None, *keys),
        outlined,
    )


def by_amount(
    identifier: str,
    title: str,
    values: Sequence[float | None],
    form: Callable[[float], str],
    *,
    high: float | None = None,
    missing: str = "none",
) -> Colouring:
    """Colour by amount from 0 to `high` (the largest value where not given), in equal steps.

    Nodes without a value are left without colour, and the legend calls them `missing`.
    """
    top = high or max((value for value in values if value is not None), default=0.0) or 1.0
    fills = [
        _NONE if value is None else f"step-{min(_STEPS - 1, math.floor(_STEPS * value / top))}"
        for value in values
    ]
    swatches = (
        element(
            "span",
            {
                "class": "swatch",
                "data-fill": f"step-{step}",
                "title": f"{form(top * step / _STEPS)} to {form(top * (step + 1) / _STEPS)}",
            },
        )
        for step in range(_STEPS)
    )
    ends = (element("span", None, form(top * share)) for share in (0, 0.5, 1))
    scale = element(
        "li",
        {"class": "scale"},
        element("span", {"class": "steps"}, *swatches),
        element("span", {"class": "ends"}, *ends),
    )
    without = fills.count(_NONE)
    keys = [_key(_NONE, f"{missing} ({without})")] if without else []
    return Colouring(identifier, title, fills, element("ul", None, scale, *keys))


def _key(fill: str, meaning: str) -> Markup:
    return element("li", None, element("span", {"class": "swatch", "data-fill": fill}), meaning)
