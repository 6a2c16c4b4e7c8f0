"""Self-contained HTML pages: blocks, and the page around them. Nothing here knows a command.

A page is made of sections, and a section of blocks::

    page("Sweep of net.onnx", [
        Section("Results", [
            table([Column("budget"), Column("ms", ms)], [("80 %", 12.1), ("60 %", 9.3)]),
            scatter_chart([Series("simd", [12.1, 9.3], [0.91, 0.90])], "ms", "accuracy"),
        ], id="results"),
    ])

Blocks escape all text they are given. What is `Markup` is taken as it is.
"""

from alcs_onnx.report.html.blocks import Link, facts, text, warning
from alcs_onnx.report.html.charts import Series, line_chart, scatter_chart
from alcs_onnx.report.html.colouring import by_amount, by_kind
from alcs_onnx.report.html.document import Section, page
from alcs_onnx.report.html.graph import GraphNode, graph, node_href
from alcs_onnx.report.html.markup import Markup
from alcs_onnx.report.html.tables import Column, table

__all__ = [
    "Column",
    "GraphNode",
    "Link",
    "Markup",
    "Section",
    "Series",
    "by_amount",
    "by_kind",
    "facts",
    "graph",
    "line_chart",
    "node_href",
    "page",
    "scatter_chart",
    "table",
    "text",
    "warning",
]
