"""What is told of an inspected file: tables, JSON and a page."""

from alcs_onnx.report.inspect.json import inspection_json
from alcs_onnx.report.inspect.page import inspection_page
from alcs_onnx.report.inspect.tables import print_inspection

__all__ = ["inspection_json", "inspection_page", "print_inspection"]
