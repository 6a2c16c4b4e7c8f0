"""Measured latency tables, the estimator made from them, and their files."""

from alcs_onnx.latency.estimator import Estimator, LayerEstimate
from alcs_onnx.latency.profile import Progress, kept_groups, profile
from alcs_onnx.latency.store import check_table, load_table, save_table

__all__ = [
    "Estimator",
    "LayerEstimate",
    "Progress",
    "check_table",
    "kept_groups",
    "load_table",
    "profile",
    "save_table",
]
