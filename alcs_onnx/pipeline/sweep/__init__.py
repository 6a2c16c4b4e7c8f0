"""`sweep`: several budgets by several methods."""

from alcs_onnx.pipeline.sweep.command import sweep
from alcs_onnx.pipeline.sweep.request import SweepRequest, parse_budgets
from alcs_onnx.pipeline.sweep.result import DensePoint, SweepPoint, SweepResult

__all__ = ["DensePoint", "SweepPoint", "SweepRequest", "SweepResult", "parse_budgets", "sweep"]
