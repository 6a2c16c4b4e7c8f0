"""The page of an inspected model file: its graph, and a table for everything found out."""

from alcs_onnx.report.html.inspection.page import inspection_page

__all__ = ["inspection_page"]
