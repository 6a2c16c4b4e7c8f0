"""HTML pages: every text is escaped, every tag closed, and what a table or chart says is true."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import replace
from importlib.resources import files
from urllib.parse import unquote

import pytest
from html_checks import HOSTILE, Document, check, hostile, quiet
from hypothesis import example, given
from hypothesis import strategies as st
from inspection_samples import empty, residual

from alcs_onnx.pipeline.inspect.result import Inspection
from alcs_onnx.report.html import (
    Column,
    GraphNode,
    Link,
    Markup,
    Section,
    Series,
    by_amount,
    by_kind,
    facts,
    graph,
    line_chart,
    node_href,
    page,
    scatter_chart,
    table,
    text,
    warning,
)
from alcs_onnx.report.html.axes import new_axis
from alcs_onnx.report.html.markup import element, escape
from alcs_onnx.report.inspect import inspection_page


def around(*blocks: Markup) -> Document:
    return check(page("A page", [Section("A section", blocks, "one")]))


@given(st.text())
def test_any_text_survives(content: str) -> None:
    """Characters of a text come out as they are, or as the sign for what cannot be written."""
    found = Document(element("p", {"title": content}, content))
    expected = re.sub("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]", "\ufffd", content)
    assert found.text == expected
    assert found.elements == [("p", {"title": expected})]


def test_markup_is_escaped_once() -> None:
    inner = element("b", None, "1 < 2")
    assert element("p", None, inner, "<") == "<p><b>1 &lt; 2</b>&lt;</p>"
    assert element("p", {"title": inner}) == '<p title="&lt;b&gt;1 &amp;lt; 2&lt;/b&gt;"></p>'
    assert escape(inner) is inner


def test_attributes() -> None:
    attributes = {"a": None, "hidden": True, "open": False, "tabindex": 0}
    assert element("p", attributes) == '<p hidden tabindex="0"></p>'


@pytest.mark.parametrize("name", HOSTILE)
def test_blocks_escape(name: str) -> None:
    def build(name: str) -> Document:
        return check(
            page(
                name,
                [
                    Section(
                        name,
                        [
                            text(name),
                            warning(name),
                            facts({name: name, f"{name}2": Link(name, node_href(name))}),
                            table(
                                [Column(name, help=name), Column("n")],
                                [(name, 1), (Link(name, node_href(name)), None)] * 4,
                                caption=name,
                                footer=(name, 2),
                            ),
                            line_chart([Series(name, [1], [2], labels=[name])], name, name),
                            graph(
                                [GraphNode(name, name, (name, name), text(name), (name,))],
                                [],
                                [by_kind("k", name, {name: "none"}, [name])],
                                templates={name: text(name)},
                            ),
                        ],
                        "one",
                    )
                ],
            )
        )

    assert tags(build(name)) == tags(build("n" * len(name)))


def test_inspection_escapes() -> None:
    found = check(inspection_page(residual(9, hostile)))
    assert tags(found) == tags(check(inspection_page(residual(9, quiet))))


def tags(found: Document) -> list[tuple[str, list[str]]]:
    return [(tag, list(attributes)) for tag, attributes in found.elements]


def test_markup_is_needed_for_tags() -> None:
    """A plain text given as a block is text on the page."""
    found = around("<script>window.broken = 1</script>")  # type: ignore[arg-type]
    assert "<script>window.broken = 1</script>" in found.text


def test_table() -> None:
    rows = [
        ("a", 2.5, None, Link("x", "#node=x")),
        ("b", -1, "text", "y"),
        ("c", math.inf, 3, None),
    ]
    columns = [Column("name"), Column("number", "{:.1f}".format), Column("mixed"), Column("link")]
    found = around(table(columns, rows, footer=("all", 1.5, "", "")))
    assert found.find("input") == []
    assert [cell.get("class") for cell in found.find("th")] == [None, "number", None, None]
    assert list(found.values("data-value")) == ["2.5", "-1", "3", "1.5"]
    assert [row.get("class") for row in found.find("tr")] == [None, "linked", None, None, None]
    assert {header["aria-sort"] for header in found.find("th")} == {"none"}
    assert "2.5" in found.text
    assert "-1.0" in found.text


def test_long_table_has_a_filter() -> None:
    found = around(table([Column("name")], [(str(i),) for i in range(20)]))
    assert len(found.find("input", type="search")) == 1
    assert "20 rows" in found.text


def test_rows_must_fit_their_columns() -> None:
    with pytest.raises((ValueError, IndexError)):
        table([Column("a"), Column("b")], [("only one",)])


@given(
    st.lists(st.floats(-1e6, 1e6), min_size=1),
    st.booleans(),
    st.sampled_from([(0.0, 100.0), (300.0, 12.0)]),
)
@example([5e-324], False, (0.0, 100.0))
def test_axis(values: list[float], zero: bool, pixels: tuple[float, float]) -> None:
    axis = new_axis(values, zero, *pixels, 40)
    rounding = 1e-6 * (axis.high - axis.low)
    assert axis.low - rounding <= min(values) <= max(values) <= axis.high + rounding
    assert not zero or axis.low <= 0 <= axis.high
    for value in values:
        assert min(pixels) - 0.01 <= axis.at(value) <= max(pixels) + 0.01
    assert 2 <= len(axis.ticks) <= 12
    digit = f"{axis.step:e}"[0]
    assert digit in "125"


def test_line_chart_has_gaps_where_values_are_missing() -> None:
    nan = float("nan")
    series = Series("s", [0, 1, 2, 3, 4], [1, None, 2, nan, 3], labels=list("abcde"))
    found = around(line_chart([series, Series("limit", [0, 4], [2, 2], "dashed")], "x", "y"))
    lines = [p for p in found.find("path") if str(p.get("class")).startswith("line")]
    in_legend = 2
    assert len(lines) == 3 + 1 + in_legend
    tips = [tip for tip in found.values("data-tip") if "\n" in tip]
    assert tips == [
        f"s · {label}\nx: {x}\ny: {y}" for label, x, y in zip("ace", "024", "123", strict=True)
    ]
    assert found.find("svg", role="img")[0]["aria-label"] == "y against x"


def test_scatter_chart_has_points_only() -> None:
    found = around(
        scatter_chart(
            [Series("a", [1, 2], [3, 4]), Series("b", [0, 3], [3, 3], "dashed")], "x", "y"
        )
    )
    classes = [str(p.get("class")) for p in found.find("path")]
    in_legend = 1
    assert classes.count("mark") == 2 + in_legend
    assert classes.count("line dashed") == 1 + in_legend
    assert "line line" not in classes


@pytest.mark.parametrize("y", [[], [None], [float("inf")]])
def test_chart_without_values(y: list[float | None]) -> None:
    found = around(line_chart([Series("a", [1.0] * len(y), y)], "x", "y", title="empty"))
    assert "no values to draw" in found.text


@pytest.mark.parametrize("value", [0.0, 5.0, -2.0, 1e-9, 1e12])
def test_chart_of_one_value(value: float) -> None:
    around(scatter_chart([Series("a", [value], [value])], "x", "y"))


def test_amounts_are_coloured_in_equal_steps() -> None:
    colouring = by_amount("m", "macs", [None, 0.0, 0.9, 1.0, 8.0], "{:.1f}".format)
    assert list(colouring.fills) == ["none", "step-0", "step-0", "step-1", "step-7"]
    legend = Document(colouring.legend)
    assert legend.text == "0.04.08.0none (1)"
    assert len(list(legend.values("data-fill"))) == 8 + 1


@pytest.mark.parametrize("values", [[], [None], [0.0]])
def test_amounts_of_nothing(values: list[float | None]) -> None:
    assert set(by_amount("m", "macs", values, str).fills) <= {"none", "step-0"}


def test_graph_without_nodes() -> None:
    assert "no nodes" in around(graph([], [], [])).text


def test_every_fill_and_look_has_a_colour() -> None:
    assets = files("alcs_onnx.report.html") / "assets"
    styles = "".join(
        (assets / name).read_text(encoding="utf-8") for name in ("graph.css", "chart.css")
    )
    found = check(inspection_page(residual(9)))
    fills = set(found.values("data-fill")) | {
        str(value)
        for _, attributes in found.elements
        for name, value in attributes.items()
        if name.startswith("data-fill-")
    }
    assert len(fills) > 8
    for fill in fills:
        assert f'[data-fill="{fill}"]' in styles, fill
    for look in range(8):
        assert f".look-{look} " in styles


def sections(inspection: Inspection) -> list[str]:
    return [str(a["id"]) for a in check(inspection_page(inspection)).find("section")]


def test_sections_are_those_that_were_asked_for() -> None:
    full = residual(2)
    assert full.latency is not None
    model = ["graph", "nodes", "layers"]
    assert sections(full) == [*model, "coupling", "sparsity", "latency", "curves"]
    assert sections(Inspection(full.model)) == model
    assert sections(Inspection(full.model, coupling=full.coupling)) == [*model, "coupling"]
    without = replace(full.latency, curves=())
    assert sections(Inspection(full.model, latency=without)) == [*model, "latency"]


def test_the_view_comes_first() -> None:
    full = residual(2)
    rest = ["nodes", "layers", "coupling", "sparsity", "latency", "curves"]
    for view, first in (("coupling", 1), ("sparsity", 1), ("latency", 2)):
        found = [str(a["id"]) for a in check(inspection_page(full, view)).find("section")]
        start = rest.index(view)
        ahead = rest[start : start + first]
        assert found == ["graph", *ahead, *(name for name in rest if name not in ahead)]
    # What is not known cannot be shown: the colours are the usual ones.
    page = check(inspection_page(Inspection(full.model), "sparsity"))
    assert next(page.values("data-colouring")) == "kind"


@pytest.mark.parametrize(
    ("domain", "op", "words"),
    [
        ("", "Conv", "a shape is missing"),
        ("", "Loop", "they depend on how its subgraphs run"),
        ("com.example", "Odd", "how com.example::Odd computes is not known"),
    ],
)
def test_why_multiply_accumulates_are_not_known(domain: str, op: str, words: str) -> None:
    full = residual(1)
    first, *others = full.model.nodes
    node = replace(first, domain=domain, op=op, macs=None, kept_macs=None)
    model = replace(full.model, nodes=(node, *others))
    assert f"not known: {words}" in check(inspection_page(Inspection(model))).text


def test_what_optimize_did_or_would_do() -> None:
    full = residual(1)
    for optimized, words in ((False, "what optimize would do"), (True, "what optimize did")):
        page = inspection_page(Inspection(replace(full.model, optimized=optimized)))
        assert f"Layers: {words}" in check(page).text


def test_only_long_texts_are_broken_over_lines() -> None:
    rows = [("SimdSparseConvAdd", "/backbone/features/block_1/conv/Conv", 1.5)]
    found = around(table([Column("op"), Column("name"), Column("ms")], rows))
    assert [cell["class"] for cell in found.find("td")] == ["name short", "name long", "number"]


def test_file_without_nodes() -> None:
    found = check(inspection_page(empty()))
    assert "it has no convolution" in found.text
    assert "no nodes" in found.text


def test_graph_of_an_inspection() -> None:
    inspection = residual(3)
    found = check(inspection_page(inspection))
    nodes = found.find("g", role="button")
    names = [node["data-key"] for node in nodes]
    assert names == ["input x", *(n.name for n in inspection.model.nodes), "output y"]
    edges = {
        (names[int(str(e["data-from"]))], names[int(str(e["data-to"]))])
        for e in found.find("path", **{"class": "edge"})
    }
    made = {"x": "input x", **{n.outputs[0]: n.name for n in inspection.model.nodes}}
    wanted = {(made[i], n.name) for n in inspection.model.nodes for i in n.inputs}
    assert edges == {*wanted, ("y", "output y")}
    rank = {node["data-key"]: int(str(node["data-rank"])) for node in nodes}
    assert all(rank[a] < rank[b] for a, b in edges)


def test_colours_say_what_the_values_say() -> None:
    found = check(inspection_page(residual(3)))
    node = {n["data-key"]: n for n in found.find("g", role="button")}

    def fill(name: str, colouring: str) -> str:
        return str(node[name][f"data-fill-{colouring}"])

    assert fill("stem", "macs") == "step-7"
    assert fill("a0", "macs") == "step-2"  # a quarter of the stem's
    assert fill("relu0", "macs") == "none"
    assert fill("relu0", "time") == "none"  # fused
    assert fill("y", "time") == "step-7"  # the slowest
    assert fill("stem", "density") == "step-7"
    assert len({fill(name, "decision") for name in ("stem", "a0", "b0", "relu0")}) == 4
    outlined = {name for name, n in node.items() if n.get("data-outlined") == "decision"}
    assert outlined == {"stem", "add0", "add1", "add2", "y"}  # no group there can lose channels


def test_nodes_of_a_group_share_its_number() -> None:
    found = check(inspection_page(residual(2)))
    groups = {n["data-key"]: n.get("data-groups") for n in found.find("g", role="button")}
    assert groups["a0"] == groups["relu0"]
    assert set(str(groups["b0"]).split()) == {str(groups["a0"]), str(groups["stem"])}
    assert groups["a1"] != groups["a0"]


def test_table_rows_lead_to_nodes() -> None:
    name = "a name/with ? and #"
    rename: Callable[[str], str] = lambda text: f"{text} {name}"  # noqa: E731
    found = check(inspection_page(residual(2, rename)))
    keys = {str(key) for key in found.values("data-key")}
    targets = {
        unquote(address.removeprefix("#node="))
        for address in found.values("href")
        if address.startswith("#node=")
    }
    assert targets
    assert targets <= keys


def test_equal_inspections_are_equal_pages() -> None:
    assert inspection_page(residual(3)) == inspection_page(residual(3))
