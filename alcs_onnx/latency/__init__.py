"""Measured latency tables, the estimators made from them, and their files."""

from alcs_onnx.latency.attribution import NodeRun, attribute
from alcs_onnx.latency.contributions import (
    COMPOSITIONS,
    DEFAULT_COMPOSITION,
    ChannelEstimator,
    contribution,
    measure_contributions,
    predict_contributions,
    step_counts,
)
from alcs_onnx.latency.estimator import Estimator, LayerEstimate
from alcs_onnx.latency.profile import Progress, kept_groups, profile, profiler_overhead
from alcs_onnx.latency.store import check_table, load_channel_table, load_table, save_table

__all__ = [
    "COMPOSITIONS",
    "DEFAULT_COMPOSITION",
    "ChannelEstimator",
    "Estimator",
    "LayerEstimate",
    "NodeRun",
    "Progress",
    "attribute",
    "check_table",
    "contribution",
    "kept_groups",
    "load_channel_table",
    "load_table",
    "measure_contributions",
    "predict_contributions",
    "profile",
    "profiler_overhead",
    "save_table",
    "step_counts",
]
