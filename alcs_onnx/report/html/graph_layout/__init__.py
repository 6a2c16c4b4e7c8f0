"""Layered drawing of acyclic graphs: which row a node is in, where in its row, and its edges.

The steps of Sugiyama, Tagawa and Toda (1981), each in its file: rows (`ranks`), the order within
rows (`ordering`), x coordinates (`columns`), all of them together (`layered`). Nothing recurses,
so that chains may be as deep as they like.
"""

from alcs_onnx.report.html.graph_layout.layered import Layout, Point, layered_layout

__all__ = ["Layout", "Point", "layered_layout"]
