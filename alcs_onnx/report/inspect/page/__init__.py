"""The page of an inspected model file: its graph, and a table for everything found out."""

from alcs_onnx.report.inspect.page.sections import inspection_page

__all__ = ["inspection_page"]
